"""Ctrl-C and SIGTERM during a sweep: the first stops it in order, the second at once."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType

_NUMBERS = (signal.SIGINT, signal.SIGTERM)


class StopSweep(KeyboardInterrupt):
    """Raised where the sweep may be left at once.

    Args:
        number: Of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(sentence(number))
        self.number = number


class Signals:
    """Handles both signals from :meth:`install` to :meth:`restore`.

    The first signal is noted, and raised as :class:`StopSweep` inside :meth:`raising`; elsewhere whoever runs the
    sweep looks at :attr:`number` before the next case. The second ends the process.

    Attributes:
        number: Of the first signal; None while there is none.
        at_once: Called before the second signal ends the process, such as to kill workers.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.at_once: Callable[[], None] = lambda: None
        self._raises = False
        self._before: dict[int, object] = {}

    def install(self) -> None:
        """Takes the signals over; off the main thread, where Python allows none, nothing happens."""
        with contextlib.suppress(ValueError):
            for number in _NUMBERS:
                self._before[number] = signal.signal(number, self._handle)

    def restore(self) -> None:
        """Gives the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._before.clear()

    @property
    def code(self) -> int | None:
        """The exit code of a sweep that a signal ended: 130 or 143; None where none did."""
        return None if self.number is None else 128 + self.number

    @contextlib.contextmanager
    def raising(self) -> Iterator[None]:
        """Where a signal ends what runs; one that came before does at once."""
        self._raises = True
        try:
            if self.number is not None:
                raise StopSweep(self.number)
            yield
        finally:
            self._raises = False

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self.number is not None:
            self.at_once()
            sys.stderr.flush()
            os._exit(128 + number)
        self.number = number
        if self._raises:
            self._raises = False
            raise StopSweep(number)


def sentence(number: int) -> str:
    """What to say of a sweep that a signal ended."""
    return "interrupted by Ctrl-C" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"
