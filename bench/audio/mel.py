"""Log-mels exactly as GPT-SoVITS feeds them to each vocoder, and the inputs of a sweep.

Definitions: ``mel_spectrogram_torch`` in GPT-SoVITS's ``module/mel_processing.py`` and ``mel_fn``,
``mel_fn_v4`` in ``TTS_infer_pack/TTS.py``; audio at another rate is resampled as it does, with the
windowed-sinc interpolation of torchaudio's default ``Resample``.

A sound file is untrusted: at most its first :data:`MAX_SECONDS` are decoded, and rates and channels have bounds.
"""

import hashlib
import math
from fractions import Fraction
from importlib.resources import files
from pathlib import Path

import numpy as np
import soundfile
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from bench.errors import InputError, shown
from bench.files import open_regular, user_path
from bench.spec import MelSpec, VocoderSpec

# ln(1e-5): what a band without energy holds. Zero would be loud.
LOG_FLOOR = math.log(1e-5)

# torchaudio.transforms.Resample: zero crossings on each side, and the cut-off over the Nyquist frequency.
_SINC_ZEROS = 6
_SINC_ROLLOFF = 0.99
# Most values of a resampling kernel. Rates with a common divisor of 25 Hz or more stay below; see `resample`.
_KERNEL_LIMIT = 1 << 22

# What is read of a sound file: its first seconds, up to rates and channels that recordings have.
MAX_SECONDS = 120
MIN_RATE, MAX_RATE = 4_000, 384_000
MAX_CHANNELS = 16
FILE_LIMIT_BYTES = 2 << 30
# The sound suite also plays the speech faster, a fourth higher, which makes it shorter; see bench.audio.speech.
HIGHER_VOICE = Fraction(4, 3)

# Slaney's mel scale: linear to 1 kHz, logarithmic above.
_MEL_HZ = 200.0 / 3
_MEL_BREAK_HZ = 1000.0
_MEL_STEP = np.log(6.4) / 27.0

# A band this little over the floor holds no sound.
_SILENT = LOG_FLOOR + 1e-3


def log_mel(
    audio: str | Path | ArrayLike | Tensor, spec: VocoderSpec, sample_rate: int | Fraction | None = None
) -> Tensor:
    """The log-mel of speech, as the vocoder of ``spec`` is fed.

    Args:
        audio: A sound file, or samples ``(samples,)`` or ``(batch, samples)`` in [-1, 1]. The channels of a
            file are averaged.
        spec: Whose mel definition.
        sample_rate: Rate of an array in Hz; the mel definition's rate if None. A file knows its own.

    Returns:
        float32 ``(batch, bands, frames)`` on the CPU; batch is 1 for a file and for ``(samples,)``.

    Raises:
        InputError: missing or unreadable file; empty, all zeros, NaN or infinite, or shorter than a window. A file
            is the speech of a run and as long as every input that is made of it needs.
    """
    needed = spec.mel.n_fft
    rate: int | Fraction
    if isinstance(audio, str | Path):
        name = str(audio)
        samples, rate = read_audio(audio)
        needed = math.ceil(needed * HIGHER_VOICE)
    else:
        name = "audio"
        samples = torch.as_tensor(audio).to("cpu", torch.float32)
        rate = spec.mel.sample_rate if sample_rate is None else sample_rate
    if samples.dim() not in (1, 2) or samples.numel() == 0:
        raise InputError(f"{name} is empty; give (samples,) or (batch, samples)")
    if rate <= 0:
        raise InputError(f"{name} has a sample rate of {rate} Hz; a positive one is needed")
    if not torch.isfinite(samples).all():
        raise InputError(f"{name} holds NaN or infinite samples")
    if not samples.any():
        raise InputError(f"{name} is all zeros: silence says nothing about a vocoder; give speech")
    samples = resample(samples.reshape(-1, samples.shape[-1]), rate, spec.mel.sample_rate)
    if samples.shape[-1] < needed:
        window = "one mel window" if needed == spec.mel.n_fft else "one mel window of it played a third faster"
        raise InputError(
            f"{name} lasts {samples.shape[-1] / spec.mel.sample_rate * 1000:.0f} ms, less than {window} "
            f"({needed / spec.mel.sample_rate * 1000:.0f} ms); give more"
        )
    return _log_mel(samples, spec.mel)


