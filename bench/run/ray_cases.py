"""Does the cases of a sweep on the machines of a Ray cluster: all at once, one a GPU, each as on one machine.

::

    sweep: expect(all) ------> Ray: a task a case, on any machine with a free GPU
           perform(first) <---   Cases.perform in a folder of its own, which starts the case's worker
           perform(second) <--   its record and its files
           ...                 in the order of the sweep, whichever is done first
"""

import os
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.case import Case
from bench.cluster import NICENESS, connected, find_ray
from bench.errors import first_line
from bench.records.jsonl import dump_record, load_record
from bench.records.schema import FILE_NAME, Record, Status
from bench.records.writing import write_whole
from bench.run.isolation import ENGINES, About, Cases
from bench.run.job import Kind
from bench.run.limits import Limits, default_memory_bytes
from bench.run.session import bare_record
from bench.run.settings import Settings

# A task whose machine or process is lost is done once more, elsewhere.
_RETRIES = 1
_LOOK_S = 0.5
_THREADS = "OMP_NUM_THREADS"


@dataclass(frozen=True)
class Process:
    """What a case's process has from the sweep's, and Ray would set otherwise.

    Attributes:
        threads: ``OMP_NUM_THREADS``; None where it is not set.
        niceness: Other work goes before a process of more.
    """

    threads: str | None
    niceness: int


class RayCases:
    """Does cases on other machines; stands where :class:`~bench.run.isolation.Cases` does.

    Args:
        settings: Of the run. Weights, speech and engine cache are paths on every machine.
        limits: Of each case.
        about: What is known of the run.
        own_memory: Whether each machine takes most of its own memory for a limit.

    Raises:
        InputError: Ray is not installed.
    """

    def __init__(self, settings: Settings, limits: Limits, about: About, *, own_memory: bool = True) -> None:
        self._ray = find_ray("--ray")
        self._settings, self._about = settings, about
        self._limits = replace(limits, memory_bytes=None) if own_memory else limits
        self._connection: ExitStack | None = None
        self._tasks: dict[tuple[Kind, Case], Any] = {}

    def expect(self, jobs: Sequence[tuple[Kind, Case]]) -> None:
        """Gives cases to the cluster, which does them in any order.

        Raises:
            InputError: there is no cluster.
        """
        if self._connection is None:
            self._connection = ExitStack()
            self._connection.enter_context(connected(self._ray))
        limits, end_s = self._limits, self._limits.end_s
        # The clocks of machines have only the time of day in common.
        end_at = None if end_s is None else time.time() + end_s - time.monotonic()
        shared = self._ray.put((self._settings, replace(limits, end_s=None), self._about))
        here = Process(os.environ.get(_THREADS), os.nice(0))
        do = self._ray.remote(**self._resources(), max_retries=_RETRIES)(do_case)
        for kind, case in jobs:
            self._tasks[kind, case] = do.remote(kind, case, shared, end_at, here)

    def probe(self, _: Iterable[Case]) -> Mapping[str, str]:
        """Nothing: what runs on another machine is asked there."""
        return {}

    def perform(self, kind: Kind, case: Case) -> Record:
        """The record of a case, whatever happened; waits for it."""
        if (kind, case) not in self._tasks:
            self.expect([(kind, case)])
        task, errors = self._tasks.pop((kind, case)), self._ray.exceptions
        while not self._ray.wait([task], timeout=_LOOK_S)[0]:
            pass
        try:
            line, files = self._ray.get(task)
        except errors.OutOfMemoryError as error:
            return self._failed(kind, case, Status.OUT_OF_MEMORY, error)
        except errors.RayError as error:
            return self._failed(kind, case, Status.CRASHED, error)
        return self.kept(load_record(line), files)

    def kept(self, record: Record, files: dict[str, bytes]) -> Record:
        """The record, its files written where the sweep keeps them.

        Args:
            record: From :func:`do_case`.
            files: Likewise.
        """
        ours = self._about.weights.get(record.case.version)
        if ours and record.weights and ours.sha256 != record.weights.sha256:
            reason = "the machine has other weights under the same path; give every machine the same."
            return replace(record, status=Status.WRONG_OUTPUT, reason=reason, result=None)
        for name, content in files.items():
            write_whole(self._settings.directory / name, content)
        return record

    def close(self) -> None:
        """Leaves the cluster, which ends what still runs."""
        for task in self._tasks.values():
            self._ray.cancel(task, force=True)
        self._tasks.clear()
        if self._connection is not None:
            self._connection.close()

    def kill(self) -> None:
        """Nothing: waiting ends with the signal, and :meth:`close` ends the rest."""

    def _resources(self) -> dict[str, float]:
        """What a task takes: a GPU, or the processors of the smallest machine, so that timed cases do not meet."""
        if self._settings.device != "cpu":
            return {"num_gpus": 1, "num_cpus": 1}
        machines = [node["Resources"].get("CPU", 0.0) for node in self._ray.nodes() if node["Alive"]]
        return {"num_gpus": 0, "num_cpus": min((count for count in machines if count), default=1.0)}

    def _failed(self, kind: Kind, case: Case, status: Status, error: Exception) -> Record:
        version = case.version
        return replace(
            bare_record(case, self._settings, kind.record_kind),
            status=status,
            reason=f"Ray lost the task: {first_line(error)}",
            weights=self._about.weights.get(version),
            audio=self._about.audio.get(version),
        )


def do_case(
    kind: Kind, case: Case, shared: tuple[Settings, Limits, About], end_at: float | None, here: Process
) -> tuple[str, dict[str, bytes]]:
    """One case, where Ray has put it.

    Args:
        kind: What to do.
        case: With which case.
        shared: Settings and limits of the run, and what is known of it.
        end_at: The time of day at which the sweep's time is over; None for no limit.
        here: The sweep's process, in place of Ray's.

    Returns:
        A line of ``records.jsonl``, and the files beside it by their name in the run's folder.
    """
    settings, limits, about = shared
    os.environ.pop(_THREADS, None)
    if here.threads is not None:
        os.environ[_THREADS] = here.threads
    if os.nice(0) > here.niceness:
        try:
            os.setpriority(os.PRIO_PROCESS, 0, here.niceness)
        except PermissionError:
            reason = f"Ray's processes have niceness {os.nice(0)} there: start it with {NICENESS}=0."
            record = bare_record(case, settings, kind.record_kind)
            return dump_record(replace(record, status=Status.SKIPPED, reason=reason)), {}
    limits = replace(
        limits,
        memory_bytes=limits.memory_bytes or default_memory_bytes(),
        end_s=None if end_at is None else time.monotonic() + end_at - time.time(),
    )
    with tempfile.TemporaryDirectory(prefix="vocoder-bench-") as folder:
        # Ray shows a task its own GPU alone.
        device = "cpu" if settings.device == "cpu" else "cuda:0"
        own = replace(settings, results=folder, device=device)
        own.directory.mkdir()
        cases = Cases(own, limits, about)
        try:
            record = cases.perform(kind, case)
        finally:
            cases.close()
        return dump_record(record), _files(own.directory)


def _files(directory: Path) -> dict[str, bytes]:
    found = {path.relative_to(directory): path for path in directory.rglob("*") if path.is_file()}
    return {
        name.as_posix(): path.read_bytes()
        for name, path in found.items()
        if name.parts[0] not in (FILE_NAME, ENGINES) and not name.name.startswith(".")
    }
