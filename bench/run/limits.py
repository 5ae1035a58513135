"""Limits of a job in a worker: time for a build and for the rest, memory, and the end of the sweep."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.records.schema import Status
from bench.run.job import Stage

GIB = 1 << 30
# Share of the memory that is free at the start which a worker may take unless told otherwise.
_SHARE = 0.9
# How often children are looked for; walking all processes takes milliseconds.
_CHILDREN_S = 1.0


@dataclass(frozen=True)
class Limits:
    """What a job may take; None for no limit.

    Attributes:
        case_s: Seconds of a case without its builds.
        build_s: Seconds of each build.
        memory_bytes: Resident memory of the worker and its children.
        end_s: End of the sweep by :func:`time.monotonic`.
    """

    case_s: float | None = None
    build_s: float | None = None
    memory_bytes: int | None = None
    end_s: float | None = None


@dataclass(frozen=True)
class Excess:
    """What a job took too much of."""

    status: Status
    reason: str


class Watch:
    """Compares one job with its limits.

    Args:
        limits: Of the job.
        now: Seconds from any start; for tests.
    """

    def __init__(self, limits: Limits, now: Callable[[], float] = time.monotonic) -> None:
        self._limits, self._now = limits, now
        self._spent_s, self._stage, self._since = 0.0, Stage.CASE, now()
        self._children_at, self._children_bytes = 0.0, 0

    def enter(self, stage: Stage) -> None:
        """Begins a stage; the time of a build does not count for the case."""
        if self._stage is Stage.CASE:
            self._spent_s += self._now() - self._since
        self._stage, self._since = stage, self._now()

    def excess(self, pid: int) -> Excess | None:
        """What is over its limit; None while nothing is."""
        limits, now = self._limits, self._now()
        if limits.end_s is not None and now >= limits.end_s:
            return Excess(Status.TIMEOUT, "the time of the whole sweep was over")
        elapsed_s = now - self._since
        if self._stage is Stage.BUILD:
            if limits.build_s is not None and elapsed_s >= limits.build_s:
                return Excess(Status.TIMEOUT, f"the build took longer than {limits.build_s:g} s")
        elif limits.case_s is not None and self._spent_s + elapsed_s >= limits.case_s:
            return Excess(Status.TIMEOUT, f"no answer within {limits.case_s:g} s")
        if limits.memory_bytes is not None:
            used = self._resident_bytes(pid)
            if used > limits.memory_bytes:
                allowed = f"{limits.memory_bytes / GIB:.2f} GiB"
                reason = f"the worker held {used / GIB:.2f} GiB of memory, more than its {allowed}"
                return Excess(Status.OUT_OF_MEMORY, reason)
        return None

    def _resident_bytes(self, pid: int) -> int:
        try:
            process = psutil.Process(pid)
            own = int(process.memory_info().rss)
            if self._now() - self._children_at >= _CHILDREN_S:
                self._children_at, self._children_bytes = self._now(), 0
                for child in process.children(recursive=True):
                    with contextlib.suppress(psutil.Error):
                        self._children_bytes += int(child.memory_info().rss)
        except psutil.Error:
            return 0
        return own + self._children_bytes


def default_memory_bytes() -> int:
    """What a worker may take by default: nine tenths of what is free, the container's limit included."""
    return int(_SHARE * min(int(psutil.virtual_memory().available), _container_bytes()))


def _container_bytes(root: Path = Path("/sys/fs/cgroup")) -> int:
    """The memory limit of this process's control group, of version 2 or 1; very large where there is none."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            return int((root / name).read_text(encoding="ascii"))
    return 1 << 62
