"""A run as the report sees it, read whatever state its file is in, with everything odd said in words."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.errors import InputError
from bench.records.join import Found, group, join
from bench.records.jsonl import Line, newest_run, read_lines
from bench.records.plan import plan_notices
from bench.records.rows import Group, Row
from bench.records.schema import FILE_NAME, Record

_REASONS_SHOWN = 8


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
    def records(self) -> tuple[Record, ...]:
        """The last record of every case and kind, each once."""
        return tuple({id(record): record for row in self.rows for record in row.records.values()}.values())

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
    rows, repeated = join(records)
    if repeated:
        times = f"{repeated} case{'s' if repeated > 1 else ''}"
        notices.append(f"{times} had been recorded more than once; the last record counts.")
    notices = [*plan_notices(file.parent, (record for _, record in records)), *notices]
    groups = group(rows)
    if not groups:
        notices.append("No case ended with a speed figure; the table of every case gives each reason.")
    return Run(file.parent, file, tuple(rows), tuple(groups), tuple(notices))


def _read(file: Path) -> tuple[list[Found], list[str]]:
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
    times = Counter(name for line in lines for name in line.unknown)
    return [
        f"{number} record{'s' if number > 1 else ''} carried the field {name!r}, which this version does not know."
        for name, number in sorted(times.items())
    ]


def _sentence(text: str) -> str:
    return text if text.endswith(".") else text + "."
