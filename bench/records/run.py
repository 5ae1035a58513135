"""A run as the report sees it: one row a case, its records of every kind joined, and everything odd said in words."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from bench.case import Case, configuration
from bench.errors import InputError
from bench.records.jsonl import Line, newest_run, read_lines
from bench.records.kind import KINDS
from bench.records.schema import FILE_NAME, AnyResult, Record, Sound, Speed, Status, Timing

PASS, WARN, FAIL, REFERENCE, NOT_JUDGED = "pass", "warn", "fail", "reference", "not judged"
_WORST_FIRST = (FAIL, WARN, PASS, REFERENCE, NOT_JUDGED)
_REASONS_SHOWN = 8


@dataclass(frozen=True)
class Judgement:
    """What is known about a case's sound.

    Attributes:
        verdict: ``pass``, ``warn``, ``fail``, ``reference`` (eager fp32, what the others are judged against)
            or ``not judged``.
        reason: Why, in the judge's words or in one sentence of ours.
        sound: What was measured; None where nothing was.
    """

    verdict: str
    reason: str = ""
    sound: Sound | None = None

    def value(self, name: str) -> float | None:
        """A figure of the sound, or None where it was not measured."""
        return None if self.sound is None else self.sound.figure(name)

    @property
    def within_tier(self) -> bool:
        """Whether a configuration with this judgement may be recommended."""
        return self.verdict in (PASS, REFERENCE)


@dataclass(frozen=True)
class Row:
    """One case with its records of every kind.

    Attributes:
        record: The record that stands for the case: that of its speed where there is one, else of another kind.
        records: The last record of each kind, by its name; the sound may be that of another case that sounds the same.
        line: Line of ``record`` in the records file, from 1.
        judgement: Verdict on the sound.
    """

    record: Record
    records: Mapping[str, Record]
    line: int
    judgement: Judgement

    @property
    def case(self) -> Case:
        """The case."""
        return self.record.case

    @cached_property
    def configuration(self) -> str:
        """The case without version and shape."""
        return configuration(self.record.case)

    def answer(self, kind: type[AnyResult]) -> AnyResult | None:
        """The case's result of a kind; None where there is none."""
        record = self.records.get(kind.kind)
        return None if record is None else record.answer(kind)

    @cached_property
    def speed(self) -> Speed | None:
        """The case's speed."""
        return self.answer(Speed)

    @property
    def quality(self) -> Record | None:
        """The record of the case's sound."""
        return self.records.get(Sound.kind)

    @property
    def timed(self) -> bool:
        """Whether this row holds a speed figure."""
        return self.speed is not None and self.record.status is Status.OK

    @property
    def timing(self) -> Timing:
        """Durations; only of a timed row."""
        assert self.speed is not None  # noqa: S101 - narrows the type
        return self.speed.timing

    @property
    def median_ms(self) -> float:
        """Median latency; only of a timed row."""
        return self.timing.median_ms


def _first(kinds: Iterable[str]) -> str:
    """The kind that stands for a row: speed, else the first that is known."""
    order = [Speed.kind, *KINDS]
    return min(kinds, key=order.index)


@dataclass(frozen=True)
class Group:
    """Rows that may be compared with one another: one vocoder, one device, one set of weights.

    Attributes:
        version, device, weights: What they share; ``weights`` is the text to show beside every figure.
        synthetic: Whether the weights are synthetic.
        rows: The timed rows.
        judged: Rows of cases that were judged but not timed.
    """

    version: str
    device: str
    weights: str
    synthetic: bool
    rows: tuple[Row, ...]
    judged: tuple[Row, ...] = ()

    @property
    def name(self) -> str:
        """Vocoder and device, such as ``v3 on cuda:0``."""
        return f"{self.version} on {self.device}"

    @property
    def label(self) -> str:
        """What a figure must carry: vocoder, device and weights."""
        return f"{self.name}, {self.weights}"

    def gate(self, name: str) -> Judgement:
        """The verdict on a configuration: the worst of its judged shapes."""
        return self._gates.get(name, Judgement(NOT_JUDGED))

    @cached_property
    def _gates(self) -> dict[str, Judgement]:
        gates: dict[str, tuple[int, Judgement]] = {}
        for row in (*self.rows, *self.judged):
            judgement = row.judgement
            rank = _WORST_FIRST.index(judgement.verdict)
            if judgement.reason and judgement.verdict in (FAIL, WARN):
                judgement = Judgement(judgement.verdict, f"{row.case.id}: {judgement.reason}", judgement.sound)
            if row.configuration not in gates or rank < gates[row.configuration][0]:
                gates[row.configuration] = rank, judgement
        return {name: judgement for name, (_, judgement) in gates.items()}


@dataclass(frozen=True)
class Run:
    """Everything the report is made from.

    Attributes:
        directory: The run's directory, to which the paths in ``Record.files`` are relative.
        file: The records file.
        rows: One a case, in the order of the file.
        groups: The timed rows by what may be compared.
        notices: Sentences about the records themselves, for the reader to see first.
    """

    directory: Path
    file: Path
    rows: tuple[Row, ...]
    groups: tuple[Group, ...]
    notices: tuple[str, ...]

    @property
    def name(self) -> str:
        """The run's id, as its records give it."""
        names = sorted({row.record.run_id for row in self.rows})
        return ", ".join(names) or self.directory.name


