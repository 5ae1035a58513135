"""The files of the engine cache: a line of JSON that says what one is, then the engine or the kernels' times.

A file whose header, length or checksum does not fit is faulty. Nothing in a file is ever unpickled.
"""

import contextlib
import hashlib
import json
import logging
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from filelock import FileLock, Timeout

from bench.engine_cache.own import (
    NAME,
    FaultyError,
    ForeignError,
    check_own,
    claim,
    open_own,
    said,
    write_whole,
)
from bench.errors import shown

FORM = 1
ENGINE, TIMING = ".engine", ".timing"
# Largest engine that is kept and read; a vocoder's is a few hundred MiB.
ENGINE_LIMIT_BYTES = 3 << 29
_HEADER_LIMIT = 1 << 16
_CHUNK_BYTES = 1 << 20
_WAIT_S = 1.0  # a lock that takes longer is said to be waited for
_log = logging.getLogger(__name__)


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
        own: Whether it is the cache's own; what is not is left alone.
    """

    file: Path
    size_bytes: int
    used_at: float
    fault: str
    key: Mapping[str, str]
    build_s: float | None
    own: bool = True


class Removal(NamedTuple):
    """What was removed from the cache, and what was left because it is not the cache's own or cannot be removed."""

    gone: list[Entry]
    left: list[Entry]


@contextlib.contextmanager
def locked(file: Path) -> Iterator[str]:
    """Holds a file's lock, its folder claimed; where none can be made, goes on without and yields why."""
    lock = FileLock(file.with_name(file.name + ".lock"), mode=0o600)
    note = ""
    try:
        claim(file.parent)
        _acquire(lock, file)
    except (OSError, NotImplementedError, ForeignError) as error:
        note = f"the engine cache cannot be locked: {said(error)}"
    try:
        yield note
    finally:
        lock.release()


def digest(key: Mapping[str, str]) -> str:
    """SHA-256 of a key."""
    return hashlib.sha256(json.dumps(dict(key), sort_keys=True).encode()).hexdigest()


def write(file: Path, key: Mapping[str, str], content: bytes, build_s: float | None) -> None:
    """Writes a file beside its name and moves it there whole, in a folder that is the cache's own.

    Args:
        file: Where.
        key: What it is.
        content: The engine or the kernels' times.
        build_s: Seconds of the build; None for times.

    Raises:
        ForeignError: the folder, or a file in its place, is not the cache's own, or the content is too large.
        OSError: it cannot be written; nothing stays.
    """
    claim(file.parent)
    if os.path.lexists(file):
        check_own(file.lstat())
    if len(content) > ENGINE_LIMIT_BYTES:
        raise ForeignError(f"it has {len(content)} bytes, more than the {ENGINE_LIMIT_BYTES} that are kept")
    header = {
        "form": FORM,
        "key": dict(key),
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "build_s": build_s,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_whole(file, json.dumps(header).encode() + b"\n", content)


def read(file: Path, key: Mapping[str, str] | None) -> tuple[dict[str, Any], bytes]:
    """The header and the content of a whole file, the checksum compared.

    Args:
        file: Which.
        key: What it must be; None for anything, of which the content is not kept.

    Raises:
        FaultyError: it is not whole, or something else, or not the cache's own.
        OSError: it cannot be read.
    """
    with open_own(file) as source:
        header, start = _read_header(source)
        if file.suffix == ENGINE and header["build_s"] is None:
            raise FaultyError("its header is incomplete: build_s is missing")
        if key is not None and header["key"] != dict(key):
            raise FaultyError("it was made for something else")
        size = os.fstat(source.fileno()).st_size - start
        if size != header["bytes"]:
            raise FaultyError(f"it holds {size} bytes instead of {shown(header['bytes'], 40)}")
        if size > ENGINE_LIMIT_BYTES:
            raise FaultyError(f"it holds {size} bytes, more than the {ENGINE_LIMIT_BYTES} that are read")
        source.seek(start)
        checksum = hashlib.sha256()
        if key is not None:
            content = source.read(size)
            checksum.update(content)
        else:
            content = b""
            while chunk := source.read(_CHUNK_BYTES):
                checksum.update(chunk)
    if checksum.hexdigest() != header["sha256"]:
        raise FaultyError("its checksum is wrong")
    return header, content


def entry_of(file: Path, checked: bool) -> Entry:
    """What is known of a file, read whole if ``checked``, else its header only."""
    entry = helper_of(file, "")
    if not NAME.fullmatch(file.name):
        return replace(entry, fault="not the cache's own: a name that it does not give", own=False)
    try:
        if checked:
            header = read(file, None)[0]
        else:
            with open_own(file) as source:
                header = _read_header(source)[0]
    except FileNotFoundError:
        raise
    except ForeignError as error:
        return replace(entry, fault=f"not the cache's own: {error}", own=False)
    except FaultyError as error:
        return replace(entry, fault=str(error))
    except OSError as error:
        return replace(entry, fault=f"it cannot be read: {error.strerror}")
    # A copy under another name would answer to nothing; the name's last part is the key's digest.
    if not file.stem.endswith(digest(header["key"])[:32]):
        return replace(entry, fault="its name is another engine's", key=header["key"], build_s=header["build_s"])
    return replace(entry, key=header["key"], build_s=header["build_s"])


def helper_of(file: Path, fault: str) -> Entry:
    """A lock or an unfinished file, which has no header."""
    status = file.lstat()
    return Entry(file, status.st_size, status.st_mtime, fault, {}, None)


def remove(entries: list[Entry]) -> Removal:
    """Removes files; what cannot be removed is left with the reason."""
    gone, left = [], []
    for entry in entries:
        try:
            entry.file.unlink(missing_ok=True)
        except OSError as error:
            left.append(replace(entry, fault=f"it cannot be removed: {error.strerror}"))
        else:
            gone.append(entry)
    return Removal(gone, left)


def _acquire(lock: FileLock, file: Path) -> None:
    """Takes a lock, and says so where another process has it for long."""
    try:
        lock.acquire(timeout=_WAIT_S)
    except Timeout:
        _log.warning("%s: another process builds it; waiting for that one", shown(file.name))
        started = time.monotonic()
        lock.acquire()
        _log.warning("%s: waited %.0f s for the other process", shown(file.name), time.monotonic() - started)


def _read_header(source: BinaryIO) -> tuple[dict[str, Any], int]:
    """The header at the start of a file, every field of its type, and where the content starts."""
    line = source.readline(_HEADER_LIMIT)
    try:
        header = json.loads(line) if line.endswith(b"\n") else None
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or not isinstance(header.get("key"), dict):
        raise FaultyError("it is truncated or no engine file")
    form = header.get("form")
    if type(form) is not int or form != FORM:
        raise FaultyError(f"it has form {shown(repr(form), 40)}, this suite writes {FORM}")
    if not all(isinstance(value, str) for value in header["key"].values()):
        raise FaultyError("its header is incomplete: the key is not all text")
    if type(header.get("bytes")) is not int or not isinstance(header.get("sha256"), str):
        raise FaultyError("its header is incomplete: bytes or sha256 is missing or of another type")
    header.setdefault("build_s", None)
    if not _is_build_s(header["build_s"]):
        raise FaultyError("its header is incomplete: build_s is no number of seconds")
    return header, len(line)


def _is_build_s(value: object) -> bool:
    """Whether it is a number of seconds, or null as in a timing cache."""
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9)
