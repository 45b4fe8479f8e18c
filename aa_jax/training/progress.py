"""How far a long command has come."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TextIO, TypeVar

Item = TypeVar("Item")


def with_progress(
    items: Iterable[Item],
    total: int | None,
    noun: str,
    *,
    seconds: float = 5.0,
    stream: TextIO | None = None,
) -> Iterator[Item]:
    """Hands on items, and prints a line now and then.

    Args:
        items: what is waited for.
        total: how many there will be; None where nobody knows.
        noun: what one is called, such as "frame".
        seconds: between lines.
        stream: where to; standard error by default.
    """
    printed = time.monotonic()
    of_all = "" if total is None else f"/{total}"
    for number, item in enumerate(items, start=1):
        yield item
        if time.monotonic() - printed >= seconds:
            printed = time.monotonic()
            print(f"{noun} {number}{of_all}", file=stream or sys.stderr, flush=True)
