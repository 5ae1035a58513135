"""The worker's side of :mod:`bench.run.worker`: jobs in, answers out, in a process that may die."""

import contextlib
import ctypes
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import InputError, first_line
from bench.records.jsonl import dump_record
from bench.records.schema import Record
from bench.run.job import Answer, Job, Kind, Stage, read_line, write_line

if TYPE_CHECKING:
    from bench.run.session import Session

_PR_SET_PDEATHSIG = 1


def perform(job: Job, session: "Session") -> Record:
    """Does a job in this process.

    Args:
        job: What to do; its settings are the session's.
        session: What jobs share.

    Raises:
        InputError: what the user gave cannot be used.
    """
    if job.kind is Kind.SPEED:
        from bench.run.speed import measure_case

        return measure_case(job.case, session)
    if job.kind is Kind.QUALITY:
        from bench.run.quality import judge_case

        return judge_case(job.case, session)
    if job.kind is Kind.STREAMING:
        from bench.run.streaming import stream_case

        return stream_case(job.case, session)
    if job.kind is Kind.PROBE:
        from bench.run.session import probe

        return probe(job.case, session)
    if job.kind is Kind.LOAD:
        from bench.run.load.case import load_case

        return load_case(job.case, session)
    from bench.run.engine_builds import build_one

    return build_one(job.case, session)


Perform = Callable[[Job, "Session"], Record]


class _Server:
    """The worker's side: jobs in, answers out, and the session that jobs of the same settings share."""

    def __init__(self, connection: socket.socket, do: Perform) -> None:
        self._connection, self._do, self._pid = connection, do, os.getpid()
        self._session: Session | None = None

    def serve(self) -> None:
        """Does jobs until the parent closes the socket."""
        with self._connection.makefile("rb") as lines:
            for line in lines:
                if not self._answer(read_line(line, Job)):
                    break
        if self._session is not None:
            self._session.close()

    def _answer(self, job: Job) -> bool:
        """Does a job; returns whether this process can do another one."""
        try:
            session = self._session_of(job)
            if job.kind is not Kind.PROBE:
                self._say(Answer(begun=dump_record(session.begin(job.case, job.kind.record_kind))))
            record = self._do(job, session)
            if not isinstance(record, Record):
                raise TypeError(f"a {type(record).__name__} is no record")
            self._say(Answer(record=dump_record(record)))
        except InputError as error:
            self._say(Answer(refused=str(error)))
        except BaseException as error:  # noqa: BLE001 - SystemExit and its like are a case's fault, and cost it only
            self._say(Answer(fault=first_line(error)))
            return False
        return True

    def _session_of(self, job: Job) -> "Session":
        from bench.run.session import Session

        if self._session is not None and self._session.settings != job.settings:
            self._session.close()
            self._session = None
        if self._session is None:
            self._session = Session(job.settings)
            self._session.watch = self._enter
        return self._session

    def _enter(self, stage: Stage) -> None:
        self._say(Answer(stage=stage))

    def _say(self, answer: Answer) -> None:
        if os.getpid() != self._pid:
            # A case forked, and its child came back here: only one of them has an answer.
            os._exit(1)
        self._connection.sendall(write_line(answer))


def main(descriptor: int, do: Perform = perform) -> None:
    """Serves the socket of that file descriptor until the parent closes it.

    Args:
        descriptor: From the command line of :class:`Worker`.
        do: Does a job; for tests.
    """
    os.set_inheritable(descriptor, False)
    _die_with_parent()
    with socket.socket(fileno=descriptor) as connection:
        _Server(connection, do).serve()


def _die_with_parent() -> None:
    """On Linux: ends with the parent, however it ends, and is the first to go where memory is short."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("900", encoding="ascii")
