"""The commands of `scripts/generate.py`: pictures, latent walks, sweeps, style mixing."""

import itertools
import math
import pathlib
import sys
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from aa_jax.models.alias_free import mix_styles, picture_transform
from aa_jax.training import gif, writing
from aa_jax.training.progress import with_progress
from experiments.generate import films
from experiments.generate.grid import canvas_size, tile
from experiments.generate.pictures import Painter


def images(
    painter: Painter,
    output: pathlib.Path,
    seeds: Sequence[int],
    *,
    folder: bool = False,
    columns: int | None = None,
    translate: tuple[float, float] = (0.0, 0.0),
    rotate: float = 0.0,
    scale: float = 1.0,
) -> pathlib.Path:
    """Draws a picture of every seed.

    Args:
        painter: what draws.
        output: a `.png` for all of them, or a folder.
        seeds: integers from 0.
        folder: whether `output` is a folder, which gets `seed0000.png` and so on, named as the
            published tool does; it is made if it is missing.
        columns: of the one picture; None: about as many as rows.
        translate, rotate, scale: how pictures are moved, as `picture_transform` takes it.

    Returns:
        `output`.

    Raises:
        ValueError: the picture would be too large, or a number is out of its range.
        OSError: a file can't be written.
    """
    transform = picture_transform(translate=translate, rotate=rotate, scale=scale)
    seeds = np.asarray(list(dict.fromkeys(seeds)) if folder else list(seeds))
    if columns is None:
        columns = math.ceil(math.sqrt(len(seeds)))
    rows = -(-len(seeds) // max(columns, 1))
    if not folder:
        canvas_size(rows, columns, painter.size, name="columns")
    drawn = painter.draw(
        len(seeds),
        lambda numbers: painter.latents(seeds[numbers]),
        lambda numbers: transform,
    )
    drawn = with_progress(drawn, len(seeds), "picture")
    if folder:
        output.mkdir(exist_ok=True)
        for seed, picture in zip(seeds, drawn, strict=True):
            writing.write_png(output / f"seed{seed:04d}.png", picture)
    else:
        writing.write_png(output, tile(drawn, rows, columns, name="columns"))
    return output


def walk(
    painter: Painter,
    output: pathlib.Path,
    seeds: Sequence[int],
    *,
    grid: tuple[int, int] = (1, 1),
    frames: int = 120,
    fps: float = 60,
) -> pathlib.Path:
    """Films a closed walk through the latents of seeds, once round.

    Args:
        painter: what draws.
        output: `.mp4` or `.gif`.
        seeds: the keyframes; every cell of the grid walks through an equal share of them, the first
            cell through the first ones.
        grid: (rows, columns) of pictures that walk side by side.
        frames: from one keyframe to the next.
        fps: frames a second.

    Returns:
        `output`.

    Raises:
        ValueError: the seeds can't be shared out, the picture would be too large, or a number is
            out of its range.
        OSError: the file can't be written.
    """
    rows, columns = grid
    canvas_size(rows, columns, painter.size, name="grid")
    _check_film(output, frames, fps)
    cells = rows * columns
    if len(seeds) % cells or len(seeds) < 2 * cells:
        raise ValueError(
            f"seeds must give each of the grid's {columns}x{rows} cells the same number of "
            f"keyframes, two at least, got {len(seeds)} seeds"
        )
    keyframes = painter.latents(seeds)
    keyframes = keyframes.reshape(cells, len(seeds) // cells, *keyframes.shape[1:])
    path = films.walk_latents(keyframes.swapaxes(0, 1))
    total = frames * len(seeds) // cells

    def latents(numbers):
        frame, cell = np.divmod(numbers, cells)
        passed = np.arange(frame.min(), frame.max() + 1)
        return path(passed / frames)[frame - passed[0], cell]

    drawn = painter.draw(total * cells, latents)
    writing.write_film(output, _frames(drawn, total, rows, columns, "grid"), fps)
    return output


def sweep(
    painter: Painter,
    output: pathlib.Path,
    seeds: Sequence[int],
    *,
    translate: tuple[float, float] = (0.0, 0.0),
    rotate: float = 0.0,
    frames: int = 120,
    fps: float = 60,
) -> pathlib.Path:
    """Films the pictures of seeds, in a row, while they move; or lays the frames out.

    Args:
        painter: what draws.
        output: `.mp4` or `.gif`: there and back, whole turns round and round; `.png`: a strip of
            frames for every seed, one below the other, from the start to the end point.
        seeds: integers from 0.
        translate, rotate: the end point, as `sweep_transforms` takes it.
        frames: in all.
        fps: frames a second.

    Returns:
        `output`.

    Raises:
        ValueError: nothing moves, the picture would be too large, or a number is out of its range.
        OSError: the file can't be written.
    """
    if not rotate and not any(translate):
        raise ValueError("translate or rotate must be given and differ from zero")
    strip = output.suffix.lower() == ".png"
    count = len(seeds)
    if strip:
        canvas_size(count, max(frames, 1), painter.size, name="frames")
    else:
        canvas_size(1, count, painter.size, name="seeds")
        _check_film(output, frames, fps)
    transforms = films.sweep_transforms(
        frames, translate=translate, rotate=rotate, there_and_back=not strip
    )
    ws = painter.latents(seeds)
    if strip:
        drawn = painter.draw(
            count * frames,
            lambda numbers: ws[numbers // frames],
            lambda numbers: transforms[numbers % frames],
        )
        drawn = with_progress(drawn, count * frames, "picture")
        writing.write_png(output, tile(drawn, count, frames, name="frames"))
    else:
        drawn = painter.draw(
            count * frames,
            lambda numbers: ws[numbers % count],
            lambda numbers: transforms[numbers // count],
        )
        writing.write_film(output, _frames(drawn, frames, 1, count, "seeds"), fps)
    return output


def mix(
    painter: Painter,
    output: pathlib.Path,
    rows: Sequence[int],
    columns: Sequence[int],
    *,
    layers: Sequence[int] = range(7),
) -> pathlib.Path:
    """Draws pictures that take some layers' latents from one seed and the rest from another.

    The first column holds the rows' own pictures and the first row the columns'; the picture where
    they meet is the row's, with the column's latents in `layers`.

    Args:
        painter: what draws.
        output: `.png`.
        rows, columns: seeds.
        layers: indices of latents; 0 is the input, 1 the first layer.

    Returns:
        `output`.

    Raises:
        ValueError: a layer is out of range, or the picture would be too large.
        OSError: the file can't be written.
    """
    height, width = len(rows) + 1, len(columns) + 1
    gap = max(2, min(painter.size) // 64)
    canvas_size(height, width, painter.size, gap=gap, name="rows and columns")
    ws_rows, ws_columns = painter.latents(rows), painter.latents(columns)
    mix_styles(ws_rows[:1], ws_columns[:1], layers)  # Raises before anything is drawn.

    def latents(numbers):
        row, column = np.divmod(numbers + 1, width)  # The corner has no picture.
        coarse, fine = ws_rows[row - 1], ws_columns[column - 1]
        mixed = mix_styles(coarse, fine, layers)
        row, column = row[:, None, None], column[:, None, None]
        return np.where(row == 0, fine, np.where(column == 0, coarse, mixed))

    count = height * width - 1
    drawn = with_progress(painter.draw(count, latents), count, "picture")
    corner = np.full((*painter.size, painter.generator.synthesis.plan.img_channels), 255, np.uint8)
    drawn = itertools.chain([corner], drawn)
    writing.write_png(output, tile(drawn, height, width, gap=gap, name="rows and columns"))
    return output


def _check_film(output: pathlib.Path, frames: int, fps: float) -> None:
    if frames < 1:
        raise ValueError(f"frames must be at least 1, got {frames}")
    writing.check_rate(fps)
    if output.suffix.lower() == ".gif" and fps > gif.LARGEST_RATE:
        print(f"A GIF plays at {gif.LARGEST_RATE} frames a second at most.", file=sys.stderr)


def _frames(
    pictures: Iterable[np.ndarray], frames: int, rows: int, columns: int, name: str
) -> Iterator[np.ndarray]:
    """Frames from a stream of pictures, each from as many as the grid has cells."""
    stream = iter(pictures)  # `tile` takes from it what a frame needs, and no more.
    drawn = (tile(stream, rows, columns, name=name) for _ in range(frames))
    return with_progress(drawn, frames, "frame")
