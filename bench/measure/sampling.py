"""When to stop: rounds go on until the median is known well enough, or time is up.

A round runs every contender once, in an order drawn anew, so that drift of clocks and heat falls on all of
them alike and ratios between them stay honest::

    round 1   case   eager fp16   eager fp32
    round 2   eager fp32   case   eager fp16
    ...       until the case's median is stable
"""

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from bench.errors import InputError
from bench.measure.statistics import median_interval

if TYPE_CHECKING:
    # A clock brings torch, which the settings of a run, a stop rule among them, do without.
    from bench.measure.clock import Duration

# A contender: runs one inference and says how long it took.
Contender: TypeAlias = "Callable[[], Duration]"


@dataclass(frozen=True)
class StopRule:
    """When a case has been sampled enough.

    Attributes:
        min_rounds: Fewest rounds.
        min_time_s: Shortest sum of the case's own samples; short inferences get many rounds.
        relative_width: Target half-width of the median's 95 % interval, over the median.
        time_limit_s: Longest sampling of a case, baselines included; checked between rounds.
        max_rounds: Most rounds.
    """

    min_rounds: int = 10
    min_time_s: float = 0.5
    relative_width: float = 0.01
    time_limit_s: float = 10.0
    max_rounds: int = 2000

    def __post_init__(self) -> None:
        if not 1 <= self.min_rounds <= self.max_rounds or self.time_limit_s <= 0 or self.relative_width <= 0:
            raise InputError(
                "a stop rule needs 1 <= min_rounds <= max_rounds, a positive time_limit_s and relative_width"
            )

    def reason(self, samples_ms: Sequence[float], elapsed_s: float) -> str | None:
        """Why to stop after these samples; None to go on."""
        rounds = len(samples_ms)
        if rounds >= self.max_rounds:
            return "max_rounds"
        if rounds >= self.min_rounds and sum(samples_ms) >= self.min_time_s * 1000:
            interval = median_interval(samples_ms)
            if interval is not None:
                half_width = (interval[1] - interval[0]) / 2
                if half_width <= self.relative_width * float(np.median(samples_ms)):
                    return "stable"
        if rounds >= self.min_rounds and elapsed_s >= self.time_limit_s:
            return "time_limit"
        return None


@contextmanager
def _no_collections() -> Iterator[None]:
    """Keeps Python's garbage collector, which a launch-bound inference sets off, out of the samples."""
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@dataclass(frozen=True)
class Samples:
    """Durations of one contender, one a round, in order."""

    device_ms: tuple[float, ...]
    host_ms: tuple[float, ...]
    launch_ms: tuple[float, ...]


def sample(
    contenders: Sequence[Contender],
    rule: StopRule,
    seed: int,
    between: Callable[[], None] = lambda: None,
    now: Callable[[], float] = time.monotonic,
) -> tuple[list[Samples], str]:
    """Runs rounds until ``rule`` is content with the first contender.

    Args:
        contenders: The case, then its baselines.
        rule: When to stop.
        seed: Of the order within rounds.
        between: Called after every round, outside every timed span.
        now: Clock of the time limit, in seconds.

    Returns:
        One :class:`Samples` a contender, and the reason for stopping.
    """
    order = np.random.default_rng(seed)
    taken: list[list[Duration]] = [[] for _ in contenders]
    device: list[float] = []
    started = now()
    reason = None
    with _no_collections():
        while reason is None:
            for index in order.permutation(len(contenders)):
                taken[index].append(contenders[index]())
            between()
            device.append(taken[0][-1].device_ms)
            reason = rule.reason(device, now() - started)
    return [Samples(*zip(*durations, strict=True)) for durations in taken], reason
