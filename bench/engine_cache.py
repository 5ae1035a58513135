"""The cache of built engines on disk, and of the kernels' times that builds found.

One file an engine: a line of JSON that says what it is, then the engine. A file whose header, length or checksum
does not fit, or that answers to another key, is never handed out; it is built again and replaced. Nothing in a
file is ever unpickled.
"""

import contextlib
import hashlib
import json
import logging
import os
import re
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock
from platformdirs import user_cache_dir

from bench.errors import InputError

FORM = 1
ENGINE, TIMING = ".engine", ".timing"
FOLDER_VARIABLE = "VOCODER_BENCH_ENGINES"
LIMIT_VARIABLE = "VOCODER_BENCH_ENGINES_LIMIT_GIB"
DEFAULT_LIMIT_GIB = 20.0
GIB = 1 << 30
_HEADER_LIMIT = 1 << 16
_LEFTOVER_S = 3600.0  # a temporary file older than this belongs to a writer that died
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CachedEngine:
    """An engine, and where it came from.

    Attributes:
        plan: The serialised engine.
        from_cache: Whether it was read rather than built.
        build_s: Seconds of the build that made it, now or back then.
        read_s: Seconds to read and check it; None when it was built now.
        file: Where it is kept; None where nothing is kept.
        note: Why a kept one was not used, or why this one is not kept; usually empty.
    """

    plan: bytes
    from_cache: bool
    build_s: float
    read_s: float | None
    file: Path | None
    note: str


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


class _FaultyError(Exception):
    """What is wrong with a file."""


@dataclass(frozen=True)
class EngineStore:
    """The cache.

    Attributes:
        folder: Where it is; made when it is first written to.
        limit_bytes: Size of all engines together; the least recently used go first.
    """

    folder: Path
    limit_bytes: int

    def fetch(self, key: Mapping[str, str], build: Callable[[], bytes]) -> CachedEngine:
        """The engine of a key, built if need be; a second process that wants it waits for the first one's.

        Args:
            key: Everything that the engine depends on, by name.
            build: Makes it.
        """
        file = self._file(key, ENGINE)
        with _locked(file) as unlocked:
            note = unlocked
            if file.is_file():
                started = time.perf_counter()
                try:
                    header, plan = _read(file, key)
                except (_FaultyError, OSError) as error:
                    note = f"the kept engine was not used: {error}"
                    _log.warning("%s: %s; it is built again", file, error)
                else:
                    with contextlib.suppress(OSError):
                        os.utime(file)
                    read_s = time.perf_counter() - started
                    return CachedEngine(plan, True, float(header["build_s"]), read_s, file, "")
            started = time.perf_counter()
            plan = build()
            build_s = time.perf_counter() - started
            try:
                _write(file, key, plan, build_s)
                self._evict(file)
            except OSError as error:
                note = f"the engine is not kept: {error.strerror or error}"
                _log.warning("%s: %s", file, note)
                return CachedEngine(plan, False, build_s, None, None, note)
        return CachedEngine(plan, False, build_s, None, file, note)

    def discard(self, key: Mapping[str, str], reason: str) -> None:
        """Removes the engine of a key, which TensorRT refused although nothing is wrong with the file."""
        file = self._file(key, ENGINE)
        _log.warning("%s: %s; it is built again", file, reason)
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)

    def read_timing(self, identity: Mapping[str, str]) -> bytes:
        """The timing cache of a library and GPU; empty when there is none that can be used."""
        file = self._file(identity, TIMING)
        if not file.is_file():
            return b""
        try:
            return _read(file, identity)[1]
        except (_FaultyError, OSError) as error:
            _log.warning("%s: %s; builds start without it", file, error)
            return b""

    def merge_timing(self, identity: Mapping[str, str], blob: bytes, combine: Callable[[bytes, bytes], bytes]) -> None:
        """Adds a build's timing cache to what is kept.

        Args:
            identity: Library and GPU.
            blob: The build's timing cache.
            combine: Joins the kept one and the build's.
        """
        file = self._file(identity, TIMING)
        try:
            with _locked(file):
                kept = self.read_timing(identity)
                _write(file, identity, combine(kept, blob) if kept else blob, None)
        except OSError as error:
            _log.warning("%s: the timing cache is not kept: %s", file, error.strerror or error)

    def entries(self, *, checked: bool = False) -> list[Entry]:
        """Every file, the most recently used first.

        Args:
            checked: Whether to read them whole and compare checksums; else headers only.
        """
        files = [file for suffix in (ENGINE, TIMING) for file in self.folder.glob(f"*{suffix}")]
        found = []
        for file in files:
            with contextlib.suppress(FileNotFoundError):
                found.append(_entry(file, checked))
        return sorted(found, key=lambda entry: -entry.used_at)

    def prune(self, older_than_s: float | None = None) -> list[Entry]:
        """Removes what is corrupt, old, left over from dead writers, or beyond the limit; returns what went."""
        now = time.time()
        gone = [
            entry
            for entry in self.entries(checked=True)
            if entry.fault or (older_than_s is not None and now - entry.used_at > older_than_s)
        ]
        gone += [
            Entry(file, file.stat().st_size, file.stat().st_mtime, "left over from a writer that died", {}, None)
            for file in self.folder.glob("*.tmp")
            if now - file.stat().st_mtime > _LEFTOVER_S
        ]
        for entry in gone:
            entry.file.unlink(missing_ok=True)
        return gone + self._evict(None)

    def clear(self) -> list[Entry]:
        """Removes every engine and timing cache; returns what went."""
        gone = self.entries()
        for file in [entry.file for entry in gone] + [*self.folder.glob("*.tmp"), *self.folder.glob("*.lock")]:
            file.unlink(missing_ok=True)
        return gone

    def _file(self, key: Mapping[str, str], suffix: str) -> Path:
        text = "-".join(key[name] for name in ("version", "backend", "precision", "shapes") if name in key)
        readable = re.sub(r"[^0-9A-Za-z+_.-]+", "_", text or "kernels")[:80]
        return self.folder / f"{readable}-{_digest(key)[:32]}{suffix}"

    def _evict(self, keep: Path | None) -> list[Entry]:
        engines = [entry for entry in self.entries() if entry.file.suffix == ENGINE]
        total = sum(entry.size_bytes for entry in engines)
        gone = []
        for entry in reversed(engines):
            if total <= self.limit_bytes:
                break
            if entry.file != keep:
                entry.file.unlink(missing_ok=True)
                total -= entry.size_bytes
                gone.append(entry)
        return gone


