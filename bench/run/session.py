"""What the cases of a run share, in one object, and the outcome of one case.

::

    with Session(settings) as session:
        with session.open(case) as prepared, session.active(case):
            wave = prepared.call()
"""

import os
import sys
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.audio.speech import Voice
from bench.backend import Backend, Request, Runner
from bench.backends import find_backend
from bench.case import Case
from bench.engine_cache import EngineCache, default_engine_cache
from bench.errors import NoVocoderError, UnsupportedError, WrongOutputError, first_line
from bench.measure import environment
from bench.measure.memory import is_out_of_memory
from bench.precision import find_precision, flags
from bench.records.schema import Record, Speed, Status
from bench.run.job import Stage
from bench.run.settings import Settings
from bench.run.validity import check_runner, fingerprint
from bench.spec import VocoderSpec, Weights
from bench.vocoders import Vocoder, load_with_identity

Key = TypeVar("Key")
Value = TypeVar("Value")


class Latest(Generic[Key, Value]):
    """Keeps one value, that of the key asked for last."""

    def __init__(self) -> None:
        self._kept: tuple[Key, Value] | None = None

    def get(self, key: Key, make: Callable[[], Value]) -> Value:
        """The value of ``key``, made where another key's is kept."""
        if self._kept is None or self._kept[0] != key:
            # The old value goes first: two at once may not fit.
            self._kept = None
            self._kept = (key, make())
        return self._kept[1]

    def clear(self) -> None:
        """Drops the value."""
        self._kept = None


@dataclass(frozen=True)
class Prepared:
    """A runner and its input ``(batch, bands, frames)``, in the runner's data type on its device."""

    runner: Runner
    mel: Tensor

    def call(self) -> Tensor:
        """One inference."""
        return self.runner.run(self.mel)


class Session:
    """Weights, speech, stream and engine cache of a run. Each is made when a case first needs it.

    Attributes:
        settings: Of the run.
        device: Where cases run.
        engine_cache: The engine cache; None where nothing is kept.
        watch: Hears when a build begins and when it ends.
        references: The quality suite's reference outputs of the shape judged last, by the
            reference's case and the type that its mels were rounded to.

    A length counts as run with the first case that is opened at it; see :meth:`lengths_run`.

    Raises:
        InputError: the engine cache cannot be a folder.
    """

    def __init__(self, settings: Settings) -> None:
        torch.set_num_threads(settings.threads)
        self.settings = settings
        self.device = torch.device(settings.device)
        self.engine_cache: EngineCache | None = find_engine_cache(settings.engine_cache)
        self.references: Latest[Case, dict[torch.dtype, dict[str, list[NDArray[np.float32]]]]] = Latest()
        self.watch: Callable[[Stage], None] = lambda _: None
        self._folder = Path.cwd()
        self._loaded: dict[str, tuple[Vocoder, Weights]] = {}
        self._prints: dict[str, tuple[object, ...]] = {}
        self._voices: dict[VocoderSpec, Voice] = {}
        self._machine: dict[str, Any] | None = None
        self._stream: torch.cuda.Stream | None = None
        self._lengths_run: defaultdict[str, set[int]] = defaultdict(set)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Gives back weights, speech, references and the stream; the session makes them anew if it is used again."""
        self.references.clear()
        self._loaded.clear()
        self._prints.clear()
        self._voices.clear()
        self._stream = None

    def vocoder(self, version: str) -> Vocoder:
        """The float32 vocoder of a version, on the CPU. Cases share it and must not change it.

        Raises:
            InputError: no weights of the run hold it; the sentence is about the last ones.
        """
        return self._load(version)[0]

    def weights(self, version: str) -> Weights:
        """The identity of a version's weights. Raises as :meth:`vocoder`."""
        return self._load(version)[1]

    def voice(self, version: str) -> Voice:
        """The run's speech as that version's vocoder takes it.

        Raises:
            InputError: the weights or the sound file cannot be used.
        """
        spec = self.vocoder(version).spec
        if spec not in self._voices:
            self._voices[spec] = Voice(self.settings.audio, spec)
        return self._voices[spec]

    def lengths_run(self, version: str) -> set[int]:
        """Numbers of frames that this process ran with a version, by whatever backend; callers add their own."""
        return self._lengths_run[version]

    @property
    def environment(self) -> dict[str, Any]:
        """What the machine is, JSON values only; facts that do not change during a run are read once."""
        if self._machine is None:
            self._machine = environment.machine()
        return environment.capture(self.device, self._machine)

    @contextmanager
    def open(self, case: Case, mel: Tensor | None = None) -> Iterator[Prepared]:
        """Builds the runner of ``case``, times that, and closes the runner at the end, whatever happens.

        Args:
            case: What to run.
            mel: float32 input ``(batch, bands, frames)``; None for the run's speech.
        """
        vocoder = self.vocoder(case.version)
        if mel is None:
            mel = self.voice(case.version).mel(case.batch, case.frames)
        mel = mel.to(self.device)
        self.lengths_run(case.version).add(mel.shape[-1])
        backend = find_backend(case.backend)
        request = Request(
            vocoder,
            case,
            find_precision(case.precision),
            mel,
            self.device,
            self.weights(case.version).sha256,
            self.engine_cache,
        )
        runner = self._prepare(backend, request)
        try:
            self._check_vocoder(case)
            yield Prepared(runner, mel.to(runner.dtype))
        finally:
            runner.close()
            self.settle()
        self._check_vocoder(case)

    def _prepare(self, backend: Backend, request: Request) -> Runner:
        """The runner, with its seconds, tried for what other parts of the suite rely on."""
        self.watch(Stage.BUILD)
        started = time.perf_counter()
        try:
            with flags(request.precision):
                runner = backend.prepare(request)
                if self.device.type == "cuda":
                    torch.cuda.synchronize(self.device)
        finally:
            seconds = time.perf_counter() - started
            self.settle()
            self.watch(Stage.CASE)
        check_runner(runner, request.case.backend)
        return replace(runner, build=replace(runner.build, seconds=seconds))

    def settle(self) -> None:
        """Puts back what a backend's code may have changed of the process: threads, defaults of PyTorch, the folder."""
        torch.set_num_threads(self.settings.threads)
        torch.set_default_dtype(torch.float32)
        torch.set_grad_enabled(True)
        os.chdir(self._folder)

    def _check_vocoder(self, case: Case) -> None:
        """Raises :class:`WrongOutputError` where a backend changed the vocoder that cases share."""
        loaded = self._loaded.get(case.version)
        if loaded is not None and fingerprint(loaded[0]) != self._prints[case.version]:
            self.close()
            raise WrongOutputError(f"the backend {case.backend} changed the vocoder that other cases share.")

    @contextmanager
    def active(self, case: Case) -> Iterator[None]:
        """The state of a case's calls: inference mode, the precision's TF32 switches, and on a GPU a stream.

        The stream is not the default one, because TensorRT synchronises there by itself.
        """
        with flags(find_precision(case.precision)), torch.inference_mode(), self._on_stream():
            yield

    def _on_stream(self) -> Any:
        if self.device.type != "cuda":
            return nullcontext()
        if self._stream is None:
            self._stream = torch.cuda.Stream(self.device)
        return torch.cuda.stream(self._stream)

    def begin(self, case: Case, kind: str) -> Record:
        """The record of a case before anything ran: who, where, on which weights and speech.

        Raises:
            InputError: the weights or the audio cannot be used.
        """
        self.settle()
        return replace(
            bare_record(case, self.settings, kind),
            weights=self.weights(case.version),
            audio=self.voice(case.version).identity,
            environment=self.environment,
        )

    def _load(self, version: str) -> tuple[Vocoder, Weights]:
        if version not in self._loaded:
            self._loaded[version] = _load(version, self.settings)
            self._prints[version] = fingerprint(self._loaded[version][0])
        return self._loaded[version]


