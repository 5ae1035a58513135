"""Runners of one configuration for every length that GPT-SoVITS's default path has."""

import functools
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bench.audio.speech import Voice
from bench.backend import Request, Runner
from bench.backends import find_backend
from bench.case import Case
from bench.engine_cache import EngineCache
from bench.errors import UnsupportedError
from bench.precision import find_precision, flags
from bench.run.validity import check_runner, check_waveform
from bench.spec import VocoderSpec, Weights
from bench.vocoders import Vocoder

# A length at which the precision is looked at: a quarter of a second, where the runner takes it.
PROOF_FRAMES = 23


@dataclass(frozen=True)
class Model:
    """What runners are made of.

    Attributes:
        vocoder: float32, on the CPU.
        weights: Its identity.
        device: Where to run.
        engine_cache: Where built engines are kept; None for nowhere.
    """

    vocoder: Vocoder
    weights: Weights
    device: torch.device
    engine_cache: EngineCache | None


@contextmanager
def active(case: Case) -> Iterator[None]:
    """The state of a call: inference mode, and for float32 the precision's TF32 switches.

    The switches are the process's; a precision that does not read them leaves them to GPT-SoVITS's other threads.
    """
    precision = find_precision(case.precision)
    with ExitStack() as stack:
        if precision.dtype is torch.float32:
            stack.enter_context(flags(precision))
        stack.enter_context(torch.inference_mode())
        yield


@functools.lru_cache(maxsize=2)
def speech(spec: VocoderSpec) -> Voice:
    """The clip that the suite carries, as a vocoder takes it: what runners are prepared and tried with."""
    return Voice(None, spec)


class Runners:
    """Runners by length, the first of which may take others too.

    Args:
        made: Case and runner of each.
        bands: Mel bands.
    """

    def __init__(self, made: Sequence[tuple[Case, Runner]], bands: int) -> None:
        self._made, self._bands = list(made), bands

    @property
    def case(self) -> Case:
        """The case of the first."""
        return self._made[0][0]

    @property
    def lengths(self) -> tuple[int, ...]:
        """Frames that were prepared."""
        return tuple(case.frames for case, _ in self._made)

    def find(self, shape: tuple[int, ...]) -> Runner | None:
        """The runner for a mel of this shape; None where there is none."""
        for case, runner in self._made:
            if shape == (case.batch, self._bands, case.frames):
                return runner
        return next((runner for _, runner in self._made if len(shape) == 3 and runner.takes(shape)), None)

    def close(self) -> None:
        """Gives their memory back."""
        made, self._made = self._made, []
        for _, runner in made:
            runner.close()


def prepare(case: Case, model: Model, lengths: Sequence[int]) -> Runners:
    """Prepares a runner for each length, or one that takes them all.

    Args:
        case: Version, backend, precision and options; its frames do not count.
        model: What to run.
        lengths: Frames, at least one; the first is the most usual.

    Raises:
        UnsupportedError: the backend does not run here, or not this case.
        WrongOutputError: what it gives is not what the label says.
    """
    backend = find_backend(case.backend)
    reason = backend.unavailable_reason(model.device)
    if reason is not None:
        raise UnsupportedError(f"{case.backend}: {reason}")
    voice = speech(model.vocoder.spec)
    bands = model.vocoder.spec.bands
    made: list[tuple[Case, Runner]] = []
    try:
        for frames in lengths:
            if made and made[0][1].takes((1, bands, frames)):
                if model.device.type == "cuda":
                    # A graph is captured now and not while other threads use the GPU.
                    _call(*made[0], voice.mel(1, frames), model)
                continue
            one = replace(case, batch=1, frames=frames)
            backend.check(one)
            made.append((one, _prepare_one(one, model, voice)))
    except BaseException:
        Runners(made, bands).close()
        raise
    return Runners(made, bands)


def _prepare_one(case: Case, model: Model, voice: Voice) -> Runner:
    """One runner, proven by its waveform and its precision."""
    mel = voice.mel(1, case.frames).to(model.device)
    precision = find_precision(case.precision)
    request = Request(model.vocoder, case, precision, mel, model.device, model.weights.sha256, model.engine_cache)
    with flags(precision):
        runner = find_backend(case.backend).prepare(request)
    try:
        check_runner(runner, case.backend)
        spec = model.vocoder.spec
        proof = case.frames
        if runner.takes((1, spec.bands, PROOF_FRAMES)) and model.device.type == "cpu":
            proof = PROOF_FRAMES
        short = replace(case, frames=proof)
        check_waveform(_call(short, runner, voice.mel(1, proof), model), short, spec)
        with active(case):
            runner.effective(voice.mel(1, proof).to(model.device, runner.dtype))
    except BaseException:
        runner.close()
        raise
    return runner


def _call(case: Case, runner: Runner, mel: Tensor, model: Model) -> Tensor:
    with active(case):
        return runner.run(mel.to(model.device, runner.dtype))
