"""Progress of long work, one line on the terminal."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def progress(items: Iterable[T], label: str) -> Iterator[T]:
    """Yields the items; on a terminal, standard error says which of how many and the time left.

    Nothing is written where standard error is not a terminal.
    """
    items = list(items)
    if not sys.stderr.isatty():
        yield from items
        return
    start = time.monotonic()
    for index, item in enumerate(items):
        left_s = (time.monotonic() - start) / index * (len(items) - index) if index else None
        left = "" if left_s is None else f", {left_s:.0f} s left"
        sys.stderr.write(f"\r\x1b[K{label}: {index + 1} of {len(items)}{left}")
        sys.stderr.flush()
        yield item
    sys.stderr.write("\r\x1b[K")
