"""The reconstruction study's files: numbers, table, curves and pictures."""

import json
import pathlib

import numpy as np

from aa_jax.figures import style

# Mean L1 over 1000 photographs in the published figure, its curves relabelled: the list of filter
# names there was indexed as if Pillow's codes were 0 to 5 in that order, which they are not.
PUBLISHED = {
    "0.1": (0.0631, 0.0631, 0.0630, 0.0617, 0.0598, 0.0587, 0.0629),
    "0.2": (0.0476, 0.0476, 0.0471, 0.0462, 0.0446, 0.0437, 0.0452),
    "0.3": (0.0401, 0.0401, 0.0394, 0.0386, 0.0371, 0.0363, 0.0366),
    "0.4": (0.0351, 0.0352, 0.0342, 0.0334, 0.0320, 0.0312, 0.0305),
    "0.5": (0.0305, 0.0305, 0.0307, 0.0297, 0.0283, 0.0274, 0.0255),
}
PUBLISHED_METHODS = (
    *(f"{name}, reduced" for name in "nearest box bilinear hamming bicubic lanczos".split()),
    "mixture, official protocol",
)
SHOWN = (
    "bicubic, reduced",
    "lanczos, reduced",
    "mixture, official protocol",
    "local linear, steered, corners",
    "local linear, steered, cells",
    "fitted covariances, cells",
    "fitted covariances and values, cells",
)
NOTES = """
*reduced*: enlarged from the photograph reduced by Pillow's bilinear filter. *points*: Pillow
enlarges every n-th pixel. *corners*: point samples from the first pixel's centre to the last one's,
as published. *cells*: point samples at the centres of the reduced image's pixels.
*Fair* methods see nothing else, and their constants are the same for all photographs. *Oracles*
see the photograph that they are compared with: the official protocol takes the best of 45 settings
for each, fitted covariances and values are trained on each. Fitted mixtures were measured on the
first {fitted} of {total} photographs; in brackets is what the other methods reach on those.
"""


def write(folder, results: dict, example: np.ndarray, *, seconds: float) -> str:
    """Writes results.json, table.md, curves.png and examples.png; returns the table.

    Args:
      folder: to write to.
      results: size of the grid -> method -> `reconstruction.Outcome`.
      example: (height, width, 3), the photograph that the examples show.
      seconds: how long the study took.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    text = table(results)
    (folder / "table.md").write_text(text + "\n")
    numbers = {size: {k: v.numbers for k, v in row.items()} for size, row in results.items()}
    content = {"seconds": seconds, "results": numbers, "published": PUBLISHED}
    (folder / "results.json").write_text(json.dumps(content, indent=1, default=float) + "\n")
    curves(results, folder / "curves.png")
    strip(results, example, folder / "examples.png")
    return text


def table(results: dict) -> str:
    """Markdown: methods by sizes, L1; then PSNR and SSIM; then the published ratios."""
    sizes = list(results)
    methods = list(results[sizes[0]])
    outcomes = results[sizes[0]].values()
    total = max(o.photographs for o in outcomes)
    fitted = min(o.photographs for o in outcomes)
    parts = [_block("L1", results, methods, lambda o: _l1(o, fitted < total))]
    parts.append(NOTES.strip().format(fitted=fitted, total=total))
    parts.append(_block("PSNR (dB)", results, methods, lambda o: f"{o.psnr:.2f}"))
    parts.append(_block("SSIM", results, methods, lambda o: f"{o.ssim:.3f}"))
    if set(sizes) & set(PUBLISHED):
        parts.append(_beside_published(results))
    return "\n\n".join(parts)


def _l1(outcome, bracket: bool) -> str:
    return f"{outcome.l1:.4f}" + (f" ({outcome.l1_of_first:.4f})" if bracket else "")


def _block(title: str, results: dict, methods: list[str], cell) -> str:
    lines = [f"| {title} | | " + " | ".join(results) + " |", "|---|---|" + "--:|" * len(results)]
    for method in methods:
        rows = [row[method] for row in results.values()]
        lines.append(
            f"| {method} | {rows[0].protocol} | " + " | ".join(cell(o) for o in rows) + " |"
        )
    return "\n".join(lines)


def _beside_published(results: dict) -> str:
    lines = [
        "| L1: here / published, relabelled | " + " | ".join(PUBLISHED_METHODS) + " |",
        "|---|" + "--:|" * len(PUBLISHED_METHODS),
    ]
    for size, published in PUBLISHED.items():
        if size in results:
            cells = [
                f"{results[size][method].l1:.4f} / {value:.4f}"
                for method, value in zip(PUBLISHED_METHODS, published, strict=True)
            ]
            lines.append(f"| {size} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def curves(results: dict, path) -> None:
    """L1 relative to Lanczos from the reduced image, over the sizes of the grid."""
    figure = style.new_figure(8, 4.2)
    axis = figure.subplots()
    sizes = sorted(results, key=_fraction)
    for index, method in enumerate(SHOWN):
        rows = [results[size].get(method) for size in sizes]
        if None in rows:
            continue
        # Each is compared on the photographs that it was measured on.
        base = [results[size]["lanczos, reduced"] for size in sizes]
        part = any(r.photographs < b.photographs for r, b in zip(rows, base, strict=True))
        gains = [
            100 * (r.l1 / (b.l1_of_first if part else b.l1) - 1)
            for r, b in zip(rows, base, strict=True)
        ]
        axis.plot(range(len(sizes)), gains, label=method, **style.series_style(index))
    axis.set_xticks(range(len(sizes)), sizes)
    axis.set(xlabel="samples along an axis, per pixel", ylabel="L1 above Lanczos, reduced (%)")
    axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    style.tidy(axis)
    style.save(figure, path)


def strip(results: dict, example: np.ndarray, path) -> None:
    """The example photograph and what became of it, one row per size."""
    sizes = [s for s in results if s.startswith("1/")] or list(results)
    columns = [m for m in SHOWN if m in results[sizes[0]]]
    figure = style.new_figure(1.75 * (len(columns) + 1), 1.8 * len(sizes) + 0.9)
    axes = figure.subplots(len(sizes), len(columns) + 1, squeeze=False)
    for index, (row, size) in enumerate(zip(axes, sizes, strict=True)):
        pictures = {"photograph": example} | {m: results[size][m].example for m in columns}
        for axis, (name, picture) in zip(row, pictures.items(), strict=True):
            axis.imshow(np.clip(picture, 0, 1), interpolation="nearest")
            axis.set_xticks([])
            axis.set_yticks([])
            if index == 0:
                axis.set_title(name.replace(", ", ",\n").replace(" and", "\nand"), fontsize=8)
        row[0].set_ylabel(size)
    style.save(figure, path)


def _fraction(size: str) -> float:
    top, _, bottom = size.partition("/")
    return float(top) / float(bottom or 1)