def _log_mel(samples: Tensor, mel: MelSpec) -> Tensor:
    pad = (mel.n_fft - mel.hop_length) // 2
    padded = F.pad(samples.unsqueeze(1), (pad, pad), mode="reflect").squeeze(1)
    window = torch.hann_window(mel.win_length)
    spectrum = torch.stft(padded, mel.n_fft, mel.hop_length, mel.win_length, window, center=False, return_complex=True)
    magnitude = torch.sqrt(spectrum.real.square() + spectrum.imag.square() + 1e-8)
    return torch.log(torch.clamp(torch.from_numpy(mel_filters(mel)) @ magnitude, min=1e-5))


def mel_filters(mel: MelSpec) -> NDArray[np.float32]:
    """Slaney's triangular filters of equal area, the same bits as ``librosa.filters.mel``, without its import.

    The import compiles functions and wants folders to keep them in, which a container may not have.

    Returns:
        ``(bands, n_fft // 2 + 1)``.
    """
    bins = np.fft.rfftfreq(n=mel.n_fft, d=1.0 / mel.sample_rate)
    fmax = float(mel.sample_rate) / 2 if mel.fmax is None else mel.fmax
    edges = _mel_to_hz(np.linspace(_hz_to_mel(mel.fmin), _hz_to_mel(fmax), mel.bands + 2))
    widths = np.diff(edges)
    ramps = np.subtract.outer(edges, bins)
    weights = np.zeros((mel.bands, len(bins)), dtype=np.float32)
    for band in range(mel.bands):
        rising, falling = -ramps[band] / widths[band], ramps[band + 2] / widths[band + 1]
        weights[band] = np.maximum(0, np.minimum(rising, falling))
    weights *= (2.0 / (edges[2:] - edges[:-2]))[:, np.newaxis]
    return weights


def _hz_to_mel(hz: float) -> float:
    if hz < _MEL_BREAK_HZ:
        return hz / _MEL_HZ
    return float(_MEL_BREAK_HZ / _MEL_HZ + np.log(hz / _MEL_BREAK_HZ) / _MEL_STEP)


def _mel_to_hz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    hz: NDArray[np.float64] = _MEL_HZ * mels
    above = mels >= _MEL_BREAK_HZ / _MEL_HZ
    hz[above] = _MEL_BREAK_HZ * np.exp(_MEL_STEP * (mels[above] - _MEL_BREAK_HZ / _MEL_HZ))
    return hz


def read_audio(path: str | Path) -> tuple[Tensor, int]:
    """Reads a sound file, at most its first :data:`MAX_SECONDS`.

    Returns:
        float32 ``(samples,)``, channels averaged, and the rate in Hz.

    Raises:
        InputError: no such file, not a sound file that libsndfile reads, or a rate, number of channels or size that
            no recording of speech has.
    """
    with open_regular(user_path(path, "audio"), "audio", FILE_LIMIT_BYTES) as source:
        try:
            # By its content: a name such as x.raw would make libsndfile ask for a rate.
            with soundfile.SoundFile(source) as sound:
                rate, channels = int(sound.samplerate), int(sound.channels)
                if not MIN_RATE <= rate <= MAX_RATE:
                    raise InputError(f"audio {path} has a rate of {rate} Hz; give one from {MIN_RATE} to {MAX_RATE} Hz")
                if not 1 <= channels <= MAX_CHANNELS:
                    raise InputError(f"audio {path} has {channels} channels; give 1 to {MAX_CHANNELS}")
                # Second by second, so that neither a header's claim nor many channels take memory.
                seconds = [_mean(sound.read(rate, dtype="float32", always_2d=True)) for _ in range(MAX_SECONDS)]
        except (soundfile.SoundFileError, OSError, TypeError) as error:
            raise InputError(f"audio {path} cannot be read; give a WAV, FLAC, OGG or MP3 file") from error
    return torch.cat(seconds), rate


