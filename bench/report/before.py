"""What a changed figure was before and after, as strips to draw beside it."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from math import exp

from bench.compare.observation import Observation, differences
from bench.compare.sources import observe_all
from bench.compare.thresholds import load_thresholds
from bench.records.run import Run
from bench.report.strip import Strips, strips
from bench.report.text import MIB, count

Draw = Callable[[str, str], Strips | None]
"""The strips of a case's id and a metric; None where there is nothing to draw."""
_NIGHTS = 2  # fewer values of a figure that has no rounds show nothing that its two numbers do not


def of_runs(base: Run, new: Run) -> Draw:
    """The rounds of two runs: of times only, as nothing else has rounds."""
    before, after = ({row.case.id: row.measured.timing for row in run.rows if row.timed} for run in (base, new))

    def draw(case: str, metric: str) -> Strips | None:
        if metric != "time" or case not in before or case not in after:
            return None
        return strips(before[case].samples_ms, after[case].samples_ms)

    return draw


def of_nights(base: Sequence[Observation], run: Run) -> Draw:
    """The nights of a history and tonight: batches of rounds of a time, one value a night of any other figure.

    Args:
        base: Observations of the nights, the oldest first.
        run: Tonight's.
    """
    metrics = load_thresholds().metrics
    earlier: defaultdict[str, list[Observation]] = defaultdict(list)
    for item in base:
        earlier[item.id].append(item)
    tonight: defaultdict[str, list[Observation]] = defaultdict(list)
    for item in observe_all(run.records, metrics):
        tonight[item.id].append(item)

    def draw(case: str, metric: str) -> Strips | None:
        new = next((item for item in tonight[case] if metric in item.values), None)
        if new is None:
            return None
        nights = [item for item in earlier[case] if metric in item.values and not differences(item, new)]
        if metric == "time":
            before = [exp(value) for item in nights if item.rounds for value in item.rounds.case]
            after = [exp(value) for value in new.rounds.case] if new.rounds else []
            what = f"batches of rounds, of {count(len(nights), 'night')} and of tonight"
            return strips(before, after, "ms", what) if before and after else None
        if len(nights) < _NIGHTS:
            return None
        unit = metrics[metric].unit
        scale, unit = (MIB, "MiB") if unit == "bytes" else (1, unit)
        values = [item.values[metric] / scale for item in (*nights, new)]
        return strips(values[:-1], values[-1:], unit, f"{count(len(nights), 'night')} and tonight")

    return draw
