"""Records on disk: one JSON object a line, appended as each case ends."""

import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import msgspec

from bench.errors import InputError
from bench.files import open_regular
from bench.records.kind import KINDS, Result
from bench.records.schema import FILE_NAME, SCHEMA_VERSION, Record
from bench.records.upgrade import upgrade
from bench.records.writing import append_line

# A record is some kilobytes; what is longer is read in parts, which are no records.
_LINE_LIMIT_BYTES = 64 << 20
_FIELDS = frozenset(item.name for item in fields(Record))


def dump_record(record: Record) -> str:
    """One line of JSON without its newline; NaN and infinity are refused, lone surrogates become ``?``."""
    text = json.dumps(as_data(record), allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace").decode()


def as_data(record: Record) -> dict[str, Any]:
    """A record as JSON values."""
    data: dict[str, Any] = msgspec.to_builtins(record, enc_hook=_as_json)
    return data


def _as_json(value: object) -> str | float:
    """Texts and floats of libraries, such as torch's version and NumPy's float64, as plain ones.

    Raises:
        TypeError: JSON has no such value.
    """
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float):
        return float(value)
    raise TypeError(f"{type(value).__name__} is no JSON value")


def load_record(line: str) -> Record:
    """Reads one line written by :func:`dump_record`, or by an earlier version.

    Raises:
        InputError: not JSON, a newer schema, an unknown kind, or a required field is missing.
    """
    try:
        data = msgspec.json.decode(line)
    except msgspec.DecodeError as error:
        raise InputError(f"not a record: {error}") from error
    return _structured(_upgraded(data))


def _upgraded(data: Any) -> dict[str, Any]:
    """The object in the newest schema."""
    if not isinstance(data, dict):
        raise InputError("not a record: a JSON object is expected on every line")
    version = data.get("schema_version")
    if not isinstance(version, int) or not 1 <= version <= SCHEMA_VERSION:
        raise InputError(
            f"record schema {version} is not one that this version reads (up to {SCHEMA_VERSION}); update the suite"
        )
    return upgrade(data)


def _structured(data: dict[str, Any]) -> Record:
    result, kind = data.get("result"), KINDS.get(str(data.get("kind")))
    if kind is None:
        known = ", ".join(KINDS)
        raise InputError(f"record kind {data.get('kind')!r} is not one that this version reads ({known})")
    path = "$.result"
    try:
        if result is not None:
            data = {**data, "result": msgspec.convert(result, kind)}
        path = "$"
        record = msgspec.convert(data, Record, dec_hook=_as_it_is)
    except msgspec.ValidationError as error:
        raise InputError(f"not a record: {str(error).replace('`$', f'`{path}')}") from error
    if min(record.case.batch, record.case.frames) < 1:
        raise InputError("not a record: a case has at least one mel of at least one frame - at `$.case`")
    return record


def _as_it_is(_: type[Result], value: Any) -> Any:
    """The result, which is structured by its kind before the record around it."""
    return value


def append_record(directory: Path, record: Record) -> None:
    """Appends one record to ``directory/records.jsonl`` and waits until it is on disk, the whole line or nothing.

    Raises:
        OSError: it cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    append_line(directory / FILE_NAME, dump_record(record))


def newest_run(path: str | Path) -> Path:
    """The run itself, or the newest run of a folder of runs, whose names sort by time."""
    folder = Path(path)
    if not folder.is_dir() or (folder / FILE_NAME).exists():
        return folder
    runs = sorted(child for child in folder.iterdir() if (child / FILE_NAME).exists())
    return runs[-1] if runs else folder


@dataclass(frozen=True)
class Line:
    """One line of a records file, parsed once.

    Attributes:
        number: From 1.
        record: The record; None where the line is none.
        problem: Why it is none, in one sentence without its full stop.
        torn: Whether the line was cut off: it is not JSON.
        unknown: Names of fields that this version does not know.
    """

    number: int
    record: Record | None = None
    problem: str = ""
    torn: bool = False
    unknown: frozenset[str] = frozenset()


def read_lines(file: Path) -> Iterator[Line]:
    """Every line of a records file that is not blank, in order.

    Raises:
        InputError: the file cannot be read.
    """
    number = 0
    with open_regular(file, "records") as source:
        while raw := source.readline(_LINE_LIMIT_BYTES):
            # Editors write a mark at the start, and line breaks of other systems.
            text = raw.decode("utf-8" if number else "utf-8-sig", "replace")
            for line in text.replace("\r\n", "\n").removesuffix("\n").replace("\r", "\n").split("\n"):
                number += 1
                if line.strip():
                    yield _line(number, line)


def _line(number: int, line: str) -> Line:
    try:
        parsed = msgspec.json.decode(line)
    except msgspec.DecodeError as error:
        return Line(number, problem=f"not a record: {error}", torn=True)
    try:
        data = _upgraded(parsed)
        return Line(number, _structured(data), unknown=frozenset(data.keys() - _FIELDS))
    except InputError as error:
        return Line(number, problem=str(error))


def read_records(path: str | Path) -> list[Record]:
    """Reads a run.

    Args:
        path: A ``records.jsonl`` file or the directory that holds one.

    Returns:
        The records in the order they were written. Lines that were cut off are left out with a warning.

    Raises:
        InputError: no such file, or a complete line that is not a record.
    """
    file = Path(path)
    file = file / FILE_NAME if file.is_dir() else file
    records, torn = [], []
    for line in read_lines(file):
        if line.record is not None:
            records.append(line.record)
        elif line.torn:
            torn.append(line.number)
        else:
            raise InputError(f"{file}, line {line.number}: {line.problem}")
    if torn and not records:
        raise InputError(f"{file} holds no record; give a run's directory or its {FILE_NAME}")
    for number in torn:
        warnings.warn(f"{file}, line {number} was cut off and is left out", stacklevel=2)
    return records