def _mean(samples: NDArray[np.float32]) -> Tensor:
    """The mean of the channels ``(samples, channels)``."""
    return torch.from_numpy(samples).mean(dim=1)


def resample(samples: Tensor, rate: int | Fraction, new_rate: int) -> Tensor:
    """Band-limited interpolation with a Hann-windowed sinc of six zero crossings.

    The method is J. O. Smith's "Digital Audio Resampling" in the polyphase form and with the constants of
    torchaudio's default, which GPT-SoVITS uses; other resamplers differ by more than the mels' tolerance.

    The kernel has a row for every phase between the rates. Two rates without a large common divisor, such as
    44,099 and 24,000 Hz, would need gigabytes; there the nearest ratio with a kernel of at most 4 million values is
    taken, less than 1 in 10,000 away: a fifth of a hundredth of a semitone.

    Args:
        samples: float32 ``(batch, samples)``.
        rate: Its rate in Hz.
        new_rate: The wanted rate in Hz.

    Returns:
        float32 ``(batch, ceil(samples * new_rate / rate))``.
    """
    if rate == new_rate:
        return samples
    old, new = _ratio(rate, new_rate)
    cutoff, reach = _cutoff_and_reach(old, new)
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


def _cutoff_and_reach(old: int, new: int) -> tuple[float, int]:
    cutoff = min(old, new) * _SINC_ROLLOFF
    return cutoff, math.ceil(_SINC_ZEROS * old / cutoff)


def _ratio(rate: int | Fraction, new_rate: int) -> tuple[int, int]:
    """Two whole numbers with the ratio of two rates, or with the nearest one whose kernel is of a usable size.

    >>> _ratio(44100, 24000), _ratio(44099, 24000)
    ((147, 80), (2747, 1495))
    """
    exact = Fraction(rate) / new_rate
    ratio, most = exact, 4096
    while ratio.denominator * (ratio.numerator + 2 * _cutoff_and_reach(*ratio.as_integer_ratio())[1]) > _KERNEL_LIMIT:
        ratio, most = exact.limit_denominator(most), most // 2
    return ratio.as_integer_ratio()


def default_speech() -> Path:
    """The clip that the project carries: CC0 speech, made by ``tools/make_speech.py``."""
    return Path(str(files("bench") / "data" / "speech.flac"))


def audio_identity(path: str | Path) -> str:
    """Name and digest of a sound file, for records."""
    with open_regular(user_path(path, "audio"), "audio", FILE_LIMIT_BYTES) as source:
        try:
            digest = hashlib.file_digest(source, "sha256").hexdigest()
        except OSError as error:
            raise InputError(f"audio {path} cannot be read: {error.strerror}") from error
    return f"{shown(Path(path).name)} sha256:{digest[:16]}"


def speech_mels(mel: Tensor, batch: int, frames: int) -> Tensor:
    """The input of a case: speech, tiled or cut to ``frames``, every item of the batch another stretch.

    A stretch that is all digital silence, such as the zeros that GPT-SoVITS puts between sentences, begins where the
    sound comes back instead.

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
    starts = _sounding(mel, starts, frames)
    index = (starts[:, None] + np.arange(frames)) % length
    return mel[0][:, torch.from_numpy(index)].transpose(0, 1).contiguous()


def _sounding(mel: Tensor, starts: NDArray[np.int64], frames: int) -> NDArray[np.int64]:
    """The starts, those of silent stretches moved on to the next frame with sound, if there is one."""
    length = mel.shape[-1]
    sounding = np.flatnonzero((mel[0] > _SILENT).any(dim=0).numpy())
    if len(sounding) == 0:
        return starts
    # The next frame with sound after each start, over the end of the clip if need be.
    following = np.append(sounding, sounding[0] + length)[np.searchsorted(sounding, starts)]
    return np.where(following - starts < frames, starts, following % length)
