"""A run as the report sees it: one row a case, speed and sound joined, and everything odd said in words."""

import json
import warnings
from collections import defaultdict
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.case import Case, configuration
from bench.errors import InputError
from bench.records.jsonl import load_record, newest_run, read_records
from bench.records.schema import FILE_NAME, SCHEMA_VERSION, Record, Status
from bench.report.text import count, labels

PASS, WARN, FAIL, REFERENCE, NOT_JUDGED = "pass", "warn", "fail", "reference", "not judged"
_WORST_FIRST = (FAIL, WARN, PASS, REFERENCE, NOT_JUDGED)
_REASONS_SHOWN = 8
_KNOWN_FIELDS = {item.name for item in fields(Record)}


@dataclass(frozen=True)
class Judgement:
    """What is known about a case's sound.

    Attributes:
        verdict: ``pass``, ``warn``, ``fail``, ``reference`` (eager fp32, what the others are judged against)
            or ``not judged``.
        reason: Why, in the judge's words or in one sentence of ours.
        values: Fields of the fidelity record; empty when there is none.
    """

    verdict: str
    reason: str = ""
    values: dict[str, Any] = field(default_factory=dict)

    def value(self, name: str) -> float | None:
        """A numeric field, or None where it was not computed."""
        found = self.values.get(name)
        return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None

    @property
    def within_tier(self) -> bool:
        """Whether a configuration with this judgement may be recommended."""
        return self.verdict in (PASS, REFERENCE)


@dataclass(frozen=True)
class Row:
    """One case: its speed record, its quality record, or both.

    Attributes:
        record: The speed record; the quality record where the case has no speed record.
        quality: The quality record, if the case has one.
        line: Line of ``record`` in the records file, from 1.
        judgement: Verdict on the sound.
    """

    record: Record
    quality: Record | None
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

    @property
    def timed(self) -> bool:
        """Whether this row holds a speed figure."""
        return self.record.kind == "speed" and self.record.status is Status.OK and self.record.timing is not None

    @property
    def median_ms(self) -> float:
        """Median latency; only of a timed row."""
        assert self.record.timing is not None  # noqa: S101 - narrows the type
        return self.record.timing.median_ms


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

    @cached_property
    def labels(self) -> dict[str, str]:
        """What figures call each configuration."""
        return labels(row.configuration for row in (*self.rows, *self.judged))

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
                judgement = Judgement(judgement.verdict, f"{row.case.id}: {judgement.reason}", judgement.values)
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
    notices: list[str] = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            records = read_records(file)
        notices += [_sentence(str(item.message).replace(f"{file}, line", "Line")) for item in caught]
        numbers = _survey(file, notices)
        return list(zip(numbers, records, strict=True)), notices
    except InputError as error:
        if not file.is_file():
            raise
        return _read_what_can_be_read(file, error)


def _read_what_can_be_read(file: Path, error: InputError) -> tuple[list[tuple[int, Record]], list[str]]:
    """Reads line by line where :func:`read_records` refuses the file, and says which lines are missing."""
    records, refused = [], []
    for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            records.append((number, load_record(line)))
        except InputError as reason:
            refused.append(f"Line {number} is left out: {_sentence(str(reason))}")
    if not records:
        raise error
    if len(refused) > _REASONS_SHOWN:
        refused[_REASONS_SHOWN:] = [f"{len(refused) - _REASONS_SHOWN} more lines are left out."]
    return records, refused


def _survey(file: Path, notices: list[str]) -> list[int]:
    """Line numbers of the lines that hold JSON; adds notices on unknown fields and older schemas."""
    numbers: list[int] = []
    unknown: defaultdict[str, int] = defaultdict(int)
    older: defaultdict[int, int] = defaultdict(int)
    with file.open(encoding="utf-8", errors="replace", newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                data = json.loads(line)
            except ValueError:
                continue
            numbers.append(number)
            for name in data.keys() - _KNOWN_FIELDS:
                unknown[name] += 1
            if data["schema_version"] < SCHEMA_VERSION:
                older[data["schema_version"]] += 1
    for name, times in sorted(unknown.items()):
        notices.append(f"{count(times, 'record')} carried the field {name!r}, which this version does not know.")
    for version, times in sorted(older.items()):
        notices.append(
            f"{count(times, 'record')} had the older schema {version} (this version: {SCHEMA_VERSION}); "
            "fields added since are blank."
        )
    return numbers


def _join(records: list[tuple[int, Record]], notices: list[str]) -> list[Row]:
    speed: dict[tuple[str, str, str | None], tuple[int, Record]] = {}
    quality: dict[tuple[str, str, str | None], tuple[int, Record]] = {}
    repeated = 0
    for line, record in records:
        table = quality if record.kind == "quality" else speed
        key = (record.id, record.device, record.weights.sha256 if record.weights else None)
        repeated += key in table
        table[key] = (line, record)
    if repeated:
        notices.append(f"{count(repeated, 'case')} had been recorded more than once; the last record counts.")
    by_case: defaultdict[tuple[str, str], list[Record]] = defaultdict(list)
    by_sound: defaultdict[tuple[str, str], list[Record]] = defaultdict(list)
    for _, record in quality.values():
        by_case[record.id, record.device].append(record)
        by_sound[_sound(record), record.device].append(record)
    rows = []
    joined: set[int] = set()
    for line, record in speed.values():
        match = by_case[record.id, record.device] or by_sound[_sound(record), record.device]
        other = None
        for candidate in match:
            if not (record.weights and candidate.weights) or record.weights == candidate.weights:
                other = candidate
        if other is not None and other.id == record.id:
            joined.add(id(other))
        rows.append(Row(record, other, line, _judge(record, other, others=bool(match))))
    for line, record in quality.values():
        if id(record) not in joined:
            rows.append(Row(record, record, line, _judge(record, record)))
    return sorted(rows, key=lambda row: row.line)


def _sound(record: Record) -> str:
    """What a case's sound depends on: a CUDA graph replays the same kernels of the same engine."""
    return record.case.without("cuda_graph").id


def _judge(record: Record, quality: Record | None, others: bool = False) -> Judgement:
    case = record.case
    if quality is None:
        if (case.backend, case.precision, case.options) == ("eager", "fp32", ()):
            return Judgement(REFERENCE)
        return Judgement(NOT_JUDGED, "its sound was judged with other weights only" if others else "")
    if quality.status is Status.WRONG_OUTPUT:
        return Judgement(FAIL, quality.reason)
    if quality.status is not Status.OK or not quality.fidelity:
        return Judgement(NOT_JUDGED, quality.reason or "the quality record holds no figures")
    values = quality.fidelity
    verdict = values.get("verdict")
    if verdict not in (PASS, WARN, FAIL):
        return Judgement(NOT_JUDGED, f"the quality record gives the verdict {verdict!r}", values)
    parts = [str(values[name]) for name in ("decided_by", "reason") if values.get(name)]
    return Judgement(verdict, ": ".join(parts), values)


def _group(rows: list[Row]) -> list[Group]:
    found: defaultdict[tuple[str, str, str, bool], list[Row]] = defaultdict(list)
    judged: defaultdict[tuple[str, str, str, bool], list[Row]] = defaultdict(list)
    for row in rows:
        if row.timed:
            found[_identity(row)].append(row)
        elif row.record.kind == "quality":
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