def load_run(path: str | Path) -> Run:
    """Reads a run's records, whatever state they are in.

    Args:
        path: A ``records.jsonl`` file, the directory that holds one, or a folder of runs: its newest.

    Raises:
        InputError: there is no such file, or not one of its lines is a record.
    """
    source = newest_run(path)
    file = source / FILE_NAME if source.is_dir() else source
    records, notices = _read(file)
    if not records:
        raise InputError(f"{file} holds no record; give the directory of a run that ended at least one case")
    rows = _join(records, notices)
    groups = _group(rows)
    if not groups:
        notices.append("No case ended with a speed figure; the table of every case gives each reason.")
    return Run(file.parent, file, tuple(rows), tuple(groups), tuple(notices))


def _read(file: Path) -> tuple[list[tuple[int, Record]], list[str]]:
    """The records of a file with their lines, and what is to be said of the lines that are none.

    Raises:
        InputError: the file cannot be read, or not one of its lines is a record.
    """
    lines = list(read_lines(file))
    records = [(line.number, line.record) for line in lines if line.record is not None]
    if lines and not records:
        raise InputError(f"{file}, line {lines[0].number}: {lines[0].problem}")
    return records, [*_left_out(lines), *_unknown(lines)]


def _left_out(lines: Iterable[Line]) -> list[str]:
    notices = [
        f"Line {line.number} was cut off and is left out."
        if line.torn
        else f"Line {line.number} is left out: {_sentence(line.problem)}"
        for line in lines
        if line.record is None
    ]
    if len(notices) > _REASONS_SHOWN:
        notices[_REASONS_SHOWN:] = [f"{len(notices) - _REASONS_SHOWN} more lines are left out."]
    return notices


def _unknown(lines: Iterable[Line]) -> list[str]:
    times: defaultdict[str, int] = defaultdict(int)
    for line in lines:
        for name in line.unknown:
            times[name] += 1
    return [
        f"{number} record{'s' if number > 1 else ''} carried the field {name!r}, which this version does not know."
        for name, number in sorted(times.items())
    ]


_Found = tuple[int, Record]  # a record and its line
_Case = dict[str, _Found]  # the records of one case by kind


def _join(records: list[_Found], notices: list[str]) -> list[Row]:
    """One row a case, device and weights, with the last record of each kind, in the order of the file."""
    last: dict[tuple[str, str, str, str | None], _Found] = {}
    for line, record in records:
        place = (record.kind, record.id, record.device, record.weights.sha256 if record.weights else None)
        last[place] = (line, record)
    repeated = len(records) - len(last)
    if repeated:
        notices.append(
            f"{repeated} case{'s' if repeated > 1 else ''} had been recorded more than once; the last record counts."
        )
    sounds = _Sounds(found for found in last.values() if found[1].kind == Sound.kind)
    rows = [_row(case, *sounds.of(case)) for case in _cases(last.values())]
    rows += [_row({Sound.kind: found}, found) for found in sounds.left]
    return sorted(rows, key=lambda row: row.line)


def _cases(found: Iterable[_Found]) -> list[_Case]:
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

    def __init__(self, found: Iterable[_Found]) -> None:
        self._left = dict(found)
        self._by_case: defaultdict[tuple[str, str], list[_Found]] = defaultdict(list)
        self._by_sound: defaultdict[tuple[str, str], list[_Found]] = defaultdict(list)
        for line, record in self._left.items():
            self._by_case[record.id, record.device].append((line, record))
            self._by_sound[_sounds_as(record), record.device].append((line, record))

    def of(self, case: _Case) -> tuple[_Found | None, bool]:
        """The sound of a case, and whether there are sounds of it, if only with other weights."""
        record = case[_first(case)][1]
        matches = self._by_case[record.id, record.device] or self._by_sound[_sounds_as(record), record.device]
        chosen = None
        for found in matches:
            if _same_weights(record, found[1]):
                chosen = found
        if chosen is not None and chosen[1].id == record.id:
            self._left.pop(chosen[0], None)
        return chosen, bool(matches)

    @property
    def left(self) -> list[_Found]:
        """Sounds whose own case has no other record; known when every case has been asked for."""
        return list(self._left.items())


def _same_weights(one: Record, other: Record) -> bool:
    """Whether they ran the same weights, as far as both know theirs."""
    return one.weights is None or other.weights is None or one.weights == other.weights


def _sounds_as(record: Record) -> str:
    """What a case's sound depends on: a CUDA graph replays the same kernels of the same engine."""
    return record.case.without("cuda_graph").id


def _row(case: _Case, sound: _Found | None, others: bool = False) -> Row:
    line, record = case[_first(case)]
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


def _group(rows: list[Row]) -> list[Group]:
    found: defaultdict[tuple[str, str, str, bool], list[Row]] = defaultdict(list)
    judged: defaultdict[tuple[str, str, str, bool], list[Row]] = defaultdict(list)
    for row in rows:
        if row.timed:
            found[_identity(row)].append(row)
        elif Sound.kind in row.records and Speed.kind not in row.records:
            judged[_identity(row)].append(row)
    return [Group(*key, tuple(found[key]), tuple(judged[key])) for key in sorted(found)]


def _identity(row: Row) -> tuple[str, str, str, bool]:
    """What rows must share to be compared: version, device, weights, and whether these are synthetic."""
    weights = row.record.weights
    name = f"{weights.name}, sha256 {weights.sha256[:12]}" if weights else "weights not recorded"
    synthetic = bool(weights and weights.synthetic)
    if synthetic and "synthetic" not in name:
        name = f"synthetic weights: {name}"
    return row.case.version, row.record.device, name, synthetic


def _sentence(text: str) -> str:
    return text if text.endswith(".") else text + "."
