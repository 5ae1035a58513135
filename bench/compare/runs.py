"""What became faster, slower, better or worse between two runs, and what cannot be told.

    records -> Observation (rounds in batches) -> pairs -> machine's move -> tests -> verdicts

A verdict needs evidence that holds among all the questions asked, and a change that is large enough to
matter. Evidence is weighed against all the noise there is: within a run (:mod:`.noise`), of the machine
(:mod:`.machine`), and between nights (:mod:`.judging`).
"""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.compare.judging import judge
from bench.compare.levels import Side
from bench.compare.machine import Key, Machine
from bench.compare.observation import Observation, differences, noted
from bench.compare.result import CaseComparison, Change, Comparison, Pairing, Verdict
from bench.compare.sources import observe_all, read_side
from bench.compare.thresholds import Thresholds, load_thresholds
from bench.records.schema import Record, Status

Source = str | Path | Sequence[Record]


def compare_runs(
    base: Source,
    new: Source,
    *,
    history: Sequence[Observation] = (),
    thresholds: Thresholds | None = None,
) -> Comparison:
    """Compares two runs, or two folders of runs.

    Args:
        base: A run's directory, its ``records.jsonl``, a folder of runs, or records.
        new: The same.
        history: Observations of earlier nights from :func:`bench.compare.history.read_history`; they show how far
            nights differ.
        thresholds: The suite's own by default.

    Raises:
        InputError: one of the sides cannot be read.
    """
    thresholds = thresholds or load_thresholds()
    sides = []
    for source in (base, new):
        if isinstance(source, str | Path):
            sides.append(read_side(Path(source), thresholds.metrics))
        else:
            sides.append(observe_all(source, thresholds.metrics))
    return compare_observations(sides[0], sides[1], history=history, thresholds=thresholds)


def compare_observations(
    base: Iterable[Observation],
    new: Iterable[Observation],
    *,
    history: Iterable[Observation] = (),
    thresholds: Thresholds | None = None,
) -> Comparison:
    """Compares observations, such as nights of history, as :func:`compare_runs` does."""
    thresholds = thresholds or load_thresholds()
    before, after = _by_case(base), _by_case(new)
    new_runs = {item.run_id for side in after.values() for item in side}
    past = _by_case(item for item in history if item.run_id not in new_runs)

    pairs: dict[Key, tuple[Side, Side]] = {}
    earlier: dict[Key, Side] = {}
    for key in after.keys() & before.keys():
        latest = after[key][-1]
        sides = [
            _answers([item for item in side if item.ok and not differences(item, latest)])
            for side in (before[key], after[key], past.get(key, []))
        ]
        if latest.ok and sides[0]:
            pairs[key] = (sides[0], sides[1])
            earlier[key] = sides[2]
    # Sets have no order, and the order decides how ties and tables look.
    pairs = {key: pairs[key] for key in after if key in pairs}
    changes, machine, tests = judge(pairs, earlier, thresholds)

    keys = [*after, *(key for key in before if key not in after)]
    controls = {key: _control(pairs.get(key), machine, thresholds) for key in keys}
    cases = tuple(_case(before.get(key), after.get(key), changes.get(key, []), controls[key]) for key in keys)
    return Comparison(
        base=_run_ids(before),
        new=_run_ids(after),
        cases=cases,
        weights=_names(item.weights for side in (*before.values(), *after.values()) for item in side),
        notes=_names(note for case in cases for note in case.notes),
        machine=_machine(machine, thresholds),
        tests=tests,
        alpha=thresholds.alpha,
        history_nights=len({item.run_id for side in earlier.values() for item in side}),
        one_process=sum(_one_process(base, new) for base, new in pairs.values()),
    )


def _one_process(base: Side, new: Side) -> bool:
    return any(item.rounds is not None and item.processes is None for item in (*base, *new))


def _control(pair: tuple[Side, Side] | None, machine: Machine, thresholds: Thresholds) -> tuple[float | None, bool]:
    """How far a case's machine moved, and whether that was taken out."""
    move = machine.move(*pair) if pair is not None else None
    return move, move is not None and abs(move) <= thresholds.control_limit


def _answers(side: list[Observation]) -> list[Observation]:
    """Without disturbed observations, where there are others."""
    return [item for item in side if not item.unstable] or side


def _machine(machine: Machine, thresholds: Thresholds) -> Change | None:
    """The verdict on what all eager baselines did together, for which no case can be blamed."""
    common = machine.common
    if common is None:
        return None
    verdict = Verdict.SAME
    if abs(common) > math.log1p(thresholds.machine_floor):
        verdict = Verdict.SLOW if common > 0 else Verdict.FAST
    elif abs(common) > thresholds.control_limit:
        verdict = Verdict.UNCLEAR
    reason = "" if verdict is Verdict.SAME else "the machine or eager itself changed; compare clocks and versions"
    return Change(
        "machine", verdict, "", "ratio", None, None, math.exp(common),
        floor=thresholds.machine_floor, reason=reason,
    )  # fmt: skip


def _by_case(observations: Iterable[Observation]) -> dict[Key, list[Observation]]:
    """One observation a run, oldest first, by case."""
    last = {(item.key, item.run_id): item for item in observations}
    grouped: dict[Key, list[Observation]] = {}
    for item in last.values():
        grouped.setdefault(item.key, []).append(item)
    return {key: sorted(side, key=lambda item: item.recorded_at) for key, side in grouped.items()}


def _run_ids(sides: dict[Key, list[Observation]]) -> tuple[str, ...]:
    started: dict[str, str] = {}
    for side in sides.values():
        for item in side:
            started[item.run_id] = min(item.recorded_at, started.get(item.run_id, item.recorded_at))
    return tuple(sorted(started, key=lambda run_id: (started[run_id], run_id)))


def _names(names: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name))


def _case(
    before: Sequence[Observation] | None,
    after: Sequence[Observation] | None,
    changes: list[Change],
    control: tuple[float | None, bool],
) -> CaseComparison:
    if before is None or after is None:
        only = (before or after or [])[-1]
        return CaseComparison(
            kind=only.kind,
            id=only.id,
            pairing=Pairing.NEW if before is None else Pairing.VANISHED,
            status_base=only.status if before else None,
            status_new=only.status if after else None,
            # A failure is a row with a reason, so a row that is missing means that the run did not get there.
            status_verdict=Verdict.WORSE if after is None and only.ok else Verdict.SAME,
            reasons=(only.reason,) if only.reason else (),
        )
    new = after[-1]
    comparable = [item for item in before if not differences(item, new)]
    old = (comparable or before)[-1]
    verdict = Verdict.SAME
    reasons = [f"{item.status}: {item.reason}" for item in (old, new) if not item.ok]
    if not comparable:
        reasons = differences(old, new)
    elif old.ok != new.ok:
        verdict = Verdict.BETTER if new.ok else Verdict.WORSE
    elif Status.WRONG_OUTPUT in (old.status, new.status) and old.status != new.status:
        verdict = Verdict.WORSE if new.status == Status.WRONG_OUTPUT else Verdict.BETTER
    return CaseComparison(
        kind=new.kind,
        id=new.id,
        pairing=Pairing.COMPARED if comparable else Pairing.NOT_COMPARED,
        status_base=old.status,
        status_new=new.status,
        status_verdict=verdict,
        reasons=tuple(dict.fromkeys(reasons)),
        notes=tuple(noted(old, new)) if comparable else (),
        changes=tuple(changes),
        control=None if control[0] is None else math.exp(control[0]),
        control_used=control[1],
    )
