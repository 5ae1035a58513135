"""Does the cases of a sweep, each in a worker process, and has a record for each, whatever becomes of the process.

Workers serve the cases of one version, backend and precision that follow one another: one, or as many as share a case's
rounds, one after another. After any fault the next case gets a fresh one. In-process, for debugging, everything runs
where the sweep does.
"""

import contextlib
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.backends import find_backend
from bench.case import Case
from bench.errors import InputError, first_line
from bench.files import file_name
from bench.records.schema import Record, Status
from bench.records.writing import write_whole
from bench.run.job import Job, Kind
from bench.run.limits import Limits
from bench.run.repeats import combined
from bench.run.session import Session, bare_record
from bench.run.settings import Settings
from bench.run.tryout import STEP_S
from bench.run.worker import Worker
from bench.run.worker_process import perform
from bench.spec import Weights

# After these the process is as good as before.
_UNHARMED = (Status.OK, Status.UNAVAILABLE, Status.UNSUPPORTED)
# What of a worker's output is kept beside the records of a case that failed.
_LOG_BYTES = 1 << 16
LOGS = "logs"
# Engines of a run that builds its own; removed at its end.
ENGINES = ".engines"


@dataclass(frozen=True)
class About:
    """What the sweep itself knows, for the row of a case whose worker said nothing.

    Attributes:
        weights: By version.
        audio: Identity of the speech by version.
        environment: Of the machine.
    """

    weights: Mapping[str, Weights] = field(default_factory=dict)
    audio: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)


