"""A worker: a process that does jobs one after another, whose death costs one job.

::

    parent                               worker
      Job ------------ a socket ----------> does it in a session that it keeps while the settings stay
      Answer(begun) <----------------------  the record so far
      Answer(stage) <----------------------  a build begins or ends, any number of times
      Answer(record) <---------------------  the outcome

The socket is the worker's own: what libraries print on standard output or error goes to a file that the parent reads
when a job ends badly. A worker that crashes, raises or runs out of time is killed with its children, the job becomes a
record that says so, and the next job gets a fresh process. Workers need a POSIX system.
"""

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

import psutil

from bench.errors import InputError
from bench.records.jsonl import load_record
from bench.records.schema import Record, Status
from bench.run.job import Answer, Job, read_line, write_line
from bench.run.limits import Limits, Watch

# Runs the worker's side with the parent's search path, whatever the parent was started from.
_START = """\
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from bench.run.worker_process import main
main(int(sys.argv[2]))
"""
COMMAND = (sys.executable, "-P", "-u", "-c", _START)
# How often the parent looks whether the process lives and time is left; an answer wakes it at once.
_LOOK_S = 0.1
# How long a worker may take to leave when it is told to.
_LEAVE_S = 5.0
_TAIL_BYTES = 8192
_LINE_LENGTH = 300
_NONE = Limits()


