"""Speech at the vocoders' rates, and noise that follows it, for the tests of the quality part."""

import functools
from pathlib import Path
from typing import TypeVar

import librosa
import numpy as np
import scipy.signal
import soundfile
from numpy.typing import NDArray

import bench

SPEECH = Path(bench.__file__).parent / "data" / "speech.flac"
Found = TypeVar("Found")


@functools.cache
def speech_at(rate: int) -> NDArray[np.float64]:
    """Three seconds of the clip at a rate, with breath noise up to Nyquist, as a vocoder gives."""
    clip, native = soundfile.read(SPEECH)
    speech = librosa.resample(clip[: 3 * native], orig_sr=native, target_sr=rate, res_type="soxr_hq")
    breath = np.random.default_rng(1).standard_normal(speech.size)
    envelope = scipy.signal.lfilter([0.01], [1, -0.99], np.abs(speech))
    signal: NDArray[np.float64] = speech + 0.05 * breath * envelope
    signal.setflags(write=False)
    return signal


def noisy(speech: NDArray[np.float64], snr_db: float, seed: int = 0) -> NDArray[np.float64]:
    """Adds noise that follows the signal's level, as rounding does, at an SNR."""
    noise = np.random.default_rng(seed).standard_normal(speech.size)
    noise *= np.sqrt(np.maximum(scipy.signal.filtfilt([0.02], [1, -0.98], speech**2), 0)) + 1e-9
    scaled: NDArray[np.float64] = noise * np.linalg.norm(speech) / np.linalg.norm(noise) / 10 ** (snr_db / 20)
    return speech + scaled


def known(found: Found | None) -> Found:
    """A figure or a verdict that has to be there."""
    assert found is not None
    return found
