"""The cache of built engines on disk, and of the kernels' times that builds found.

One file an engine: a line of JSON that says what it is, then the engine. A file whose header, length or checksum
does not fit, or that answers to another key, is never handed out; it is built again and replaced. Nothing in a
file is ever unpickled.

An engine is a program, so the cache touches only what is its own: a folder of the user's, closed to others, with a
marker in it, and in it regular files of the user's, closed to others, under the names that the cache gives. Anything
else is never loaded and never removed.
"""

import contextlib
import hashlib
import json
import logging
import os
import re
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from filelock import FileLock, Timeout
from platformdirs import user_cache_dir

from bench.errors import InputError, shown
from bench.files import user_path

FORM = 1
ENGINE, TIMING = ".engine", ".timing"
FOLDER_VARIABLE = "VOCODER_BENCH_ENGINES"
LIMIT_VARIABLE = "VOCODER_BENCH_ENGINES_LIMIT_GIB"
DEFAULT_LIMIT_GIB = 20.0
GIB = 1 << 30
# Largest engine that is kept and read; a vocoder's is a few hundred MiB.
ENGINE_LIMIT_BYTES = 3 << 29
# https://bford.info/cachedir: backups leave such folders out. The second line says whose cache it is.
MARKER = "CACHEDIR.TAG"
_MARKER_TEXT = (
    b"Signature: 8a477f597d28d172789f06886806bc55\n"
    b"# gpt-sovits-vocoder-bench engine cache: made by `python -m bench`, which may remove its own files here\n"
)
_NAME = re.compile(r"[0-9A-Za-z+_.-]{1,80}-[0-9a-f]{32}\.(engine|timing)")
# The second form is that of caches from before the marker.
_TEMPORARY = re.compile(r"(writing-|tmp)[0-9a-z_]{8}\.tmp")
_OTHERS, _OTHERS_WRITE = 0o077, 0o022
_HEADER_LIMIT = 1 << 16
_CHUNK_BYTES = 1 << 20
_LEFTOVER_S = 3600.0  # a temporary file older than this belongs to a writer that died
_WAIT_S = 1.0  # a lock that takes longer is said to be waited for
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


class _FaultyError(Exception):
    """What is wrong with a file."""


