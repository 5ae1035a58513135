"""What a case needs before it can run: the vocoder, its input, and a runner. Shared by speed and quality."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any

import torch
from torch import Tensor

from bench.audio.mel import audio_identity, default_speech, log_mel, speech_mels
from bench.backend import Request, Runner
from bench.backends import find_backend
from bench.case import Case
from bench.engine_cache import EngineCache, default_engine_cache
from bench.errors import InputError, UnsupportedError, WrongOutputError
from bench.measure import environment
from bench.precision import find_precision, flags
from bench.records.schema import Record, Status
from bench.run.settings import Settings
from bench.spec import VocoderSpec, Weights
from bench.vocoders import Vocoder, load_with_identity


@lru_cache(maxsize=2)
def load(version: str, weights: tuple[str, ...], seed: int) -> tuple[Vocoder, Weights]:
    """The vocoder of a version from the first of ``weights`` that holds it, and the weights' identity.

    Raises:
        InputError: none of them holds it; the sentence is about the last one.
    """
    if not weights:
        return load_with_identity(version, None, seed)
    for path in weights[:-1]:
        try:
            return load_with_identity(version, path, seed)
        except InputError as error:
            if f"hold no {version} vocoder" not in str(error):
                raise
    return load_with_identity(version, weights[-1], seed)


@lru_cache(maxsize=4)
def speech(audio: str | None, spec: VocoderSpec) -> tuple[Tensor, str]:
    """The log-mel ``(1, bands, n)`` of a run's speech, and the speech's identity."""
    path = default_speech() if audio is None else audio
    return log_mel(path, spec), audio_identity(path)


def engine_cache(engines: str | None) -> EngineCache | None:
    """Where a run keeps its engines; None to keep none.

    Args:
        engines: As :attr:`bench.run.settings.Settings.engines`.

    Raises:
        InputError: it cannot be a folder.
    """
    return None if engines == "off" else default_engine_cache(engines)


@dataclass(frozen=True)
class Prepared:
    """A runner, its input, and the seconds it took to get it."""

    runner: Runner
    mel: Tensor

    def call(self) -> Tensor:
        """One inference."""
        return self.runner.run(self.mel)


def prepare(case: Case, settings: Settings, mel: Tensor | None = None) -> Prepared:
    """Builds the runner of ``case`` and times that.

    Args:
        case: What to run.
        settings: Of the run.
        mel: float32 input ``(batch, bands, frames)``; None for the run's speech.
    """
    device = torch.device(settings.device)
    vocoder, weights = load(case.version, settings.weights, settings.seed)
    if mel is None:
        mel = speech_mels(speech(settings.audio, vocoder.spec)[0], case.batch, case.frames)
    mel = mel.to(device)
    precision = find_precision(case.precision)
    backend = find_backend(case.backend)
    request = Request(vocoder, case, precision, mel, device, weights.sha256, engine_cache(settings.engines))
    started = time.perf_counter()
    with flags(precision):
        runner = backend.prepare(request)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    seconds = time.perf_counter() - started
    runner = replace(runner, build=replace(runner.build, seconds=seconds))
    return Prepared(runner, mel.to(runner.dtype))


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)


@contextmanager
def active(case: Case, device: torch.device) -> Iterator[None]:
    """The state that a case's calls run in: inference mode, the precision's TF32 switches, and on a GPU a stream.

    The stream is not the default one, because TensorRT synchronises there by itself.
    """
    stream = torch.cuda.stream(_stream(device)) if device.type == "cuda" else nullcontext()
    with flags(find_precision(case.precision)), torch.inference_mode(), stream:
        yield


def check_waveform(wave: Tensor, case: Case, spec: VocoderSpec) -> None:
    """Raises :class:`WrongOutputError` for another shape, a non-finite sample, or silence."""
    expected = (case.batch, 1, case.frames * spec.upsample)
    if tuple(wave.shape) != expected:
        raise WrongOutputError(f"the waveform has shape {tuple(wave.shape)} instead of {expected}.")
    if not torch.isfinite(wave).all():
        raise WrongOutputError("the waveform holds NaN or infinity.")
    if not wave.any():
        raise WrongOutputError("the waveform is silent.")


def outcome(case: Case, settings: Settings, kind: str, work: Callable[[], dict[str, Any]]) -> Record:
    """Runs ``work`` and turns whatever happens into one record.

    Args:
        case: What is run.
        settings: Of the run.
        kind: ``"speed"`` or ``"quality"``.
        work: Returns the record's further fields.

    Raises:
        InputError: what the user gave cannot be used; that is no outcome of a case.
    """
    device = torch.device(settings.device)
    torch.set_num_threads(settings.threads)
    vocoder, weights = load(case.version, settings.weights, settings.seed)
    record = Record(
        run_id=settings.run_id,
        kind=kind,
        case=case,
        status=Status.OK,
        reason="",
        device=settings.device,
        recorded_at=datetime.now(UTC).isoformat(timespec="seconds"),
        seed=settings.seed,
        weights=weights,
        audio=speech(settings.audio, vocoder.spec)[1],
        environment=environment.capture(device),
    )
    unavailable = find_backend(case.backend).unavailable_reason(device)
    if unavailable is not None:
        return replace(record, status=Status.UNAVAILABLE, reason=unavailable)
    try:
        return replace(record, **work())
    except InputError:
        raise
    except UnsupportedError as error:
        return replace(record, status=Status.UNSUPPORTED, reason=str(error))
    except WrongOutputError as error:
        return replace(record, status=Status.WRONG_OUTPUT, reason=str(error))
    except (torch.OutOfMemoryError, MemoryError) as error:
        return replace(record, status=Status.OUT_OF_MEMORY, reason=_first_line(error))
    except Exception as error:  # noqa: BLE001 - a case that fails is a row with a reason
        status = Status.OUT_OF_MEMORY if "allocate memory" in str(error) else Status.CRASHED
        return replace(record, status=status, reason=_first_line(error))


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
