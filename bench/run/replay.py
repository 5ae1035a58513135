"""A timer that shows measured durations again, for pytest-benchmark's table and JSON."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol


class Benchmark(Protocol):
    """What is used of pytest-benchmark's fixture, which has no types."""

    group: str | None
    extra_info: dict[str, Any]

    def pedantic(self, target: Callable[[], None], *, rounds: int, iterations: int) -> object:
        """Times ``target``."""


class ReplayClock:
    """A timer for pytest-benchmark that advances by measured durations only.

    The rounds have been run, in turn with their baselines, when pytest-benchmark asks for them; its table
    and its JSON show the same samples as the record.
    """

    def __init__(self) -> None:
        self.now_s = 0.0
        self._rest_s: Iterator[float] = iter(())

    def __call__(self) -> float:
        """The present, in seconds."""
        return self.now_s

    def advance(self) -> None:
        """Moves on by the next sample."""
        self.now_s += next(self._rest_s, 0.0)

    def replay(self, benchmark: Benchmark, samples_ms: tuple[float, ...]) -> None:
        """Lets ``benchmark`` time these samples, one a round."""
        self._rest_s = iter([sample / 1000 for sample in samples_ms])
        benchmark.pedantic(self.advance, rounds=len(samples_ms), iterations=1)
