"""What a backend hands back, tried before its figures count: the runner itself, and the waveform that it makes."""

import json
import math

import torch
from torch import Tensor

from bench.backend import Runner
from bench.case import Case
from bench.errors import WrongOutputError
from bench.precision import autocast_dtype, find_precision
from bench.records.schema import Build, EffectivePrecision
from bench.spec import VocoderSpec
from bench.vocoders import Vocoder

# A level further from eager's than this is another signal, whatever the precision.
LEVEL_LIMIT_DB = 20.0
# Under this RMS eager's own output is silence, and a ratio to it means nothing.
SILENT_RMS = 1e-6
# Bytes that the fingerprint adds as one number.
_WORD = 8
# Halving a log-mel whose bands change places makes another sound, also of digital silence and in eight bits.
_OTHER = 0.5


def check_runner(runner: object, backend: str) -> None:
    """Refuses what is no runner, and build details that no record can hold.

    Raises:
        TypeError: it is no runner.
        ValueError: details that JSON cannot hold.
    """
    if not isinstance(runner, Runner):
        raise TypeError(f"the backend {backend} handed back a {type(runner).__name__}, which is no Runner")
    if not isinstance(runner.build, Build):
        raise TypeError(f"the backend {backend} gives a {type(runner.build).__name__} for its build")
    try:
        # Lone surrogates pass as ASCII and cannot be read again.
        json.dumps(runner.build.details, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"the backend {backend} gives build details that JSON cannot hold: {error}") from error


def check_precision(precision: object) -> EffectivePrecision:
    """The precision in effect, if it is one.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(precision, EffectivePrecision):
        raise TypeError(f"Runner.effective gave a {type(precision).__name__}, which is no EffectivePrecision")
    return precision


def fingerprint(vocoder: Vocoder) -> tuple[object, ...]:
    """Tells whether a vocoder was changed: names, types, shapes and sums of the bits of everything it holds.

    Reading 450 MB takes a tenth of a second.
    """
    held = [*vocoder.named_parameters(), *vocoder.named_buffers()]
    return (vocoder.training, *((name, value.dtype, tuple(value.shape), _bits(value)) for name, value in held))


def _bits(value: Tensor) -> int:
    """Sum of the bytes, eight at a time as one whole number: smaller neighbours that change places are seen too."""
    flat = value.detach().reshape(-1)
    if flat.numel() == 0 or flat.device.type == "meta":
        return 0
    if flat.element_size() not in (1, 2, 4, 8) or flat.is_complex():
        return hash(flat.sum().item())
    octets = flat.view(torch.uint8)
    if octets.storage_offset() % _WORD:
        octets = octets.clone()
    whole = len(octets) // _WORD * _WORD
    # PyTorch adds whole numbers of 8 bytes without converting them, which takes a tenth of the time of smaller ones.
    words = octets[:whole].view(torch.int64)
    return int(words.sum()) + int.from_bytes(bytes(octets[whole:].tolist()), "little")


def check_waveform(wave: object, case: Case, spec: VocoderSpec, device: torch.device | None = None) -> Tensor:
    """The waveform, if it can be one of this case.

    Args:
        wave: What the runner returned.
        case: What ran.
        spec: Of the vocoder.
        device: Where it belongs; None for anywhere.

    Raises:
        WrongOutputError: no tensor, another shape, type or place, a non-finite sample, silence, or a constant.
    """
    if not isinstance(wave, Tensor):
        raise WrongOutputError(f"the runner returned a {type(wave).__name__}, which is no tensor.")
    expected = (case.batch, 1, case.frames * spec.upsample)
    if tuple(wave.shape) != expected:
        raise WrongOutputError(f"the waveform has shape {tuple(wave.shape)} instead of {expected}.")
    if device is not None and wave.device != device:
        raise WrongOutputError(f"the waveform is on {wave.device} instead of {device}.")
    _check_type(wave, case)
    if not torch.isfinite(wave).all():
        raise WrongOutputError("the waveform holds NaN or infinity.")
    if not wave.any():
        raise WrongOutputError("the waveform is silent.")
    if wave.shape[-1] > 1 and (wave == wave[..., :1]).all():
        raise WrongOutputError("the waveform is constant.")
    return wave


def _check_type(wave: Tensor, case: Case) -> None:
    """Refuses a data type that the label does not promise; engines of fewer bits may give float32."""
    precision = find_precision(case.precision)
    allowed = {torch.float32, precision.dtype}
    if precision.autocast:
        allowed.add(autocast_dtype(wave.device))
    if wave.dtype not in allowed:
        name = str(wave.dtype).removeprefix("torch.")
        raise WrongOutputError(f"the waveform is {name}, which {case.precision} is not.")


class WaveformCheck:
    """Tries a runner by its waveforms: right in kind, following the input, leaving the input alone.

    Args:
        case: What runs.
        spec: Of the vocoder.
        device: Where it runs.
    """

    def __init__(self, case: Case, spec: VocoderSpec, device: torch.device) -> None:
        self._case, self._spec, self._device = case, spec, device

    def run(self, runner: Runner, mel: Tensor, before: Tensor | None = None) -> Tensor:
        """One inference of ``mel`` and one of another, checked.

        Args:
            runner: What is tried.
            mel: Its input.
            before: What the input held before earlier calls; None where this is the first.

        Returns:
            The waveform of ``mel``, a float32 copy on the CPU.

        Raises:
            WrongOutputError: it is not what the case promises.
        """
        before = mel.clone() if before is None else before
        wave = runner.run(mel)
        if not torch.equal(before, mel):
            raise WrongOutputError("the call changes its input.")
        first = self._copy(wave)
        other = self._copy(runner.run(mel.flip(1) * _OTHER))
        if torch.equal(first, other):
            raise WrongOutputError("two different mels give the same waveform: the second is a stale buffer.")
        return first

    def _copy(self, wave: object) -> Tensor:
        return check_waveform(wave, self._case, self._spec, self._device).detach().to("cpu", torch.float32, copy=True)


def check_level(wave: Tensor, reference: Tensor) -> None:
    """Refuses a waveform whose level is not eager's.

    Args:
        wave: Of the case, on the CPU.
        reference: Eager float32's of the same mel, likewise.

    Raises:
        WrongOutputError: louder or quieter by more than :data:`LEVEL_LIMIT_DB`.
    """
    level, expected = (float(torch.sqrt(torch.mean(one.double() ** 2))) for one in (wave, reference))
    if expected < SILENT_RMS:
        return
    away_db = 20 * math.log10(level / expected) if level > 0 else -math.inf
    if abs(away_db) > LEVEL_LIMIT_DB:
        raise WrongOutputError(f"the waveform's level is {away_db:+.0f} dB from eager float32's.")
