"""Table, curves and pictures of study (d)."""

import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from aa_jax.figures import style
from aa_jax.training.whole_file import replacing

if TYPE_CHECKING:
    from experiments.interpolation.budget import Fitted

_DETAIL = 160  # pixels of a photograph's middle that the strip shows


def write(folder: pathlib.Path, rows: Sequence["Fitted"], pictures: dict, peak: float) -> str:
    """Writes `budget.md`, `budget.png` and `budget_strips.png`; returns the table.

    Args:
      folder: where to.
      rows: the fits.
      pictures: by image and title, uint8 (height, width, 3); the same titles for all.
      peak: megabytes of memory that the process had at most.
    """
    text = table(rows) + f"\nPeak memory of the process: {peak:.0f} MB.\n"
    with replacing(folder / "budget.md") as path:
        path.write_text(text)
    with replacing(folder / "budget.png") as path:
        _curves(rows, path)
    with replacing(folder / "budget_strips.png") as path:
        _strips(pictures, path)
    return text


def table(rows: Sequence["Fitted"]) -> str:
    """The fits as Markdown."""
    lines = [
        "| image | Gaussians | PSNR, dB | in 16 bits, dB | bytes | of the image's | bits per pixel "
        "| wall, s | CPU, s |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        bits = row.bytes * 8 / (row.image_bytes / 3)
        lines.append(
            f"| {row.image} | {row.points:,} | {row.psnr:.2f} | {row.psnr_rounded:.2f} | "
            f"{row.bytes:,} | {row.bytes / row.image_bytes:.1%} | {bits:.2f} | {row.seconds:.0f} | "
            f"{row.cpu_seconds:.0f} |"
        )
    return "\n".join(lines) + "\n"


def _curves(rows: Sequence["Fitted"], path: pathlib.Path) -> None:
    figure = style.new_figure(10, 4)
    left, right = figure.subplots(1, 2)
    for index, name in enumerate(dict.fromkeys(row.image for row in rows)):
        mine = sorted((row for row in rows if row.image == name), key=lambda row: row.points)
        look = style.series_style(index + 1)
        left.plot([r.points for r in mine], [r.psnr for r in mine], label=name, **look)
        for row in mine:
            _, seconds, psnr = np.transpose(row.curve)
            right.plot(seconds, psnr, color=look["color"], linewidth=1.2)
            right.annotate(
                f" {row.points:,}", (seconds[-1], psnr[-1]), fontsize=7, color=look["color"]
            )
    left.set(xscale="log", xlabel="Gaussians", ylabel="PSNR (dB)")
    right.set(xlabel="seconds, compilation included", ylabel="PSNR (dB)")
    left.legend(frameon=False)
    for axis in (left, right):
        style.tidy(axis)
    style.save(figure, path)


def _strips(pictures: dict, path: pathlib.Path) -> None:
    columns = max(len(images) for images in pictures.values())
    figure = style.new_figure(2.2 * columns, 2.4 * len(pictures))
    axes = figure.subplots(len(pictures), columns, squeeze=False)
    for line, images in zip(axes, pictures.values(), strict=True):
        for axis, (title, picture) in zip(line, images.items(), strict=False):
            top, left = ((side - _DETAIL) // 2 for side in picture.shape[:2])
            top, left = max(top, 0), max(left, 0)
            axis.imshow(
                picture[top : top + _DETAIL, left : left + _DETAIL], interpolation="nearest"
            )
            axis.set_title(title, fontsize=9)
        for axis in line:
            axis.set_axis_off()
    style.save(figure, path)
