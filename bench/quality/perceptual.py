"""Models of a listener: PESQ, STOI, ViSQOL and DistillMOS, each by its library and each optional.

PESQ hears to 8 kHz, STOI to 5 kHz and ViSQOL's audio mode to 24 kHz; all three ignore gain, and PESQ and STOI
polarity. They take seconds. Every function takes finite float64 arrays of equal shape ``(samples,)``, the reference
first, and returns the score or, where there is none, the reason in one sentence - never a score of 0.
"""

import functools
import warnings
from typing import Any

import librosa
import numpy as np

from bench.quality.compiled import ensure_cache
from bench.quality.waveform import Signal

# Before the first use of librosa, which imports its parts as they are asked for.
ensure_cache()

_INSTALL = "pip install 'gpt-sovits-vocoder-bench[perceptual]'"
PESQ_RATE = 16000
# P.862 is for sentences of 8 to 30 s; its C code holds 50 utterances and does not check.
PESQ_MAX_S = 30.0
VISQOL_RATE = 48000


def _resample(signal: Signal, sample_rate: int, target: int) -> Signal:
    if sample_rate == target:
        return signal
    resampled: Signal = librosa.resample(signal, orig_sr=sample_rate, target_sr=target, res_type="soxr_hq")
    return resampled


def pesq_wb(reference: Signal, test: Signal, sample_rate: int) -> float | str:
    """Wide-band PESQ (ITU-T P.862.2) at 16 kHz, 1.04 to 4.64."""
    try:
        import pesq
    except ImportError:
        return f"pesq is not installed: {_INSTALL}"
    if reference.size > PESQ_MAX_S * sample_rate:
        return f"PESQ is defined for speech of up to {PESQ_MAX_S:.0f} s"
    if not test.any():
        return "PESQ has no score for digital silence"
    pair = [_resample(signal, sample_rate, PESQ_RATE) for signal in (reference, test)]
    try:
        return float(pesq.pesq(PESQ_RATE, *pair, "wb"))
    except pesq.NoUtterancesError:
        return "PESQ found no speech"
    except pesq.BufferTooShortError:
        return "PESQ needs at least 0.25 s"


def stoi(reference: Signal, test: Signal, sample_rate: int) -> float | str:
    """Short-time objective intelligibility (Taal et al. 2011), at most 1; pystoi resamples to its 10 kHz itself."""
    try:
        import pystoi
    except ImportError:
        return f"pystoi is not installed: {_INSTALL}"
    with warnings.catch_warnings():
        # pystoi warns and returns 1e-5, which is not a measurement.
        warnings.simplefilter("error", RuntimeWarning)
        try:
            return float(pystoi.stoi(reference, test, sample_rate))
        except (RuntimeWarning, ValueError, IndexError):
            return "STOI needs at least 0.4 s of speech"


def distillmos_change(reference: Signal, test: Signal, sample_rate: int) -> float | str:
    """Change of DistillMOS (Microsoft, from XLS-R): the test's estimated opinion score less the reference's."""
    try:
        import torch

        model = _distillmos()
    except ImportError:
        return "distillmos is not installed: pip install 'gpt-sovits-vocoder-bench[distillmos]'"
    pair = [_resample(signal, sample_rate, PESQ_RATE) for signal in (reference, test)]
    with torch.inference_mode():
        before, after = (float(model(torch.from_numpy(signal.astype(np.float32))[None])) for signal in pair)
    return after - before


@functools.cache
def _distillmos() -> Any:
    import distillmos

    return distillmos.ConvTransformerSQAModel().eval()


def visqol_audio(reference: Signal, test: Signal, sample_rate: int) -> float | str:
    """ViSQOL's MOS-LQO in audio mode at 48 kHz, 1 to 4.73; it hears the whole band, noise in pauses most of all."""
    try:
        api = _visqol()
    except ImportError:
        return f"visqol-python is not installed: {_INSTALL}"
    if not test.any():
        return "ViSQOL has no score for digital silence"
    pair = [np.ascontiguousarray(_resample(signal, sample_rate, VISQOL_RATE)) for signal in (reference, test)]
    try:
        score = float(api.measure_from_arrays(*pair, VISQOL_RATE).moslqo)
    except ValueError as error:
        return f"ViSQOL gave no score: {error}"
    return score if np.isfinite(score) else "ViSQOL gave no score for these signals"


@functools.cache
def _visqol() -> Any:
    from visqol import VisqolApi

    api = VisqolApi()
    api.create(mode="audio")
    return api