def default_store(folder: str | None = None) -> EngineStore:
    """The user's cache.

    Args:
        folder: Where it is; the environment variable ``VOCODER_BENCH_ENGINES`` or the platform's folder for
            caches by default.

    Raises:
        InputError: ``VOCODER_BENCH_ENGINES_LIMIT_GIB`` is no size.
    """
    text = os.environ.get(LIMIT_VARIABLE, str(DEFAULT_LIMIT_GIB))
    try:
        limit_gib = float(text)
    except ValueError:
        limit_gib = -1.0
    if not 0 <= limit_gib < 1e6:
        raise InputError(f"{LIMIT_VARIABLE} is a number of GiB such as 20, not {text!r}")
    given = folder or os.environ.get(FOLDER_VARIABLE)
    path = Path(given).expanduser() if given else Path(user_cache_dir("gpt-sovits-vocoder-bench")) / "engines"
    if path.exists() and not path.is_dir():
        raise InputError(
            f"the engine cache {path} is not a folder; give another with --engine-cache or {FOLDER_VARIABLE}"
        )
    return EngineStore(path, round(limit_gib * GIB))


@contextlib.contextmanager
def _locked(file: Path) -> Any:
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


def _digest(key: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(dict(key), sort_keys=True).encode()).hexdigest()


def _write(file: Path, key: Mapping[str, str], content: bytes, build_s: float | None) -> None:
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
        raise _FaultyError("it is truncated or no engine file")
    if header.get("form") != FORM:
        raise _FaultyError(f"it has form {header.get('form')!r}, this suite writes {FORM}")
    if file.suffix == ENGINE and not isinstance(header.get("build_s"), int | float):
        raise _FaultyError("its header is incomplete")
    return header, len(line)


def _read(file: Path, key: Mapping[str, str] | None) -> tuple[dict[str, Any], bytes]:
    header, start = _read_header(file)
    if key is not None and header["key"] != dict(key):
        raise _FaultyError("it was made for something else")
    with file.open("rb") as source:
        source.seek(start)
        content = source.read()
    if len(content) != header.get("bytes"):
        raise _FaultyError(f"it holds {len(content)} bytes instead of {header.get('bytes')}")
    if hashlib.sha256(content).hexdigest() != header.get("sha256"):
        raise _FaultyError("its checksum is wrong")
    return header, content


def _entry(file: Path, checked: bool) -> Entry:
    status = file.stat()
    entry = Entry(file, status.st_size, status.st_mtime, "", {}, None)
    try:
        header = _read(file, None)[0] if checked else _read_header(file)[0]
    except _FaultyError as error:
        return replace(entry, fault=str(error))
    except OSError as error:
        return replace(entry, fault=f"it cannot be read: {error.strerror}")
    # A copy under another name would answer to nothing; the name's last part is the key's digest.
    if not file.stem.endswith(_digest(header["key"])[:32]):
        return replace(entry, fault="its name is another engine's", key=header["key"], build_s=header["build_s"])
    return replace(entry, key=header["key"], build_s=header["build_s"])
