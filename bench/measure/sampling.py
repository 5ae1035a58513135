"""When to stop: rounds go on until the median is known well enough, or time is up.

A round runs every contender once, in an order drawn anew, so that drift of clocks and heat falls on all of
them alike and ratios between them stay honest::

    round 1   case   eager fp16   eager fp32
    round 2   eager fp32   case   eager fp16
    ...       until the case's median is stable

Rounds that something disturbed, as a watch between them says, are marked and not used.
"""

import gc
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from bench.errors import InputError
from bench.measure.statistics import LEAST_ROUNDS, median_interval
from bench.records.kinds.speed import Marked

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

    def share(self, processes: int) -> "StopRule":
        """The rule of each of several processes that share a case's rounds."""
        if processes == 1:
            return self
        least = max(math.ceil(self.min_rounds / processes), min(self.min_rounds, LEAST_ROUNDS))
        return replace(
            self,
            min_rounds=least,
            min_time_s=self.min_time_s / processes,
            # As many rounds in all as one process would take.
            relative_width=self.relative_width * math.sqrt(processes),
            time_limit_s=self.time_limit_s / processes,
            max_rounds=max(math.ceil(self.max_rounds / processes), least),
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


# A watch says what disturbed the time since it last looked; None where it did not look.
Look: TypeAlias = "Callable[[], frozenset[str] | None]"
# More of the rounds than this marked, and the rest is no answer either.
MOST_MARKED = 0.5


@dataclass(frozen=True)
class Samples:
    """Durations of one contender, one a round, in order."""

    device_ms: tuple[float, ...]
    host_ms: tuple[float, ...]
    launch_ms: tuple[float, ...]


@dataclass(frozen=True)
class Sampled:
    """What sampling gave.

    Attributes:
        contenders: Rounds that are used, of each contender.
        reason: Why it ended.
        marked: Rounds that are not; None without any.
    """

    contenders: list[Samples]
    reason: str
    marked: Marked | None = None


@dataclass
class _Marks:
    """Which rounds were disturbed, by what. A round may have begun before the watch last looked."""

    look: Look
    causes: list[frozenset[str]] = field(default_factory=list)
    _seen: int = 0

    def after_round(self) -> None:
        """Looks; what the watch says is of all rounds since it last did."""
        self.causes.append(frozenset())
        found = self.look()
        if found is not None:
            self.causes[self._seen :] = [found] * (len(self.causes) - self._seen)
            self._seen = len(self.causes)

    @property
    def clean(self) -> list[int]:
        """Rounds that nothing disturbed."""
        return [number for number, causes in enumerate(self.causes) if not causes]


def sample(
    contenders: Sequence[Contender],
    rule: StopRule,
    seed: int,
    look: Look = lambda: None,
    now: Callable[[], float] = time.monotonic,
) -> Sampled:
    """Runs rounds until ``rule`` is content with the first contender.

    Args:
        contenders: The case, then its baselines.
        rule: When to stop.
        seed: Of the order within rounds.
        look: Called after every round, outside every timed span.
        now: Clock of the time limit, in seconds.
    """
    order = np.random.default_rng(seed)
    taken: list[list[Duration]] = [[] for _ in contenders]
    marks = _Marks(look)
    started = now()
    reason = None
    # What was before the first round disturbed none.
    look()
    with _no_collections():
        while reason is None:
            for index in order.permutation(len(contenders)):
                taken[index].append(contenders[index]())
            marks.after_round()
            # A case that is disturbed all along ends as one that never settles does.
            used = marks.clean if len(taken[0]) < rule.max_rounds else range(len(taken[0]))
            elapsed_s = now() - started
            reason = rule.reason([taken[0][number].device_ms for number in used], elapsed_s)
            if reason is None and len(taken[0]) >= rule.min_rounds and elapsed_s >= rule.time_limit_s:
                reason = "time_limit"
    return _sampled(taken, marks, reason, rule)


def _sampled(taken: Sequence[Sequence["Duration"]], marks: _Marks, reason: str, rule: StopRule) -> Sampled:
    count, clean = len(taken[0]), marks.clean
    enough = len(clean) >= min(LEAST_ROUNDS, rule.min_rounds)
    # Where hardly any is left, figures of all of them are better than none, and are no answer.
    used = clean if enough else list(range(count))
    contenders = [Samples(*zip(*(durations[number] for number in used), strict=True)) for durations in taken]
    if len(clean) == count:
        return Sampled(contenders, reason)
    causes = Counter(cause for found in marks.causes for cause in found)
    share = 1 - len(clean) / count
    unstable = ""
    if share > MOST_MARKED or not enough:
        cause = causes.most_common(1)[0][0]
        unstable = f"{count - len(clean)} of {count} rounds were disturbed: {cause}."
    left = [durations.device_ms for number, durations in enumerate(taken[0]) if marks.causes[number]]
    return Sampled(contenders, reason, Marked(count - len(clean), count, dict(causes), tuple(left), unstable))