class Cases:
    """Does cases one after another.

    Args:
        settings: Of the run.
        limits: Of each case in a worker.
        about: What is known of the run.
        in_process: Whether to run everything in this process, where no limit holds and a crash ends the sweep.
    """

    def __init__(
        self, settings: Settings, limits: Limits | None = None, about: About | None = None, *, in_process: bool = False
    ) -> None:
        self._settings, self._limits, self._about = settings, limits or Limits(), about or About()
        self._session = Session(settings) if in_process else None
        self._workers: dict[int, Worker] = {}
        self._serves: tuple[str, str, str] | None = None
        self._too_large: list[tuple[Kind, Case]] = []
        self._unavailable: dict[str, str] = {}

    def expect(self, jobs: Sequence[tuple[Kind, Case]]) -> None:
        """Nothing: each case is done when its turn comes."""

    def perform(self, kind: Kind, case: Case) -> Record:
        """Does a case and returns its record, whatever happens."""
        reason = self._skip_reason(kind, case)
        if reason is not None:
            return replace(self._bare(kind, case), status=Status.SKIPPED, reason=reason)
        if case.backend in self._unavailable:
            # It has said so of this device before; another process would cost seconds to hear it again.
            reason = self._unavailable[case.backend]
            return replace(self._bare(kind, case), status=Status.UNAVAILABLE, reason=reason)
        record = self._repeated(case) if kind is Kind.SPEED else self._once(Job(kind, case, self._settings))
        if record.status is Status.OUT_OF_MEMORY:
            self._too_large.append((kind, case))
        if record.status is Status.UNAVAILABLE:
            self._unavailable[case.backend] = record.reason
        return record

    def probe(self, cases: Iterable[Case]) -> Mapping[str, str]:
        """Asks every backend of the cases once, in one process, whether it runs here.

        Nothing is asked in-process, or of one backend alone: its first case does. A backend whose answer ends the
        process is left to its first case too, whose row says so.

        Returns:
            Why not, by name.
        """
        asked = {case.backend: case for case in cases}
        if self._session is not None or len(asked) < 2:
            return {}
        limits = replace(self._limits, case_s=min(self._limits.case_s or STEP_S, STEP_S))
        worker = self._workers[0] = Worker()
        for case in asked.values():
            with contextlib.suppress(InputError):
                record = worker.do(Job(Kind.PROBE, case, self._settings), limits)
                if record.status is Status.UNAVAILABLE:
                    self._unavailable[case.backend] = record.reason
        # What it imported is not to be weighed with the first case.
        self._retire()
        return dict(self._unavailable)

    def close(self) -> None:
        """Ends the workers or the session, and removes engines that the run built for itself."""
        if self._session is not None:
            self._session.close()
        self._retire()
        self._drop_engines()

    def kill(self) -> None:
        """Ends the workers at once; from a signal handler."""
        for worker in list(self._workers.values()):
            worker.kill()

    def _repeated(self, case: Case) -> Record:
        """A speed case, its rounds shared by several processes; the first that fails ends it."""
        settings = self._settings
        rebuilds = settings.rebuilds
        if rebuilds and not find_backend(case.backend).keeps_engines:
            rebuilds = 0
        records, builds = [], []
        for process in range(settings.repeats):
            build = process % rebuilds if rebuilds else 0
            own = settings
            if rebuilds:
                own = replace(settings, engine_cache=str(settings.directory / ENGINES / str(build)))
            records.append(self._once(Job(Kind.SPEED, case, own), process))
            builds.append(build)
            if records[-1].status is not Status.OK:
                break
        return combined(records, builds)

    def _once(self, job: Job, process: int = 0) -> Record:
        """A job in one process, whatever happens."""
        try:
            return self._here(job, self._session) if self._session is not None else self._in_worker(job, process)
        except InputError as error:
            # The sweep's own input was tried before: this is something that the case made of it.
            return replace(self._bare(job.kind, job.case), status=Status.CRASHED, reason=first_line(error))

    def _skip_reason(self, kind: Kind, case: Case) -> str | None:
        for tried, small in self._too_large:
            same = replace(case, batch=small.batch, frames=small.frames) == small
            if tried is kind and same and case != small and case.batch >= small.batch and case.frames >= small.frames:
                return f"the smaller {small.id} ran out of memory."
        end_s = self._limits.end_s
        if end_s is not None and time.monotonic() >= end_s:
            return "the time of the whole sweep was over."
        return None

    def _here(self, job: Job, session: Session) -> Record:
        """Does a job in this process; a BaseException is the case's fault, but for Ctrl-C."""
        try:
            record = perform(job, session)
        except (InputError, KeyboardInterrupt):
            raise
        except BaseException as error:  # noqa: BLE001 - SystemExit and its like are a case's fault, and cost it only
            return replace(self._bare(job.kind, job.case), status=Status.CRASHED, reason=first_line(error))
        finally:
            session.settle()
        return record

    def _in_worker(self, job: Job, process: int) -> Record:
        worker = self._worker_of(job.case, process)
        try:
            record = worker.do(job, self._limits)
        except InputError:
            self._retire(process)
            raise
        record = self._filled(record, job)
        if record.status not in _UNHARMED:
            record = self._with_log(record, worker.output(_LOG_BYTES))
            self._retire(process)
        return record

    def _worker_of(self, case: Case, process: int) -> Worker:
        serves = (case.version, case.backend, case.precision)
        if self._serves != serves:
            self._retire()
            self._drop_engines()
        if process not in self._workers:
            self._workers[process] = Worker()
        self._serves = serves
        return self._workers[process]

    def _drop_engines(self) -> None:
        """Removes engines that the run built for itself; there is no more than one configuration's at a time."""
        if self._settings.rebuilds:
            shutil.rmtree(self._settings.directory / ENGINES, ignore_errors=True)

    def _retire(self, process: int | None = None) -> None:
        """Ends one worker, or all of them."""
        for number in [process] if process is not None else list(self._workers):
            worker = self._workers.pop(number, None)
            if worker is not None:
                worker.close()

    def _with_log(self, record: Record, text: str) -> Record:
        """Keeps what the worker printed beside the records, where it printed something."""
        if not text.strip():
            return record
        name = Path(LOGS) / f"{file_name(f'{record.kind}-{record.id}')}.txt"
        try:
            write_whole(self._settings.directory / name, text)
        except OSError:
            # The row has the reason; where there is no room for it either, the sweep ends and says so.
            return record
        return replace(record, files={**record.files, "log": str(name)})

    def _bare(self, kind: Kind, case: Case) -> Record:
        return self._filled(bare_record(case, self._settings, kind.record_kind), Job(kind, case, self._settings))

    def _filled(self, record: Record, job: Job) -> Record:
        """The record with what the sweep knows, where the worker could not say it any more."""
        version = job.case.version
        return replace(
            record,
            weights=record.weights or self._about.weights.get(version),
            audio=record.audio or self._about.audio.get(version),
            environment=record.environment or dict(self._about.environment),
        )
