"""Ratios of two cases of one sweep, each with its interval; None where the sweep has no such pair.

Eager runs in turn with every case, so that their ratio holds whatever the machine did meanwhile. Two cases that both
ran in turn with the same eager are compared through it.
"""

from dataclasses import dataclass

from bench.records.rows import PLAIN_PYTORCH, Group, Row
from bench.records.schema import Speedup, waits_for_host


@dataclass(frozen=True)
class Ratio:
    """How many times as fast a case is as another.

    Attributes:
        value: Time of the other over that of the case.
        low, high: 95 % interval; None where there are too few rounds.
        base: The other's case id.
        waited: Whether the other is launch-bound.
    """

    value: float
    low: float | None
    high: float | None
    base: str
    waited: bool = False

    @property
    def reduction(self) -> tuple[float, float | None, float | None]:
        """The same as a reduction of time in per cent, with its interval."""
        low = None if self.low is None else 100 * (1 - 1 / self.low)
        return 100 * (1 - 1 / self.value), low, None if self.high is None else 100 * (1 - 1 / self.high)


def over_eager(row: Row, precision: str) -> Ratio | None:
    """Against eager of a precision, from rounds in turn."""
    speedup = _in_turn(row, precision)
    if speedup is None:
        return None
    return Ratio(speedup.ratio, speedup.ci95_low, speedup.ci95_high, speedup.baseline, speedup.baseline_waits_for_host)


def over_plain(group: Group, row: Row) -> Ratio | str:
    """Against the best plain PyTorch of the same shape, precision and sweep; or why there is no such ratio.

    Both ran in turn with the same eager. An eager that waits for its host links nothing: its time is the host's.
    The bounds are those that both intervals leave.
    """
    plain = best_plain(group, row)
    if plain is None:
        return "no plain PyTorch of this shape and precision whose sound does not fail is in this sweep"
    ours = over_eager(row, plain.case.precision)
    if plain.configuration == f"eager {plain.case.precision}" and ours is not None:
        return ours
    for precision in ("fp32", plain.case.precision):
        ours, theirs = over_eager(row, precision), over_eager(plain, precision)
        if ours is not None and theirs is not None and not (ours.waited or theirs.waited):
            low = None if ours.low is None or not theirs.high else ours.low / theirs.high
            high = None if ours.high is None or not theirs.low else ours.high / theirs.low
            return Ratio(ours.value / theirs.value, low, high, plain.case.id, _waits(plain))
    return f"{plain.case.id} did not run in turn with it, nor with an eager that keeps its GPU busy"


def best_plain(group: Group, row: Row) -> Row | None:
    """The fastest plain PyTorch of a row's shape, precision and sweep; None for plain PyTorch itself."""
    if row.case.backend in PLAIN_PYTORCH:
        return None
    return same_sweep(group, row).best_plain(row.case)


def same_sweep(group: Group, row: Row) -> Group:
    """The rows of a group that one sweep measured together with a row."""
    rows = tuple(other for other in group.rows if other.record.run_id == row.record.run_id)
    return Group(group.version, group.device, group.weights, group.synthetic, rows, (*group.rows, *group.judged))


def eager_of(group: Group, row: Row, precision: str) -> Row | None:
    """Eager's own case at a row's shape in the same sweep."""
    wanted = row.case.baseline(precision)
    return next((other for other in same_sweep(group, row).rows if other.case == wanted), None)


def without_context(row: Row) -> int | None:
    """Bytes of a case itself: what torch's allocator took at its peak and the engine, which lies outside of it.

    CUDA's own context, some 500 MiB that every process has, is not in it. On a CPU the growth of the resident set.
    """
    memory, build = row.measured.memory, row.record.build
    if memory is None:
        return None
    if memory.reserved_peak_bytes is not None:
        return memory.reserved_peak_bytes + (build.engine_bytes or 0 if build else 0)
    return memory.device_delta_bytes if memory.device_delta_bytes is not None else memory.rss_delta_bytes


def _in_turn(row: Row, precision: str) -> Speedup | None:
    wanted = row.case.baseline(precision).id
    for speedup in (row.measured.speedup_fp32, row.measured.speedup_same_precision):
        if speedup is not None and speedup.baseline == wanted:
            return speedup
    return None


def _waits(row: Row) -> bool:
    timing = row.measured.timing
    return waits_for_host(timing.launch_median_ms, timing.median_ms)
