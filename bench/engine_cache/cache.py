"""The engine cache: built engines, and the kernels' times that builds found.

A file that is not whole, or that answers to another key, is never handed out; it is built again and replaced. An
engine is a program, so the cache touches only what is its own; see :mod:`bench.engine_cache.own`.
"""

import contextlib
import logging
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.engine_cache.files import (
    ENGINE,
    TIMING,
    Entry,
    Removal,
    digest,
    entry_of,
    helper_of,
    locked,
    read,
    remove,
    write,
)
from bench.engine_cache.own import (
    MARKER,
    OTHERS_WRITE,
    TEMPORARY,
    FaultyError,
    ForeignError,
    check_folder,
    check_own,
    is_helper,
    said,
)
from bench.errors import InputError, shown
from bench.files import cache_folder, user_path

FOLDER_VARIABLE = "VOCODER_BENCH_ENGINES"
LIMIT_VARIABLE = "VOCODER_BENCH_ENGINES_LIMIT_GIB"
DEFAULT_LIMIT_GIB = 20.0
GIB = 1 << 30
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
class EngineCache:
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
        with locked(file) as unlocked:
            kept, note = self._kept(file, key)
            if kept is not None:
                return kept
            note = note or unlocked
            started = time.perf_counter()
            plan = build()
            build_s = time.perf_counter() - started
            try:
                write(file, key, plan, build_s)
                self._evict(file)
            except (OSError, InputError, ForeignError) as error:
                note = f"the engine is not kept: {said(error)}"
                _log.warning("%s: %s", shown(file), note)
                return CachedEngine(plan, False, build_s, None, None, note)
        return CachedEngine(plan, False, build_s, None, file, note)

    def _kept(self, file: Path, key: Mapping[str, str]) -> tuple[CachedEngine | None, str]:
        """The engine in a file, or why there is one that is not used."""
        if not os.path.lexists(file):
            return None, ""
        started = time.perf_counter()
        try:
            check_folder(self.folder)
            header, plan = read(file, key)
        except (FaultyError, OSError) as error:
            _log.warning("%s: %s; it is built again", shown(file), said(error))
            return None, f"the kept engine was not used: {said(error)}"
        with contextlib.suppress(OSError):
            os.utime(file)
        read_s = time.perf_counter() - started
        return CachedEngine(plan, True, float(header["build_s"]), read_s, file, ""), ""

    def discard(self, key: Mapping[str, str], reason: str) -> None:
        """Removes the engine of a key, which TensorRT refused although nothing is wrong with the file."""
        file = self._file(key, ENGINE)
        _log.warning("%s: %s; it is built again", shown(file), shown(reason))
        with contextlib.suppress(OSError, ForeignError):
            check_folder(self.folder)
            check_own(file.lstat())
            file.unlink()

    def read_timing(self, identity: Mapping[str, str]) -> bytes:
        """The timing cache of a library and GPU; empty when there is none that can be used."""
        file = self._file(identity, TIMING)
        if not os.path.lexists(file):
            return b""
        try:
            check_folder(self.folder)
            return read(file, identity)[1]
        except (FaultyError, OSError) as error:
            _log.warning("%s: %s; builds start without it", shown(file), said(error))
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
            with locked(file):
                kept = self.read_timing(identity)
                write(file, identity, combine(kept, blob) if kept else blob, None)
        except (OSError, ForeignError) as error:
            _log.warning("%s: the timing cache is not kept: %s", shown(file), said(error))

    def refusal(self) -> str | None:
        """Why the folder is not used as a cache, as one sentence; None where it can be or is not there yet."""
        try:
            check_folder(self.folder)
        except FileNotFoundError:
            return None
        except (ForeignError, OSError) as error:
            return f"{self.folder} is not used as an engine cache: {said(error)}"
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
            if file.name != MARKER and not is_helper(file.name):
                with contextlib.suppress(FileNotFoundError):
                    found.append(entry_of(file, checked))
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
            helper_of(file, "left over from a writer that died")
            for file in self._helpers(TEMPORARY)
            if now - file.lstat().st_mtime > _LEFTOVER_S
        ]
        gone, left = remove([*old, *dead])
        more, stuck = self._evict(None)
        return Removal(gone + more, strangers + left + stuck)

    def clear(self) -> Removal:
        """Removes every engine and timing cache of the cache's own, its locks and its unfinished files."""
        entries = self.entries()
        gone, left = remove([entry for entry in entries if entry.own])
        helpers = [helper_of(file, "") for file in self._helpers(None)]
        _, stuck = remove(helpers)
        return Removal(gone, [entry for entry in entries if not entry.own] + left + stuck)

    def _file(self, key: Mapping[str, str], suffix: str) -> Path:
        text = "-".join(key[name] for name in ("version", "backend", "precision", "shapes") if name in key)
        readable = re.sub(r"[^0-9A-Za-z+_.-]+", "_", text or "kernels")[:80]
        return self.folder / f"{readable}-{digest(key)[:32]}{suffix}"

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
        return remove(chosen)

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
            with contextlib.suppress(OSError, ForeignError):
                if form.fullmatch(file.name) if form else is_helper(file.name):
                    # Locks of earlier caches were open to be read by others.
                    check_own(file.lstat(), OTHERS_WRITE)
                    found.append(file)
        return found


def default_engine_cache(folder: str | None = None) -> EngineCache:
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
    cache = EngineCache(path, round(limit_gib * GIB))
    refusal = cache.refusal()
    if refusal is not None:
        raise InputError(f"{refusal}; --engine-cache or {FOLDER_VARIABLE} names another")
    return cache


def _user_folder() -> Path:
    """The platform's folder for caches."""
    folder = cache_folder("engines")
    if folder is None:
        raise InputError(f"this user has no home folder to keep engines in; set {FOLDER_VARIABLE} or HOME to a folder")
    return folder
