"""What a sceptical reader must know before any figure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from bench.records.run import Run
from bench.records.schema import Record, Speed, Speedup, Status
from bench.records.validity import validity_problems
from bench.report.text import count


def notes_of(run: Run) -> list[str]:
    """Everything to know before reading: of the records themselves, and of how they came about."""
    return [*run.notices, *warnings_of(run)]


def warnings_of(run: Run) -> list[str]:
    """What a sceptical reader must know before any figure."""
    records = [row.record for row in run.rows]
    caveats = (c for record in records if record.weights for c in record.weights.caveats(record.case.version))
    found = list(dict.fromkeys(caveats))
    if any(record.environment.get("git") and _dirty(record) for record in records):
        found.append("The code had uncommitted changes; the commit alone does not reproduce this run.")
    timed = [row.measured for row in run.rows if row.timed]
    found += [*validity_problems(records), *_throttled(timed), *_stopped(timed), *_waited(run)]
    failed = Counter(record.status.value.replace("_", " ") for record in records if record.status is not Status.OK)
    if failed:
        found.append(
            f"{sum(failed.values())} of {count(len(records), 'case')} gave no figure: "
            + ", ".join(f"{times} {name}" for name, times in failed.most_common())
            + "."
        )
    return found


def _throttled(timed: Sequence[Speed]) -> Iterator[str]:
    states = [speed.gpu_state for speed in timed if speed.gpu_state]
    throttled = [state for state in states if state.throttled]
    if throttled:
        reasons = sorted({reason for state in throttled for reason in state.throttle_reasons})
        of = count(len(timed), "timed case")
        yield f"The GPU throttled in {len(throttled)} of {of}: {', '.join(reasons)}."


def _stopped(timed: Sequence[Speed]) -> Iterator[str]:
    stopped = sum(speed.timing.stop_reason == "time_limit" for speed in timed)
    if stopped:
        of = count(len(timed), "timed case")
        yield f"{stopped} of {of} stopped at the time limit before the median was stable."


def _waited(run: Run) -> Iterator[str]:
    speedups = [
        speedup
        for row in run.rows
        if row.timed
        for speedup in _distinct_speedups(row.measured)
        if speedup.baseline != row.case.id
    ]
    waited = sum(speedup.baseline_waits_for_host for speedup in speedups)
    if waited:
        yield (
            f"In {waited} of {count(len(speedups), 'comparison')} with eager in turn, eager is launch-bound: "
            "those ratios depend on the host's processor as much as on the GPU."
        )


def _distinct_speedups(speed: Speed) -> Iterable[Speedup]:
    return {s.baseline: s for s in (speed.speedup_fp32, speed.speedup_same_precision) if s}.values()


def _dirty(record: Record) -> bool:
    git = record.environment.get("git")
    return isinstance(git, dict) and bool(git.get("dirty"))
