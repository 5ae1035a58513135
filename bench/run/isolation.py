"""Does the cases of a sweep, each in a worker process, and has a record for each, whatever becomes of the process.

One worker serves the cases of one version, backend and precision that follow one another; after any fault the next case
gets a fresh one. In-process, for debugging, everything runs where the sweep does.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.case import Case
from bench.errors import InputError, first_line
from bench.files import file_name
from bench.records.schema import Record, Status
from bench.records.writing import write_whole
from bench.run.job import Job, Kind
from bench.run.limits import Limits
from bench.run.session import Session, bare_record
from bench.run.settings import Settings
from bench.run.worker import Worker
from bench.run.worker_process import perform
from bench.spec import Weights

# After these the process is as good as before.
_UNHARMED = (Status.OK, Status.UNAVAILABLE, Status.UNSUPPORTED)
# What of a worker's output is kept beside the records of a case that failed.
_LOG_BYTES = 1 << 16
LOGS = "logs"


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
        self._worker: Worker | None = None
        self._serves: tuple[str, str, str] | None = None
        self._too_large: list[tuple[Kind, Case]] = []

    def perform(self, kind: Kind, case: Case) -> Record:
        """Does a case and returns its record, whatever happens."""
        reason = self._skip_reason(kind, case)
        if reason is not None:
            return replace(self._bare(kind, case), status=Status.SKIPPED, reason=reason)
        job = Job(kind, case, self._settings)
        try:
            record = self._here(job, self._session) if self._session is not None else self._in_worker(job)
        except InputError as error:
            # The sweep's own input was tried before: this is something that the case made of it.
            record = replace(self._bare(kind, case), status=Status.CRASHED, reason=first_line(error))
        if record.status is Status.OUT_OF_MEMORY:
            self._too_large.append((kind, case))
        return record

    def close(self) -> None:
        """Ends the worker or the session."""
        if self._session is not None:
            self._session.close()
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.close()

    def kill(self) -> None:
        """Ends the worker at once; from a signal handler."""
        if self._worker is not None:
            self._worker.kill()

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

    def _in_worker(self, job: Job) -> Record:
        worker = self._worker_of(job.case)
        try:
            record = worker.do(job, self._limits)
        except InputError:
            self._retire()
            raise
        record = self._filled(record, job)
        if record.status not in _UNHARMED:
            record = self._with_log(record, worker.output(_LOG_BYTES))
            self._retire()
        return record

    def _worker_of(self, case: Case) -> Worker:
        serves = (case.version, case.backend, case.precision)
        if self._worker is not None and self._serves != serves:
            self._retire()
        if self._worker is None:
            self._worker = Worker()
        self._serves = serves
        return self._worker

    def _retire(self) -> None:
        worker, self._worker = self._worker, None
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