class _ForeignError(_FaultyError):
    """Why a file or folder is not the cache's own."""


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
        with self._locked(file) as unlocked:
            kept, note = self._kept(file, key)
            if kept is not None:
                return kept
            note = note or unlocked
            started = time.perf_counter()
            plan = build()
            build_s = time.perf_counter() - started
            try:
                self._write(file, key, plan, build_s)
                self._evict(file)
            except (OSError, InputError, _ForeignError) as error:
                note = f"the engine is not kept: {_said(error)}"
                _log.warning("%s: %s", shown(file), note)
                return CachedEngine(plan, False, build_s, None, None, note)
        return CachedEngine(plan, False, build_s, None, file, note)

    def _kept(self, file: Path, key: Mapping[str, str]) -> tuple[CachedEngine | None, str]:
        """The engine in a file, or why there is one that is not used."""
        if not os.path.lexists(file):
            return None, ""
        started = time.perf_counter()
        try:
            self._check_folder()
            header, plan = _read(file, key)
        except (_FaultyError, OSError) as error:
            _log.warning("%s: %s; it is built again", shown(file), _said(error))
            return None, f"the kept engine was not used: {_said(error)}"
        with contextlib.suppress(OSError):
            os.utime(file)
        read_s = time.perf_counter() - started
        return CachedEngine(plan, True, float(header["build_s"]), read_s, file, ""), ""

    def discard(self, key: Mapping[str, str], reason: str) -> None:
        """Removes the engine of a key, which TensorRT refused although nothing is wrong with the file."""
        file = self._file(key, ENGINE)
        _log.warning("%s: %s; it is built again", shown(file), shown(reason))
        with contextlib.suppress(OSError, _ForeignError):
            self._check_folder()
            _check_own(file.lstat())
            file.unlink()

    def read_timing(self, identity: Mapping[str, str]) -> bytes:
        """The timing cache of a library and GPU; empty when there is none that can be used."""
        file = self._file(identity, TIMING)
        if not os.path.lexists(file):
            return b""
        try:
            self._check_folder()
            return _read(file, identity)[1]
        except (_FaultyError, OSError) as error:
            _log.warning("%s: %s; builds start without it", shown(file), _said(error))
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
            with self._locked(file):
                kept = self.read_timing(identity)
                self._write(file, identity, combine(kept, blob) if kept else blob, None)
        except (OSError, _ForeignError) as error:
            _log.warning("%s: the timing cache is not kept: %s", shown(file), _said(error))

    def refusal(self) -> str | None:
        """Why the folder is not used as a cache, as one sentence; None where it can be or is not there yet."""
        try:
            self._check_folder()
        except FileNotFoundError:
            return None
        except (_ForeignError, OSError) as error:
            return f"{self.folder} is not used as an engine cache: {_said(error)}"
        return None

    def entries(self, *, checked: bool = False) -> list[Entry]:
        """Every engine and timing cache and whatever else lies there, the most recently used first.

        Locks, unfinished files and the marker are the cache's own but no entries.

        Args:
            checked: Whether to read them whole and compare checksums; else headers only.

        Raises:
            InputError: the folder is not the cache's own.
        """
        found = []
        for file in self._listed():
            if file.name != MARKER and not _is_helper(file.name):
                with contextlib.suppress(FileNotFoundError):
                    found.append(_entry(file, checked))
        return sorted(found, key=lambda entry: -entry.used_at)

    def prune(self, older_than_s: float | None = None) -> Removal:
        """Removes what is corrupt, old, left over from dead writers, or beyond the limit, of the cache's own files."""
        now = time.time()
        entries = self.entries(checked=True)
        strangers = [entry for entry in entries if not entry.own]
        old = [
            entry
            for entry in entries
            if entry.own and (entry.fault or (older_than_s is not None and now - entry.used_at > older_than_s))
        ]
        dead = [
            _helper(file, "left over from a writer that died")
            for file in self._helpers(_TEMPORARY)
            if now - file.lstat().st_mtime > _LEFTOVER_S
        ]
        gone, left = _remove([*old, *dead])
        more, stuck = self._evict(None)
        return Removal(gone + more, strangers + left + stuck)

    def clear(self) -> Removal:
        """Removes every engine and timing cache of the cache's own, its locks and its unfinished files."""
        entries = self.entries()
        gone, left = _remove([entry for entry in entries if entry.own])
        helpers = [_helper(file, "") for file in self._helpers(None)]
        _, stuck = _remove(helpers)
        return Removal(gone, [entry for entry in entries if not entry.own] + left + stuck)

    def _file(self, key: Mapping[str, str], suffix: str) -> Path:
        text = "-".join(key[name] for name in ("version", "backend", "precision", "shapes") if name in key)
        readable = re.sub(r"[^0-9A-Za-z+_.-]+", "_", text or "kernels")[:80]
        return self.folder / f"{readable}-{_digest(key)[:32]}{suffix}"

    def _evict(self, keep: Path | None) -> Removal:
        engines = [entry for entry in self.entries() if entry.own and entry.file.suffix == ENGINE]
        total = sum(entry.size_bytes for entry in engines)
        chosen = []
        for entry in reversed(engines):
            if total <= self.limit_bytes:
                break
            if entry.file != keep:
                total -= entry.size_bytes
                chosen.append(entry)
        return _remove(chosen)

    def _listed(self) -> list[Path]:
        refusal = self.refusal()
        if refusal is not None:
            raise InputError(refusal)
        try:
            return sorted(self.folder.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise InputError(f"the engine cache {self.folder} cannot be read: {error.strerror}") from error

    def _helpers(self, form: re.Pattern[str] | None) -> list[Path]:
        """Its own locks and unfinished files, or those of one form of name, that are the user's."""
        found = []
        for file in self._listed():
            with contextlib.suppress(OSError, _ForeignError):
                if form.fullmatch(file.name) if form else _is_helper(file.name):
                    # Locks of earlier caches were open to be read by others.
                    _check_own(file.lstat(), _OTHERS_WRITE)
                    found.append(file)
        return found

    def _check_folder(self) -> None:
        """Raises where the folder is not the cache's own, and FileNotFoundError where there is none."""
        status = self.folder.stat()
        if not stat.S_ISDIR(status.st_mode):
            raise _ForeignError("it is not a folder")
        _check_owner(status)
        if _has_marker(self.folder):
            if status.st_mode & _OTHERS:
                raise _ForeignError(f"it is open to other users; chmod 700 {self.folder} after a look at what is in it")
            return
        names = sorted(file.name for file in self.folder.iterdir())
        strangers = [name for name in names if not _is_own(name)]
        if strangers:
            raise _ForeignError(
                f"it holds other files, such as {strangers[0]}, and no marker {MARKER}; give an empty or a new folder"
            )
        if status.st_mode & _OTHERS_WRITE and names:
            raise _ForeignError(f"other users may write to it; chmod 700 {self.folder} after a look at what is in it")

    def _claim(self) -> None:
        """Makes the folder, closes it to others and marks it."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._check_folder()
        if _has_marker(self.folder):
            return
        self.folder.chmod(0o700)
        _write_whole(self.folder / MARKER, _MARKER_TEXT)

    @contextlib.contextmanager
    def _locked(self, file: Path) -> Iterator[str]:
        """Holds a file's lock; where none can be made, goes on without and yields why."""
        lock = FileLock(file.with_name(file.name + ".lock"), mode=0o600)
        note = ""
        try:
            self._claim()
            _acquire(lock, file)
        except (OSError, NotImplementedError, _ForeignError) as error:
            note = f"the engine cache cannot be locked: {_said(error)}"
        try:
            yield note
        finally:
            lock.release()

    def _write(self, file: Path, key: Mapping[str, str], content: bytes, build_s: float | None) -> None:
        self._claim()
        if os.path.lexists(file):
            _check_own(file.lstat())
        if len(content) > ENGINE_LIMIT_BYTES:
            raise _ForeignError(f"it has {len(content)} bytes, more than the {ENGINE_LIMIT_BYTES} that are kept")
        _write(file, key, content, build_s)


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
    path = user_path(given, "the engine cache") if given else _user_folder()
    store = EngineStore(path, round(limit_gib * GIB))
    refusal = store.refusal()
    if refusal is not None:
        raise InputError(f"{refusal}; --engines (of the engines command: --folder) or {FOLDER_VARIABLE} names another")
    return store


def _user_folder() -> Path:
    """The platform's folder for caches."""
    folder = Path(user_cache_dir("gpt-sovits-vocoder-bench")) / "engines"
    if not folder.is_absolute():
        raise InputError(f"this user has no home folder to keep engines in; set {FOLDER_VARIABLE} or HOME to a folder")
    return folder


def _acquire(lock: FileLock, file: Path) -> None:
    """Takes a lock, and says so where another process has it for long."""
    try:
        lock.acquire(timeout=_WAIT_S)
    except Timeout:
        _log.warning("%s: another process builds it; waiting for that one", shown(file.name))
        started = time.monotonic()
        lock.acquire()
        _log.warning("%s: waited %.0f s for the other process", shown(file.name), time.monotonic() - started)


# Symbolic links are not followed, and a pipe does not wait for its other end.
_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


def _said(error: Exception) -> str:
    return shown(getattr(error, "strerror", None) or error)


def _is_helper(name: str) -> bool:
    """Whether a name is that of a lock or of an unfinished file."""
    return bool(_TEMPORARY.fullmatch(name)) or (name.endswith(".lock") and bool(_NAME.fullmatch(name[: -len(".lock")])))


def _is_own(name: str) -> bool:
    return bool(_NAME.fullmatch(name)) or _is_helper(name)


def _check_owner(status: os.stat_result) -> None:
    if hasattr(os, "geteuid") and status.st_uid != os.geteuid():
        raise _ForeignError(f"it belongs to another user (uid {status.st_uid}, not {os.geteuid()})")


def _check_own(status: os.stat_result, closed: int = _OTHERS) -> None:
    """Raises where something is no regular file of the user's, closed to others."""
    if not stat.S_ISREG(status.st_mode):
        raise _ForeignError("it is no regular file")
    _check_owner(status)
    if status.st_mode & closed:
        raise _ForeignError(f"it is open to other users (mode {stat.S_IMODE(status.st_mode):o}, not 600)")


def _open_own(file: Path, closed: int = _OTHERS) -> BinaryIO:
    """Opens one of the cache's own files to read; raises for any other."""
    _check_own(file.lstat(), closed)
    source = os.fdopen(os.open(file, os.O_RDONLY | _FLAGS), "rb")
    try:
        _check_own(os.fstat(source.fileno()), closed)
    except BaseException:
        source.close()
        raise
    return source


def _has_marker(folder: Path) -> bool:
    try:
        with _open_own(folder / MARKER, _OTHERS_WRITE) as source:
            return source.read(len(_MARKER_TEXT) + 1) == _MARKER_TEXT
    except (OSError, _ForeignError):
        return False


def _remove(entries: list[Entry]) -> Removal:
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


def _helper(file: Path, fault: str) -> Entry:
    status = file.lstat()
    return Entry(file, status.st_size, status.st_mtime, fault, {}, None)


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
    _write_whole(file, json.dumps(header).encode() + b"\n", content)


def _write_whole(file: Path, *parts: bytes) -> None:
    """Writes beside a file and puts it in its place; readable by the user alone."""
    handle, temporary = tempfile.mkstemp(dir=file.parent, prefix="writing-", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as out:
            for part in parts:
                out.write(part)
            out.flush()
            os.fsync(out.fileno())
        Path(temporary).replace(file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _read_header(source: BinaryIO) -> tuple[dict[str, Any], int]:
    """The header at the start of a file, every field of its type, and where the content starts."""
    line = source.readline(_HEADER_LIMIT)
    try:
        header = json.loads(line) if line.endswith(b"\n") else None
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or not isinstance(header.get("key"), dict):
        raise _FaultyError("it is truncated or no engine file")
    form = header.get("form")
    if type(form) is not int or form != FORM:
        raise _FaultyError(f"it has form {shown(repr(form), 40)}, this suite writes {FORM}")
    if not all(isinstance(value, str) for value in header["key"].values()):
        raise _FaultyError("its header is incomplete: the key is not all text")
    if type(header.get("bytes")) is not int or not isinstance(header.get("sha256"), str):
        raise _FaultyError("its header is incomplete: bytes or sha256 is missing or of another type")
    header.setdefault("build_s", None)
    if not _is_build_s(header["build_s"]):
        raise _FaultyError("its header is incomplete: build_s is no number of seconds")
    return header, len(line)


def _is_build_s(value: object) -> bool:
    """Whether it is a number of seconds, or null as in a timing cache."""
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9)


def _read(file: Path, key: Mapping[str, str] | None) -> tuple[dict[str, Any], bytes]:
    """Header and content, the checksum compared; without a key the content is not kept."""
    with _open_own(file) as source:
        header, start = _read_header(source)
        if file.suffix == ENGINE and header["build_s"] is None:
            raise _FaultyError("its header is incomplete: build_s is missing")
        if key is not None and header["key"] != dict(key):
            raise _FaultyError("it was made for something else")
        size = os.fstat(source.fileno()).st_size - start
        if size != header["bytes"]:
            raise _FaultyError(f"it holds {size} bytes instead of {shown(header['bytes'], 40)}")
        if size > ENGINE_LIMIT_BYTES:
            raise _FaultyError(f"it holds {size} bytes, more than the {ENGINE_LIMIT_BYTES} that are read")
        source.seek(start)
        digest = hashlib.sha256()
        if key is not None:
            content = source.read(size)
            digest.update(content)
        else:
            content = b""
            while chunk := source.read(_CHUNK_BYTES):
                digest.update(chunk)
    if digest.hexdigest() != header["sha256"]:
        raise _FaultyError("its checksum is wrong")
    return header, content


def _entry(file: Path, checked: bool) -> Entry:
    status = file.lstat()
    entry = Entry(file, status.st_size, status.st_mtime, "", {}, None)
    if not _NAME.fullmatch(file.name):
        return replace(entry, fault="not the cache's own: a name that it does not give", own=False)
    try:
        if checked:
            header = _read(file, None)[0]
        else:
            with _open_own(file) as source:
                header = _read_header(source)[0]
    except FileNotFoundError:
        raise
    except _ForeignError as error:
        return replace(entry, fault=f"not the cache's own: {error}", own=False)
    except _FaultyError as error:
        return replace(entry, fault=str(error))
    except OSError as error:
        return replace(entry, fault=f"it cannot be read: {error.strerror}")
    # A copy under another name would answer to nothing; the name's last part is the key's digest.
    if not file.stem.endswith(_digest(header["key"])[:32]):
        return replace(entry, fault="its name is another engine's", key=header["key"], build_s=header["build_s"])
    return replace(entry, key=header["key"], build_s=header["build_s"])
