"""Log-mels exactly as GPT-SoVITS feeds them to each vocoder, and the inputs of a sweep.

Definitions: ``mel_spectrogram_torch`` in GPT-SoVITS's ``module/mel_processing.py`` and ``mel_fn``,
``mel_fn_v4`` in ``TTS_infer_pack/TTS.py``; audio at another rate is resampled as it does, with the
windowed-sinc interpolation of torchaudio's default ``Resample``.
"""

import hashlib
import math
from importlib.resources import files
from pathlib import Path

import librosa
import numpy as np
import soundfile
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Tensor

from bench.errors import InputError
from bench.spec import MelSpec, VocoderSpec

# ln(1e-5): what a band without energy holds. Zero would be loud.
LOG_FLOOR = math.log(1e-5)

# torchaudio.transforms.Resample: zero crossings on each side, and the cut-off over the Nyquist frequency.
_SINC_ZEROS = 6
_SINC_ROLLOFF = 0.99


def log_mel(audio: str | Path | ArrayLike | Tensor, spec: VocoderSpec, sample_rate: int | None = None) -> Tensor:
    """The log-mel of speech, as the vocoder of ``spec`` is fed.

    Args:
        audio: A sound file, or samples ``(samples,)`` or ``(batch, samples)`` in [-1, 1]. The channels of a
            file are averaged.
        spec: Whose mel definition.
        sample_rate: Rate of an array in Hz; the mel definition's rate if None. A file knows its own.

    Returns:
        float32 ``(batch, bands, frames)`` on the CPU; batch is 1 for a file and for ``(samples,)``.

    Raises:
        InputError: missing or unreadable file; empty, all zeros, NaN or infinite, or shorter than a window.
    """
    if isinstance(audio, str | Path):
        name = str(audio)
        samples, rate = read_audio(audio)
    else:
        name = "audio"
        samples = torch.as_tensor(audio).to("cpu", torch.float32)
        rate = spec.mel.sample_rate if sample_rate is None else int(sample_rate)
    if samples.dim() not in (1, 2) or samples.numel() == 0:
        raise InputError(f"{name} is empty; give (samples,) or (batch, samples)")
    if rate <= 0:
        raise InputError(f"{name} has a sample rate of {rate} Hz; a positive one is needed")
    if not torch.isfinite(samples).all():
        raise InputError(f"{name} holds NaN or infinite samples")
    if not samples.any():
        raise InputError(f"{name} is all zeros: silence says nothing about a vocoder; give speech")
    samples = resample(samples.reshape(-1, samples.shape[-1]), rate, spec.mel.sample_rate)
    if samples.shape[-1] < spec.mel.n_fft:
        raise InputError(
            f"{name} lasts {samples.shape[-1] / spec.mel.sample_rate * 1000:.0f} ms, less than one mel "
            f"window ({spec.mel.n_fft / spec.mel.sample_rate * 1000:.0f} ms); give more"
        )
    return _log_mel(samples, spec.mel)


def _log_mel(samples: Tensor, mel: MelSpec) -> Tensor:
    pad = (mel.n_fft - mel.hop_length) // 2
    padded = F.pad(samples.unsqueeze(1), (pad, pad), mode="reflect").squeeze(1)
    window = torch.hann_window(mel.win_length)
    spectrum = torch.stft(padded, mel.n_fft, mel.hop_length, mel.win_length, window, center=False, return_complex=True)
    magnitude = torch.sqrt(spectrum.real.square() + spectrum.imag.square() + 1e-8)
    filters = librosa.filters.mel(sr=mel.sample_rate, n_fft=mel.n_fft, n_mels=mel.bands, fmin=mel.fmin, fmax=mel.fmax)
    return torch.log(torch.clamp(torch.from_numpy(filters) @ magnitude, min=1e-5))


def read_audio(path: str | Path) -> tuple[Tensor, int]:
    """Reads a sound file.

    Returns:
        float32 ``(samples,)``, channels averaged, and the rate in Hz.

    Raises:
        InputError: no such file, or not a sound file that libsndfile reads.
    """
    if not Path(path).is_file():
        raise InputError(f"audio {path} does not exist")
    try:
        samples, rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise InputError(f"audio {path} cannot be read; give a WAV, FLAC, OGG or MP3 file") from error
    return torch.from_numpy(samples).mean(dim=1), int(rate)


def resample(samples: Tensor, rate: int, new_rate: int) -> Tensor:
    """Band-limited interpolation with a Hann-windowed sinc of six zero crossings.

    The method is J. O. Smith's "Digital Audio Resampling" in the polyphase form and with the constants of
    torchaudio's default, which GPT-SoVITS uses; other resamplers differ by more than the mels' tolerance.

    Args:
        samples: float32 ``(batch, samples)``.
        rate: Its rate in Hz.
        new_rate: The wanted rate in Hz.

    Returns:
        float32 ``(batch, ceil(samples * new_rate / rate))``.
    """
    if rate == new_rate:
        return samples
    divisor = math.gcd(rate, new_rate)
    old, new = rate // divisor, new_rate // divisor
    cutoff = min(old, new) * _SINC_ROLLOFF
    reach = math.ceil(_SINC_ZEROS * old / cutoff)
    # One filter for each of the `new` phases; position of every tap in units of the sinc's zeros.
    taps = torch.arange(-reach, reach + old, dtype=torch.float64) / old
    # torchaudio keeps the phases in float32; in float64 a quiet band's logarithm would differ visibly.
    phases = torch.arange(0, -new, -1) / new
    position = ((phases[:, None] + taps) * cutoff).clamp(-_SINC_ZEROS, _SINC_ZEROS)
    window = torch.cos(position * math.pi / _SINC_ZEROS / 2) ** 2
    kernel = torch.sinc(position) * window * (cutoff / old)
    padded = F.pad(samples, (reach, reach + old))
    phased = F.conv1d(padded[:, None], kernel[:, None].to(torch.float32), stride=old)
    length = math.ceil(samples.shape[-1] * new / old)
    return phased.transpose(1, 2).reshape(samples.shape[0], -1)[:, :length]


def default_speech() -> Path:
    """The clip that the project carries: CC0 speech, made by ``tools/make_speech.py``."""
    return Path(str(files("bench") / "data" / "speech.flac"))


def audio_identity(path: str | Path) -> str:
    """Name and digest of a sound file, for records."""
    try:
        digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"audio {path} cannot be read: {error.strerror}") from error
    return f"{Path(path).name} sha256:{digest[:16]}"


def speech_mels(mel: Tensor, batch: int, frames: int) -> Tensor:
    """The input of a case: speech, tiled or cut to ``frames``, every item of the batch another stretch.

    Args:
        mel: ``(1, bands, n)`` from :func:`log_mel`.
        batch: Items; at least 1.
        frames: Frames of each; at least 1.

    Returns:
        float32 ``(batch, bands, frames)``, contiguous.
    """
    length = mel.shape[-1]
    # Starts spread over the clip and, for short frames, away from the pause that a clip begins with.
    starts = (np.arange(batch) * (length // max(batch, 1)) + length // 3) % length
    index = (starts[:, None] + np.arange(frames)) % length
    return mel[0][:, torch.from_numpy(index)].transpose(0, 1).contiguous()
