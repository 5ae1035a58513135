"""Records on disk: one JSON object a line, appended as each case ends."""

import json
import os
import warnings
from pathlib import Path

import cattrs

from bench.errors import InputError
from bench.records.schema import FILE_NAME, SCHEMA_VERSION, Record

CONVERTER = cattrs.Converter()


def dump_record(record: Record) -> str:
    """One line of JSON without its newline; NaN and infinity are refused."""
    return json.dumps(CONVERTER.unstructure(record), allow_nan=False, separators=(",", ":"))


def load_record(line: str) -> Record:
    """Reads one line written by :func:`dump_record`.

    Raises:
        InputError: not JSON, a newer schema, or a required field is missing.
    """
    try:
        data = json.loads(line)
    except ValueError as error:
        raise InputError(f"not a record: {error}") from error
    if not isinstance(data, dict):
        raise InputError("not a record: a JSON object is expected on every line")
    version = data.get("schema_version")
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise InputError(
            f"record schema {version} is not one that this version reads (up to {SCHEMA_VERSION}); update the suite"
        )
    try:
        return CONVERTER.structure(data, Record)
    except Exception as error:
        detail = "; ".join(cattrs.transform_error(error)[:3])
        raise InputError(f"not a record: {detail}") from error


def append_record(directory: Path, record: Record) -> None:
    """Appends one record to ``directory/records.jsonl`` and waits until it is on disk.

    A line that an earlier process left unfinished is closed first, so that it spoils no other.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / FILE_NAME).open("ab+") as file:
        torn = False
        if file.tell():
            file.seek(-1, os.SEEK_END)
            torn = file.read(1) != b"\n"
        file.write(b"\n" * torn + dump_record(record).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def newest_run(path: str | Path) -> Path:
    """The run itself, or the newest run of a folder of runs, whose names sort by time."""
    folder = Path(path)
    if not folder.is_dir() or (folder / FILE_NAME).exists():
        return folder
    runs = sorted(child for child in folder.iterdir() if (child / FILE_NAME).exists())
    return runs[-1] if runs else folder


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
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError as error:
        raise InputError(f"cannot read records from {path}: {error.strerror}") from error
    records = []
    torn = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if not _is_json(line):
            torn.append(number)
            continue
        try:
            records.append(load_record(line))
        except InputError as error:
            raise InputError(f"{file}, line {number}: {error}") from error
    if torn and not records:
        raise InputError(f"{file} holds no record; give a run's directory or its {FILE_NAME}")
    for number in torn:
        warnings.warn(f"{file}, line {number} was cut off and is left out", stacklevel=2)
    return records


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
