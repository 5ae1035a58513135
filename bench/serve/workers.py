"""Workers: an engine in this process, or in one of its own that may die without the service."""

import contextlib
import functools
import multiprocessing
import multiprocessing.context
import os
import signal
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any, Protocol

from bench.errors import InputError, UnsupportedError, WrongOutputError, first_line
from bench.serve.engine import Engine, Facts, Output, Samples
from bench.serve.settings import EngineSettings

# How long a process may take to leave when it is told to, and to vocode one batch before it is taken for hung.
_LEAVE_S = 2.0
RUN_LIMIT_S = 300.0
# Engines of one process are made one after another: PyTorch has one profiler, which looks at each.
_STARTS = threading.Lock()
_KNOWN = {error.__name__: error for error in (InputError, UnsupportedError, WrongOutputError)}


class WorkerDiedError(RuntimeError):
    """The worker's process ended; what it was doing can be done by another."""


class Worker(Protocol):
    """One engine somewhere. Its methods block, and one thread at a time calls them."""

    def start(self) -> Facts:
        """Makes the engine."""

    def run(self, mels: Sequence[Samples]) -> Output:
        """Vocodes mels together; see :meth:`bench.serve.engine.Engine.run`."""

    def close(self) -> None:
        """Gives everything back; the worker can be started again."""


class LocalWorker:
    """An engine in this process."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._engine: Engine | None = None

    def start(self) -> Facts:
        """Makes the engine; raises as :class:`~bench.serve.engine.Engine`."""
        with _STARTS:
            self._engine = Engine(self._settings)
        return self._engine.facts

    def run(self, mels: Sequence[Samples]) -> Output:
        """Vocodes mels together.

        Raises:
            WorkerDiedError: it was not started.
        """
        if self._engine is None:
            raise WorkerDiedError("the worker is not started")
        return self._engine.run(mels)

    def close(self) -> None:
        """Closes the engine."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()


class ProcessWorker:
    """An engine in a process of its own, asked over a pipe.

    Attributes:
        pid: Of the process; None where none runs.
    """

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._process: Any = None
        self._pipe: Connection | None = None

    @property
    def pid(self) -> int | None:
        """The process's id."""
        return None if self._process is None else int(self._process.pid)

    def start(self) -> Facts:
        """Starts the process and waits until its engine is ready.

        Raises:
            WorkerDiedError: the process ended meanwhile.
            InputError, UnsupportedError, WrongOutputError: as :class:`~bench.serve.engine.Engine`.
        """
        context = _context()
        ours, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._settings), daemon=True)
        self._process.start()
        theirs.close()
        self._pipe = ours
        facts = self._receive()
        assert isinstance(facts, Facts)  # noqa: S101 - the first answer of our own process
        return facts

    def run(self, mels: Sequence[Samples]) -> Output:
        """Vocodes mels together.

        Raises:
            WorkerDiedError: the process has ended, before or meanwhile, or hung and was ended.
            UnsupportedError: as :meth:`bench.serve.engine.Engine.run`.
            RuntimeError: anything else that was raised there.
        """
        if self._pipe is None:
            raise WorkerDiedError("the worker is not started")
        try:
            self._pipe.send(list(mels))
        except OSError:
            raise WorkerDiedError(self._how()) from None
        output = self._receive(RUN_LIMIT_S)
        assert isinstance(output, Output)  # noqa: S101 - the answer of our own process
        return output

    def close(self) -> None:
        """Lets the process leave; kills it where it does not."""
        pipe, self._pipe = self._pipe, None
        process, self._process = self._process, None
        if pipe is not None:
            pipe.close()
        if process is not None:
            process.join(_LEAVE_S)
            if process.is_alive():
                process.kill()
                process.join()
            process.close()

    def _receive(self, limit_s: float | None = None) -> object:
        assert self._pipe is not None  # noqa: S101 - narrows the type
        try:
            if not self._pipe.poll(limit_s):
                self._process.kill()
            kind, content = self._pipe.recv()
        except (EOFError, OSError):
            raise WorkerDiedError(self._how()) from None
        if kind == "error":
            name, text = content
            raise _KNOWN.get(name, RuntimeError)(text)
        return content

    def _how(self) -> str:
        if self._process is None:
            return "the worker was stopped"
        self._process.join(_LEAVE_S)
        return f"the worker's process ended with exit code {self._process.exitcode}"


@functools.cache
def _context() -> multiprocessing.context.ForkServerContext:
    """Processes are forked off one that has imported everything and touched no GPU: CUDA's state survives no fork."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["bench.serve.engine", "bench.backends.eager"])
    return context


def _serve(pipe: Connection, settings: EngineSettings) -> None:
    """The process's side: the engine's facts, then an answer to every list of mels, until the pipe is closed."""
    if threading.current_thread() is threading.main_thread():
        # A terminal's Ctrl-C is the service's, which finishes what it took before it lets its workers leave.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(EOFError, OSError):
        try:
            engine = Engine(settings)
        except Exception as error:  # noqa: BLE001 - whatever it is, the service's process says it
            pipe.send(("error", _told(error)))
            return
        with engine:
            pipe.send(("facts", engine.facts))
            while True:
                mels = pipe.recv()
                try:
                    answer: tuple[str, object] = ("output", engine.run(mels))
                except Exception as error:  # noqa: BLE001 - likewise
                    answer = ("error", _told(error))
                pipe.send(answer)


def _told(error: Exception) -> tuple[str, str]:
    name = type(error).__name__
    return name, str(error) if name in _KNOWN else first_line(error)


def make_worker(settings: EngineSettings, *, process: bool) -> Worker:
    """A worker that is not started yet."""
    return ProcessWorker(settings) if process else LocalWorker(settings)


def default_threads(workers: int) -> int:
    """CPU threads of each worker, so that together they take the processors once."""
    return max(1, (os.cpu_count() or 1) // max(1, workers))
