"""What users write on the command line, as numbers: seeds, layers, translations, grids."""

import math
import re

LARGEST_SEED = 2**32 - 1  # of NumPy's RandomState, which the published tools draw from
MOST_SEEDS = 100_000

_RANGE = re.compile(r"\s*([0-9]+)\s*(?:-\s*([0-9]+)\s*)?", re.ASCII)
_GRID = re.compile(r"([0-9]+)[xX]([0-9]+)", re.ASCII)


def parse_numbers(text: str, *, name: str, largest: int, most: int) -> list[int]:
    """Reads numbers and ranges, both ends included, such as "0,3,10-20"; repetitions are kept.

    Args:
        text: as written by the user.
        name: of the argument, for messages.
        largest: no number may exceed it.
        most: there may be no more numbers than this.

    Raises:
        ValueError: it isn't of that form, a range runs backwards, or there are too many numbers.
    """
    numbers = []
    for part in text.split(","):
        match = _RANGE.fullmatch(part)
        if not match or len(part) > 80:  # longer ones Python may refuse to read as integers
            raise ValueError(
                f"{name} must be numbers from 0 to {largest} and ranges of them, such as "
                f"0,3,10-20, got {text[:80]!r}"
            )
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise ValueError(f"{name}: a range must run upwards, got {part.strip()!r}")
        if last > largest:
            raise ValueError(f"{name} must lie from 0 to {largest}, got {part.strip()!r}")
        if len(numbers) + last - first + 1 > most:
            raise ValueError(f"{name} must be at most {most} numbers, got more: {text[:80]!r}")
        numbers += range(first, last + 1)
    return numbers


def parse_seeds(text: str, *, name: str = "seeds") -> list[int]:
    """Reads seeds, as `parse_numbers` does."""
    return parse_numbers(text, name=name, largest=LARGEST_SEED, most=MOST_SEEDS)


def parse_layers(text: str) -> list[int]:
    """Reads layers, as `parse_numbers` does; the network decides later which of them it has."""
    return parse_numbers(text, name="layers", largest=999, most=1000)


def parse_translation(text: str) -> tuple[float, float]:
    """Reads "right,down".

    Raises:
        ValueError: it isn't two finite numbers.
    """
    try:
        right, down = map(float, text.split(","))
    except ValueError:
        right = down = math.nan
    if not math.isfinite(right) or not math.isfinite(down):
        raise ValueError(
            f"translate must be two finite numbers, right and down, such as 0.1,-0.2, got {text!r}"
        )
    return right, down


def parse_grid(text: str) -> tuple[int, int]:
    """Reads "WIDTHxHEIGHT", in cells, and returns (rows, columns).

    Raises:
        ValueError: it has another form, or a side is zero.
    """
    match = _GRID.fullmatch(text.strip()) if len(text) < 80 else None
    columns, rows = (int(match[1]), int(match[2])) if match else (0, 0)
    if not rows or not columns:
        raise ValueError(f"grid must be WIDTHxHEIGHT in cells, such as 4x2, got {text[:80]!r}")
    return rows, columns
