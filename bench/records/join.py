"""Records of one run, of whatever kinds, as rows: one a case, with the verdict on its sound."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from bench.records.rows import FAIL, NOT_JUDGED, PASS, REFERENCE, WARN, Group, Judgement, Row, first_kind
from bench.records.schema import Record, Result, Sound, Speed, Status

Found = tuple[int, Record]  # a record and its line
_Case = dict[str, Found]  # the records of one case by kind


def join(records: Sequence[Found]) -> tuple[list[Row], int]:
    """One row a case, device and weights, with the last record of each kind.

    Returns:
        The rows, in the order of the file, and how many records a later one of the same case and kind replaces.
    """
    last: dict[tuple[str, str, str, str | None], Found] = {}
    for line, record in records:
        place = (record.kind, record.id, record.device, record.weights.sha256 if record.weights else None)
        last[place] = (line, record)
    sounds = _Sounds(found for found in last.values() if found[1].kind == Sound.kind)
    rows = [_row(case, *sounds.of(case)) for case in _cases(last.values())]
    rows += [_row({Sound.kind: found}, found) for found in sounds.left]
    return sorted(rows, key=lambda row: row.line), len(records) - len(last)


def _cases(found: Iterable[Found]) -> list[_Case]:
    """The records of every kind but the sound, together where case, device and weights are the same."""
    cases: defaultdict[tuple[str, str], list[_Case]] = defaultdict(list)
    for line, record in found:
        if record.kind == Sound.kind:
            continue
        same = cases[record.id, record.device]
        for case in same:
            if record.kind not in case and all(_same_weights(record, other) for _, other in case.values()):
                case[record.kind] = (line, record)
                break
        else:
            same.append({record.kind: (line, record)})
    return [case for same in cases.values() for case in same]


class _Sounds:
    """The sounds of a run, each for its own case and for those that sound the same."""

    def __init__(self, found: Iterable[Found]) -> None:
        self._left = dict(found)
        self._by_case: defaultdict[tuple[str, str], list[Found]] = defaultdict(list)
        self._by_sound: defaultdict[tuple[str, str], list[Found]] = defaultdict(list)
        for line, record in self._left.items():
            self._by_case[record.id, record.device].append((line, record))
            self._by_sound[_sounds_as(record), record.device].append((line, record))

    def of(self, case: _Case) -> tuple[Found | None, bool]:
        """The sound of a case, and whether there are sounds of it, if only with other weights."""
        record = case[first_kind(case)][1]
        matches = self._by_case[record.id, record.device] or self._by_sound[_sounds_as(record), record.device]
        chosen = None
        for found in matches:
            if _same_weights(record, found[1]):
                chosen = found
        if chosen is not None and chosen[1].id == record.id:
            self._left.pop(chosen[0], None)
        return chosen, bool(matches)

    @property
    def left(self) -> list[Found]:
        """Sounds whose own case has no other record; known when every case has been asked for."""
        return list(self._left.items())


def _same_weights(one: Record, other: Record) -> bool:
    """Whether they ran the same weights, as far as both know theirs."""
    return one.weights is None or other.weights is None or one.weights == other.weights


def _sounds_as(record: Record) -> str:
    """What a case's sound depends on: a CUDA graph replays the same kernels of the same engine."""
    return record.case.without("cuda_graph").without("graphs").id


def _row(case: _Case, sound: Found | None, others: bool = False) -> Row:
    line, record = case[first_kind(case)]
    records = {kind: found[1] for kind, found in case.items()}
    if sound is not None:
        records[Sound.kind] = sound[1]
    return Row(record, records, line, _judge(record, sound[1] if sound else None, others))


def _judge(record: Record, quality: Record | None, others: bool) -> Judgement:
    case = record.case
    if quality is None:
        if (case.backend, case.precision, case.options) == ("eager", "fp32", ()):
            return Judgement(REFERENCE)
        return Judgement(NOT_JUDGED, "its sound was judged with other weights only" if others else "")
    if quality.status is Status.WRONG_OUTPUT:
        return Judgement(FAIL, quality.reason)
    sound = quality.answer(Sound)
    if quality.status is not Status.OK or sound is None:
        return Judgement(NOT_JUDGED, quality.reason or "the quality record holds no figures")
    if sound.verdict not in (PASS, WARN, FAIL):
        return Judgement(NOT_JUDGED, f"the quality record gives the verdict {sound.verdict!r}", sound)
    parts = [part for part in (sound.decided_by, sound.reason) if part]
    return Judgement(sound.verdict, ": ".join(parts), sound)


def group(rows: Iterable[Row]) -> list[Group]:
    """The timed rows by what may be compared, and beside them those that were judged only."""
    found: defaultdict[tuple[str, str, str, bool], list[Row]] = defaultdict(list)
    judged: defaultdict[tuple[str, str, str, bool], list[Row]] = defaultdict(list)
    for row in rows:
        if row.timed:
            found[_identity(row)].append(row)
        elif Sound.kind in row.records and Speed.kind not in row.records:
            judged[_identity(row)].append(row)
    return [Group(*key, tuple(found[key]), tuple(judged[key])) for key in sorted(found)]


def groups_with(rows: Iterable[Row], kind: type[Result]) -> list[tuple[Group, tuple[Row, ...]]]:
    """The rows that have an answer of a kind, beside their group, which is empty where none of it was timed."""
    rows = list(rows)
    groups = {(item.version, item.device, item.weights, item.synthetic): item for item in group(rows)}
    found: defaultdict[tuple[str, str, str, bool], list[Row]] = defaultdict(list)
    for row in rows:
        if row.answer(kind) is not None:
            found[_identity(row)].append(row)
    return [(groups.get(key, Group(*key, ())), tuple(found[key])) for key in sorted(found)]


def _identity(row: Row) -> tuple[str, str, str, bool]:
    """What rows must share to be compared: version, device, weights, and whether these are synthetic."""
    weights = row.record.weights
    name = f"{weights.name}, sha256 {weights.sha256[:12]}" if weights else "weights not recorded"
    synthetic = bool(weights and weights.synthetic)
    if synthetic and "synthetic" not in name:
        name = f"synthetic weights: {name}"
    return row.case.version, row.record.device, name, synthetic
