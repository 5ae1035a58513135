"""How far long work is and how long it will take, in one line for a terminal."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


class Progress:
    """Counts steps and guesses the time left from those that are done.

    Args:
        total: Number of steps.
        clock: Seconds from any start; for tests.
    """

    def __init__(self, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._total, self._clock, self._begun, self._start = total, clock, 0, clock()

    def begin(self, label: str) -> str:
        """Begins the next step; returns the line that says so."""
        done, self._begun = self._begun, self._begun + 1
        left = ""
        if done:
            left_s = (self._clock() - self._start) / done * (self._total - done)
            left = f", {duration(left_s)} left"
        return f"{label} {self._begun} of {self._total}{left}"


def duration(seconds: float) -> str:
    """Seconds as people say them.

    >>> duration(8.4), duration(250), duration(9000)
    ('8 s', '4 min', '2.5 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def progress(items: Iterable[T], label: str) -> Iterator[T]:
    """Yields the items; on a terminal, standard error says which of how many and the time left.

    Nothing is written where standard error is not a terminal.
    """
    items = list(items)
    if not sys.stderr.isatty():
        yield from items
        return
    counter = Progress(len(items))
    for item in items:
        sys.stderr.write(f"\r\x1b[K{counter.begin(label)}")
        sys.stderr.flush()
        yield item
    sys.stderr.write("\r\x1b[K")
