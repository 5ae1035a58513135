"""What pytest-benchmark shows of a measured case: a timer that replays durations, and facts beside them."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from bench.records.schema import Record, Speed


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


def headline(record: Record) -> dict[str, Any]:
    """What pytest-benchmark's JSON says of a measured case beside its durations; the record says more."""
    speed = record.answer(Speed)
    timing, throughput = (speed.timing, speed.throughput) if speed else (None, None)
    same, full = (speed.speedup_same_precision, speed.speedup_fp32) if speed else (None, None)
    return {
        "id": record.id,
        "run_id": record.run_id,
        "weights": record.weights.name if record.weights else None,
        "clock": timing.clock if timing else None,
        "stop_reason": timing.stop_reason if timing else None,
        "audio_s_per_s": throughput.audio_s_per_s if throughput else None,
        "real_time_factor": throughput.real_time_factor if throughput else None,
        "speedup_same_precision": same.ratio if same else None,
        "speedup_fp32": full.ratio if full else None,
        "compute": record.precision.compute if record.precision else None,
    }
