"""The order of a sweep: what one worker does comes together, and what is streamed of it."""

from collections.abc import Sequence

from bench.case import Case, configuration
from bench.records.plan import Key
from bench.run.job import Kind

# Kinds that one worker does for its cases, in this order: speed comes before anything else has run in the process.
_TOGETHER = (Kind.SPEED, Kind.QUALITY, Kind.STREAMING)


def grouped(cases: Sequence[Case]) -> list[Case]:
    """Cases of one worker one after another, as far as possible in the order of the sweep."""
    return [case for group in _groups(cases) for case in group]


def in_order(keys: Sequence[Key | None], cases: Sequence[Case]) -> list[int]:
    """The order in which to do what files records: a worker's together, because a start takes seconds.

    Args:
        keys: Kind and case id; None for what files no record, which comes last, as load tests do.
        cases: Of the sweep.

    Returns:
        Places in ``keys``.
    """
    groups = {case.id: number for number, group in enumerate(_groups(cases)) for case in group}

    def place(index: int) -> tuple[int, int]:
        kind, case = keys[index] or ("", "")
        if kind not in _TOGETHER or case not in groups:
            return len(groups), 0
        return groups[case], [str(other) for other in _TOGETHER].index(kind)

    return sorted(range(len(keys)), key=place)


def _groups(cases: Sequence[Case]) -> list[list[Case]]:
    """The cases of each worker."""
    places: dict[tuple[str, str, str], list[Case]] = {}
    for case in cases:
        places.setdefault((case.version, case.precision, case.backend), []).append(case)
    return list(places.values())


def utterances(cases: Sequence[Case]) -> list[Case]:
    """What is streamed of a sweep: of every configuration the longest case of one item, in the order of the cases."""
    longest: dict[tuple[str, str], Case] = {}
    for case in cases:
        place = (case.version, configuration(case))
        if case.batch == 1 and (place not in longest or case.frames > longest[place].frames):
            longest[place] = case
    chosen = set(longest.values())
    return [case for case in cases if case in chosen]
