"""Whether figures were taken on a machine that was as it should be: what a reader must know before any of them."""

from collections import Counter
from collections.abc import Iterable

from bench.records.kinds.speed import GpuState, Speed
from bench.records.schema import Record

# Reasons for lower clocks that tell of heat or a fault. A card at its power limit is a card at work.
THERMAL = frozenset({"hw_slowdown", "sw_thermal", "hw_thermal", "hw_power_brake"})
# Share of its usual clock under which a GPU is another machine, as in nvbench's throttle check.
LEAST_CLOCK = 0.75
_SHOWN = 3


def why_invalid(record: Record) -> str:
    """Why a record's durations are no answer, as the end of a sentence; empty where they are one, or there are none."""
    speed = record.answer(Speed)
    if speed is None:
        return ""
    if speed.unstable:
        return speed.unstable.rstrip(".")
    if speed.marked is not None or speed.gpu_state is None:
        # Rounds that were disturbed are known one by one, and left out.
        return ""
    return _state_problem(record, speed.gpu_state)


def _state_problem(record: Record, state: GpuState) -> str:
    """What a whole case's readings say, where nothing is known of single rounds."""
    if reasons := sorted(THERMAL.intersection(state.throttle_reasons)):
        return f"the GPU throttled while it was timed ({', '.join(reasons)})"
    clock, usual = state.sm_clock_median_mhz, _usual_mhz(record)
    if clock is not None and usual is not None and clock < LEAST_CLOCK * usual:
        return f"the GPU ran at {clock} MHz, under 75 % of its {usual} MHz"
    return ""


def _usual_mhz(record: Record) -> int | None:
    gpu = record.environment.get("gpu")
    values = (
        [gpu.get(name) for name in ("application_sm_clock_mhz", "max_sm_clock_mhz")] if isinstance(gpu, dict) else []
    )
    return next((value for value in values if isinstance(value, int) and value > 0), None)


def validity_problems(records: Iterable[Record]) -> list[str]:
    """What is wrong with how a run's durations were taken, each as one sentence, the worst first.

    Args:
        records: Of one run, the last of each case and kind.
    """
    timed = [(record, speed) for record in records if (speed := record.answer(Speed)) is not None]
    if not timed:
        return []
    problems = []
    reasons = {record.id: reason for record, _ in timed if (reason := why_invalid(record))}
    if reasons:
        causes = Counter(reasons.values())
        what = "; ".join(cause for cause, _ in causes.most_common(_SHOWN))
        if len(reasons) == len(timed):
            problems.append(f"No timed case is an answer: {what}.")
        else:
            names = ", ".join(list(reasons)[:_SHOWN]) + (", ..." if len(reasons) > _SHOWN else "")
            problems.append(f"{len(reasons)} of {len(timed)} timed cases are no answer ({names}): {what}.")
    marked = [speed.marked for _, speed in timed if speed.marked is not None and not speed.unstable]
    if marked:
        seen = Counter(cause for part in marked for cause in part.causes)
        rounds, of = sum(part.rounds for part in marked), sum(part.of for part in marked)
        what = "; ".join(cause for cause, _ in seen.most_common(_SHOWN))
        problems.append(f"{rounds} of {of} rounds of {len(marked)} cases were disturbed and are not used: {what}.")
    return problems
