"""The files of the engine cache: a line of JSON that says what one is, then the engine or the kernels' times.

A file whose header, length or checksum does not fit is faulty. Nothing in a file is ever unpickled.
"""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

FORM = 1
ENGINE, TIMING = ".engine", ".timing"
_HEADER_LIMIT = 1 << 16


@dataclass(frozen=True)
class Entry:
    """A file of the cache.

    Attributes:
        file: Where it is.
        size_bytes: Its size.
        used_at: When it was last read or written, seconds since 1970.
        fault: What is wrong with it; empty for nothing.
        key: What it is, from its header.
        build_s: Seconds of its build; None for a timing cache.
    """

    file: Path
    size_bytes: int
    used_at: float
    fault: str
    key: Mapping[str, str]
    build_s: float | None


class FaultyError(Exception):
    """What is wrong with a file."""


@contextlib.contextmanager
def locked(file: Path) -> Iterator[str]:
    """Holds a file's lock; where none can be made, goes on without and yields why."""
    lock = FileLock(file.with_name(file.name + ".lock"))
    note = ""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except (OSError, NotImplementedError) as error:
        note = f"the engine cache cannot be locked: {getattr(error, 'strerror', None) or error}"
    try:
        yield note
    finally:
        lock.release()


def digest(key: Mapping[str, str]) -> str:
    """SHA-256 of a key."""
    return hashlib.sha256(json.dumps(dict(key), sort_keys=True).encode()).hexdigest()


def write(file: Path, key: Mapping[str, str], content: bytes, build_s: float | None) -> None:
    """Writes a file beside its name and moves it there whole.

    Args:
        file: Where.
        key: What it is.
        content: The engine or the kernels' times.
        build_s: Seconds of the build; None for times.

    Raises:
        OSError: it cannot be written; nothing stays.
    """
    header = {
        "form": FORM,
        "key": dict(key),
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "build_s": build_s,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    handle, temporary = tempfile.mkstemp(dir=file.parent, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(json.dumps(header).encode() + b"\n")
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        Path(temporary).replace(file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _read_header(file: Path) -> tuple[dict[str, Any], int]:
    """The header and where the content starts."""
    with file.open("rb") as source:
        line = source.readline(_HEADER_LIMIT)
    try:
        header = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        header = None
    if not isinstance(header, dict) or not isinstance(header.get("key"), dict):
        raise FaultyError("it is truncated or no engine file")
    if header.get("form") != FORM:
        raise FaultyError(f"it has form {header.get('form')!r}, this suite writes {FORM}")
    if file.suffix == ENGINE and not isinstance(header.get("build_s"), int | float):
        raise FaultyError("its header is incomplete")
    return header, len(line)


def read(file: Path, key: Mapping[str, str] | None) -> tuple[dict[str, Any], bytes]:
    """The header and the content of a whole file.

    Args:
        file: Which.
        key: What it must be; None for anything.

    Raises:
        FaultyError: it is not whole, or something else.
        OSError: it cannot be read.
    """
    header, start = _read_header(file)
    if key is not None and header["key"] != dict(key):
        raise FaultyError("it was made for something else")
    with file.open("rb") as source:
        source.seek(start)
        content = source.read()
    if len(content) != header.get("bytes"):
        raise FaultyError(f"it holds {len(content)} bytes instead of {header.get('bytes')}")
    if hashlib.sha256(content).hexdigest() != header.get("sha256"):
        raise FaultyError("its checksum is wrong")
    return header, content


def entry_of(file: Path, checked: bool) -> Entry:
    """What is known of a file, read whole if ``checked``, else its header only."""
    status = file.stat()
    entry = Entry(file, status.st_size, status.st_mtime, "", {}, None)
    try:
        header = read(file, None)[0] if checked else _read_header(file)[0]
    except FaultyError as error:
        return replace(entry, fault=str(error))
    except OSError as error:
        return replace(entry, fault=f"it cannot be read: {error.strerror}")
    # A copy under another name would answer to nothing; the name's last part is the key's digest.
    if not file.stem.endswith(digest(header["key"])[:32]):
        return replace(entry, fault="its name is another engine's", key=header["key"], build_s=header["build_s"])
    return replace(entry, key=header["key"], build_s=header["build_s"])