def _load(version: str, settings: Settings) -> tuple[Vocoder, Weights]:
    """The vocoder from the first of the run's weights that hold it."""
    if not settings.weights:
        return load_with_identity(version, None, settings.seed)
    for path in settings.weights[:-1]:
        try:
            return load_with_identity(version, path, settings.seed)
        except NoVocoderError:
            continue
    return load_with_identity(version, settings.weights[-1], settings.seed)


def find_engine_cache(engine_cache: str | None) -> EngineCache | None:
    """Where a run keeps its engines; None to keep none.

    Args:
        engine_cache: As :attr:`bench.run.settings.Settings.engine_cache`.

    Raises:
        InputError: it cannot be a folder.
    """
    return None if engine_cache == "off" else default_engine_cache(engine_cache)


def bare_record(case: Case, settings: Settings, kind: str) -> Record:
    """The record of a case of which nothing is known yet; its status is ``OK`` until something else is."""
    return Record(
        run_id=settings.run_id,
        kind=kind,
        case=case,
        status=Status.OK,
        reason="",
        device=settings.device,
        recorded_at=datetime.now(UTC).isoformat(timespec="seconds"),
        seed=settings.seed,
    )


def outcome(case: Case, session: Session, kind: str, work: Callable[[], dict[str, Any]]) -> Record:
    """Runs ``work`` and turns whatever happens into one record.

    Args:
        case: What is run.
        session: Of the run.
        kind: ``"speed"`` or ``"quality"``.
        work: Returns the record's further fields.

    Raises:
        InputError: the weights or the speech cannot be used. Once both are there, it is the case's own fault.
    """
    record = session.begin(case, kind)
    try:
        if (asked := _available(record, session)).status is Status.UNAVAILABLE:
            return asked
        find_backend(case.backend).check(case)
        return replace(record, **work())
    except UnsupportedError as error:
        return replace(record, status=Status.UNSUPPORTED, reason=str(error))
    except WrongOutputError as error:
        return replace(record, status=Status.WRONG_OUTPUT, reason=str(error))
    except Exception as error:  # noqa: BLE001 - a case that fails is a row with a reason
        # The whole of it goes to the log of the case; the record holds one line.
        traceback.print_exception(error, file=sys.stderr)
        status = Status.OUT_OF_MEMORY if is_out_of_memory(error) else Status.CRASHED
        return replace(record, status=status, reason=first_line(error))


def probe(case: Case, session: Session) -> Record:
    """Whether the case's backend runs on the session's device: a bare record whose status says so."""
    return _available(bare_record(case, session.settings, Speed.kind), session)


def _available(record: Record, session: Session) -> Record:
    reason = find_backend(record.case.backend).unavailable_reason(session.device)
    return record if reason is None else replace(record, status=Status.UNAVAILABLE, reason=_sentence(reason))


def _sentence(reason: object) -> str:
    if not isinstance(reason, str):
        raise TypeError(f"unavailable_reason gave a {type(reason).__name__}, which is no sentence")
    return reason or "the backend gives no reason."
