"""The engine cache: built engines, and the kernels' times that builds found.

A file that is not whole, or that answers to another key, is never handed out; it is built again and replaced.
"""

import contextlib
import logging
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_dir

from bench.engine_cache.files import ENGINE, TIMING, Entry, FaultyError, digest, entry_of, locked, read, write
from bench.errors import InputError

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
            note = unlocked
            if file.is_file():
                started = time.perf_counter()
                try:
                    header, plan = read(file, key)
                except (FaultyError, OSError) as error:
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
                write(file, key, plan, build_s)
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
            return read(file, identity)[1]
        except (FaultyError, OSError) as error:
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
            with locked(file):
                kept = self.read_timing(identity)
                write(file, identity, combine(kept, blob) if kept else blob, None)
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
                found.append(entry_of(file, checked))
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
        return self.folder / f"{readable}-{digest(key)[:32]}{suffix}"

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
    path = Path(given).expanduser() if given else Path(user_cache_dir("gpt-sovits-vocoder-bench")) / "engines"
    if path.exists() and not path.is_dir():
        raise InputError(
            f"the engine cache {path} is not a folder; give another with --engine-cache or {FOLDER_VARIABLE}"
        )
    return EngineCache(path, round(limit_gib * GIB))
