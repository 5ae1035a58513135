"""An event loop whose time passes at once, so that a minute of load takes milliseconds and has exact latencies."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class _Skipping(selectors.DefaultSelector):
    """Waits for nothing: what it was to wait is added to the clock."""

    passed_s = 0.0

    def select(self, timeout: float | None = None) -> Any:
        """What is ready now."""
        ready = super().select(0)
        if timeout and not ready:
            self.passed_s += timeout
        return ready


def hold(seconds: float) -> None:
    """Lets time pass while nothing else runs, as a callback does that takes long."""
    asyncio.get_running_loop()._selector.passed_s += seconds  # type: ignore[attr-defined]


def run(scene: Coroutine[Any, Any, Result]) -> Result:
    """Runs a scene in virtual time."""
    selector = _Skipping()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.passed_s  # type: ignore[method-assign]
    try:
        return loop.run_until_complete(scene)
    finally:
        loop.close()