class _GoneError(Exception):
    """The process ended, or was ended; the message says how."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


def _stopped() -> _GoneError:
    return _GoneError(Status.CRASHED, "the worker was stopped.")


class Worker:
    """One process at a time, started at the first job and again after a fault.

    Args:
        command: What to start; the number of the socket's file descriptor is added. By default
            :mod:`bench.run.worker_process`.
    """

    def __init__(self, command: Sequence[str] | None = None) -> None:
        self._command = (*COMMAND, json.dumps(sys.path)) if command is None else tuple(command)
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._rest = b""
        self._stopped = False
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        # The worker goes on at the end after the parent has emptied the file.
        fcntl.fcntl(self._output, fcntl.F_SETFL, fcntl.fcntl(self._output, fcntl.F_GETFL) | os.O_APPEND)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The process's id; None where none runs."""
        return None if self._process is None else self._process.pid

    def do(self, job: Job, limits: Limits = _NONE) -> Record:
        """Does a job and returns its record, whatever becomes of the process.

        Args:
            job: What to do.
            limits: What the job may take; what takes more is killed with its children.

        Returns:
            The job's record; with status ``CRASHED``, ``TIMEOUT`` or ``OUT_OF_MEMORY`` and a reason where the process
            ended.

        Raises:
            InputError: what the user gave cannot be used.
        """
        watch = Watch(limits)
        begun: Record | None = None
        try:
            self._send(job)
            answer = self._receive(watch)
            while answer.begun is not None or answer.stage is not None:
                if answer.begun is not None:
                    begun = _load(answer.begun, job)
                if answer.stage is not None:
                    watch.enter(answer.stage)
                answer = self._receive(watch)
            if answer.fault is not None:
                raise _GoneError(Status.CRASHED, answer.fault)
            if answer.refused is None:
                return _load(answer.record or "", job)
        except _GoneError as gone:
            self.kill()
            return replace(begun or _unknown(job), status=gone.status, reason=gone.reason)
        except BaseException:
            self.kill()
            raise
        raise InputError(answer.refused)

    def output(self, limit_bytes: int = _TAIL_BYTES) -> str:
        """The end of what the process printed during the latest job, on standard output or error."""
        file = self._output.fileno()
        start = max(0, os.fstat(file).st_size - limit_bytes)
        return os.pread(file, limit_bytes, start).decode(errors="replace")

    def output_tail(self) -> list[str]:
        """The last lines that the process printed during the latest job, on standard output or error."""
        return [line.rstrip() for line in self.output().splitlines() if line.strip()]

    def close(self) -> None:
        """Lets the process leave; kills it where it does not."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_LEAVE_S)
        self.kill()
        self._output.close()

    def stop(self) -> None:
        """Ends the job that runs in another thread, and refuses others."""
        self._stopped = True
        self.kill()

    def kill(self) -> None:
        """Kills the process, its group and its children, and forgets it."""
        process, self._process = self._process, None
        if process is not None:
            kill_tree(process)
        connection, self._socket = self._socket, None
        if connection is not None:
            connection.close()
        self._rest = b""

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = subprocess.Popen(  # noqa: S603 - our own module
                    (*self._command, str(theirs.fileno())),
                    stdin=subprocess.DEVNULL,
                    stdout=self._output,
                    stderr=self._output,
                    pass_fds=(theirs.fileno(),),
                    # A group of its own: it is killed whole, and a terminal's Ctrl-C reaches the parent only.
                    start_new_session=True,
                )
            except OSError:
                ours.close()
                raise
        ours.settimeout(_LOOK_S)
        self._socket, self._rest = ours, b""
        if self._stopped:
            self.kill()
            raise _stopped()
        return ours

    def _send(self, job: Job) -> None:
        if self._process is not None and self._process.poll() is not None:
            # It died between jobs, which is no fault of this one.
            self.kill()
        os.ftruncate(self._output.fileno(), 0)
        connection = self._socket or self._start()
        try:
            connection.sendall(write_line(job))
        except OSError:
            raise self._gone() from None

    def _receive(self, watch: Watch) -> Answer:
        """The next line.

        Raises:
            _GoneError: the process ended without one, or took more than it may.
        """
        while b"\n" not in self._rest:
            connection, process = self._socket, self._process
            if connection is None or process is None:
                raise _stopped()
            ended = process.poll() is not None
            try:
                data = connection.recv(1 << 16)
            except TimeoutError:
                data = None
            except OSError:
                data = b""
            # A process that has ended may have left an answer, which came before its end.
            if data == b"" or (data is None and ended):
                raise self._gone()
            self._rest += data or b""
            excess = None if b"\n" in self._rest else watch.excess(process.pid)
            if excess is not None:
                raise _GoneError(excess.status, self._with_last_line(excess.reason))
        line, self._rest = self._rest.split(b"\n", 1)
        try:
            return read_line(line, Answer)
        except Exception as error:
            raise _GoneError(Status.CRASHED, f"the worker's answer cannot be read: {type(error).__name__}") from error

    def _gone(self) -> _GoneError:
        process = self._process
        if process is None:
            return _stopped()
        try:
            code = process.wait(_LEAVE_S)
        except subprocess.TimeoutExpired:
            return _GoneError(Status.CRASHED, self._with_last_line("the process closed its socket and went on"))
        how = f"signal {_signal_name(-code)}" if code < 0 else f"exit status {code}"
        if code == -signal.SIGKILL:
            how += ", which nobody here sent: the system does so where memory is short"
        return _GoneError(Status.CRASHED, self._with_last_line(f"the process ended by {how}"))

    def _with_last_line(self, text: str) -> str:
        last = self.output_tail()[-1:]
        return f"{text}: {last[0][:_LINE_LENGTH]}" if last else f"{text}."


def _load(line: str, job: Job) -> Record:
    """The record of a line, if it is of this job: a process that was forked off could answer a second time."""
    try:
        record = load_record(line)
    except InputError as error:
        raise _GoneError(Status.CRASHED, f"the worker gave no record: {error}") from error
    if (record.case, record.kind) != (job.case, job.kind.record_kind):
        raise _GoneError(Status.CRASHED, f"the worker answered for another case: {record.kind} {record.id}")
    return record


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def _unknown(job: Job) -> Record:
    """The record of a job of which the worker said nothing."""
    # Imported here because it brings torch, which a parent of builds does without until something goes wrong.
    from bench.run.session import bare_record

    return bare_record(job.case, job.settings, job.kind.record_kind)


def kill_tree(process: "subprocess.Popen[bytes]") -> None:
    """Kills a process that leads a group, the group, and children that left it; waits for the process."""
    with contextlib.suppress(psutil.NoSuchProcess):
        children = psutil.Process(process.pid).children(recursive=True)
        _kill_group(process.pid)
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
    _kill_group(process.pid)
    process.wait()


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
