"""How far a preparation has come: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from typing import TextIO


class Progress:
    """Shows what is done, its rate and the time that is left.

    Args:
        total: how many pictures there will be, if that is known.
        done: how many of them an earlier run has done.
        stream: where to; standard error by default.
        seconds: between updates; None takes 0.2 on a terminal and 10 elsewhere.
    """

    def __init__(
        self,
        total: int | None,
        *,
        done: int = 0,
        stream: TextIO | None = None,
        seconds: float | None = None,
    ):
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._total, self._done, self._first = total, done, done
        self._seconds = (0.2 if self._terminal else 10.0) if seconds is None else seconds
        self._began = self._shown = time.monotonic()

    def advance(self, rejected: int) -> None:
        """One more picture is done; `rejected` of all were left out."""
        self._done += 1
        now = time.monotonic()
        if now - self._shown >= self._seconds:
            self._shown = now
            self._show(now, rejected)

    def close(self, rejected: int) -> None:
        """Shows the last state, and leaves the line."""
        self._show(time.monotonic(), rejected)
        if self._terminal:
            print(file=self._stream, flush=True)

    def _show(self, now: float, rejected: int) -> None:
        rate = (self._done - self._first) / max(now - self._began, 1e-9)
        parts = [f"{self._done} pictures" if self._total is None else f"{self._done}/{self._total}"]
        parts.append(f"{rate:.1f} a second")
        if self._total is not None and rate:
            parts.append(f"{_clock((self._total - self._done) / rate)} left")
        parts.append(f"{rejected} rejected")
        line = ", ".join(parts)
        if not self._terminal:
            print(line, file=self._stream, flush=True)
            return
        if self._total:
            filled = 24 * self._done // self._total
            line = f"[{'#' * filled}{'.' * (24 - filled)}] {line}"
        # Back to the beginning of the line, and away with the rest of the last one.
        print(f"\r{line}\x1b[K", end="", file=self._stream, flush=True)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
