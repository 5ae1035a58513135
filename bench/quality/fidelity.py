"""One comparison of two waveforms: every measure, and why one is missing."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.errors import InputError
from bench.quality import perceptual as listeners
from bench.quality import spectral, waveform
from bench.quality.waveform import Signal

# Full scale of PCM; a float sample from here on is clipped by any converter.
FULL_SCALE = 1.0
# Rates outside these are a mistake in a call, such as a number of samples or kHz.
MIN_RATE, MAX_RATE = 8000, 192000


def _measure(worst: Callable[..., Any], default: Any = None) -> Any:
    """A field that names which of several items' values is the worst."""
    return field(default=default, metadata={"worst": worst})


def _farthest(values: list[float]) -> float:
    return max(values, key=abs)


@dataclass(frozen=True)
class Fidelity:
    """What a backend did to the sound, test against reference. None: not measured, with the reason in ``notes``.

    Full scale is 1. Values in dB lie within ±200: identical signals have an SNR of 200. Definitions and sources are in
    :mod:`bench.quality.waveform`, :mod:`bench.quality.spectral` and :mod:`bench.quality.perceptual`.

    Attributes:
        samples: Length of each signal.
        sample_rate: Hz.
        nan_count, inf_count: Samples of the output that are not numbers. If there are any, nothing else is measured.
        clipped_count, reference_clipped_count: Samples at or beyond full scale.
        reference_level_db, level_db: RMS level of the reference and of the output, dB re 1.
        mse, mae: Mean squared and mean absolute error.
        similarity: ``1 - mae``. Legacy: digital silence scores 0.93. It decides nothing.
        max_abs: Largest absolute error.
        max_error_ratio: ``max_abs`` over the peak of the reference; None for a silent reference.
        p999_abs: 99.9th percentile of the absolute error.
        error_crest: ``max_abs`` over the RMS of the error in the 20 ms around it; None without an error.
        snr_db, si_sdr_db: Signal-to-noise ratio, and its scale-invariant form.
        worst_segment_snr_db: Lowest SNR of a 20 ms segment within 40 dB of the loudest.
        segment_level_change_db: Largest loss of level of such a segment, negative; 0 if none lost any.
        lag_samples: Delay of the output; None if the signals are too unlike.
        gain_db: Level factor at that delay.
        polarity_flipped: Whether that factor is negative.
        peak_change_db, lufs_change_lu: Change of peak and of integrated loudness (BS.1770).
        lsd_db: Log-spectral distance; ``lsd_0_4_db`` ... ``lsd_16_24_db`` within a band in kHz, up to Nyquist.
        level_change_0_4_db: ... ``level_change_16_24_db``: change of power in that band.
        mr_stft: Multi-resolution STFT distance (auraloss).
        mel_l1: Mean absolute difference of log-mel spectrograms (natural logarithm).
        mcd_db: Mel-cepstral distortion, variant MFCC-13.
        pesq_wb, stoi, visqol: PESQ wide-band, STOI, ViSQOL audio mode.
        notes: Why a metric is None, by its name.
    """

    samples: int = _measure(min, 0)
    sample_rate: int = _measure(min, 0)
    nan_count: int = _measure(max, 0)
    inf_count: int = _measure(max, 0)
    clipped_count: int = _measure(max, 0)
    reference_clipped_count: int = _measure(max, 0)
    reference_level_db: float | None = _measure(min)
    level_db: float | None = _measure(min)
    mse: float | None = _measure(max)
    mae: float | None = _measure(max)
    similarity: float | None = _measure(min)
    max_abs: float | None = _measure(max)
    max_error_ratio: float | None = _measure(max)
    p999_abs: float | None = _measure(max)
    error_crest: float | None = _measure(max)
    snr_db: float | None = _measure(min)
    si_sdr_db: float | None = _measure(min)
    worst_segment_snr_db: float | None = _measure(min)
    segment_level_change_db: float | None = _measure(min)
    lag_samples: int | None = _measure(_farthest)
    gain_db: float | None = _measure(_farthest)
    polarity_flipped: bool | None = _measure(max)
    peak_change_db: float | None = _measure(_farthest)
    lufs_change_lu: float | None = _measure(_farthest)
    lsd_db: float | None = _measure(max)
    lsd_0_4_db: float | None = _measure(max)
    lsd_4_8_db: float | None = _measure(max)
    lsd_8_16_db: float | None = _measure(max)
    lsd_16_24_db: float | None = _measure(max)
    level_change_0_4_db: float | None = _measure(_farthest)
    level_change_4_8_db: float | None = _measure(_farthest)
    level_change_8_16_db: float | None = _measure(_farthest)
    level_change_16_24_db: float | None = _measure(_farthest)
    mr_stft: float | None = _measure(max)
    mel_l1: float | None = _measure(max)
    mcd_db: float | None = _measure(max)
    pesq_wb: float | None = _measure(min)
    stoi: float | None = _measure(min)
    visqol: float | None = _measure(min)
    notes: dict[str, str] = field(default_factory=dict)


LEGACY_METRICS = ("similarity",)
"""Columns that tables mark as legacy: kept because others quote them, never a reason for a verdict."""

METRICS = tuple(item.name for item in fields(Fidelity) if "worst" in item.metadata)


def compare(reference: ArrayLike, test: ArrayLike, sample_rate: int, *, perceptual: bool = False) -> Fidelity:
    """Compares an output with the reference; of a batch, every metric of the result is that of its worst item.

    Args:
        reference: Finite floats, ``(samples,)`` or ``(batch, samples)``.
        test: Floats of the same shape; may hold NaN and infinities, which are counted.
        sample_rate: Hz.
        perceptual: Also PESQ, STOI and ViSQOL, which take seconds and optional packages.

    Raises:
        InputError: different shapes, no samples, not floats, a reference that is not finite, an impossible rate.

    >>> import numpy as np
    >>> tone = 0.5 * np.sin(np.arange(24000) / 10)
    >>> found = compare(tone, 0.99 * tone, 24000)
    >>> round(found.snr_db, 3), round(found.gain_db, 4), found.lag_samples
    (40.0, -0.0873, 0)
    """
    return worst(compare_items(reference, test, sample_rate, perceptual=perceptual))


def compare_items(
    reference: ArrayLike, test: ArrayLike, sample_rate: int, *, perceptual: bool = False
) -> tuple[Fidelity, ...]:
    """:func:`compare`, one result for each item of a batch, in order; one for ``(samples,)``."""
    pair = _checked(reference, test, sample_rate)
    return tuple(_compare_one(r, t, sample_rate, perceptual) for r, t in zip(*pair, strict=True))


def worst(items: tuple[Fidelity, ...]) -> Fidelity:
    """The worst value of every metric over the items that have one; notes name the item.

    An item that is not finite is worse than any number: then nothing but the counts is left.
    """
    if len(items) == 1:
        return items[0]
    broken = tuple(one for one in items if one.nan_count or one.inf_count)
    values: dict[str, Any] = {}
    for item in fields(Fidelity):
        if "worst" in item.metadata:
            known = [value for one in broken or items if (value := getattr(one, item.name)) is not None]
            values[item.name] = item.metadata["worst"](known) if known else None
    notes: dict[str, str] = {}
    for index, one in enumerate(items):
        for name, note in one.notes.items():
            everywhere = all(other.notes.get(name) == note for other in items)
            text = note if everywhere else f"item {index}: {note}"
            notes[name] = text if everywhere or name not in notes else f"{notes[name]}; {text}"
    return Fidelity(**values, notes=notes)


def _checked(reference: ArrayLike, test: ArrayLike, sample_rate: int) -> tuple[Signal, Signal]:
    """Both arrays as float64 ``(batch, samples)``."""
    if (
        isinstance(sample_rate, bool)
        or not isinstance(sample_rate, (int, np.integer))
        or not MIN_RATE <= sample_rate <= MAX_RATE
    ):
        raise InputError(f"sample rate {sample_rate!r} is not a whole number of Hz from {MIN_RATE} to {MAX_RATE}")
    pair = {"reference": np.asarray(reference), "test": np.asarray(test)}
    for name, array in pair.items():
        if not np.issubdtype(array.dtype, np.floating):
            raise InputError(f"the {name} signal is of {array.dtype}; give floats with full scale 1")
        if array.ndim not in (1, 2):
            raise InputError(f"the {name} signal has shape {array.shape}; give (samples,) or (batch, samples)")
        if array.size == 0:
            raise InputError(f"the {name} signal is empty; give at least one sample")
    first, second = pair.values()
    if first.shape != second.shape:
        raise InputError(f"the reference has shape {first.shape} and the test {second.shape}; give equal shapes")
    if not np.isfinite(first).all():
        bad = int(np.count_nonzero(~np.isfinite(first)))
        raise InputError(f"the reference signal has {bad} samples that are NaN or infinite; nothing can be compared")
    return np.atleast_2d(first).astype(np.float64), np.atleast_2d(second).astype(np.float64)


class _Measured:
    """Values and notes as they are found; a text in place of a value is the reason why it is missing."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.notes: dict[str, str] = {}

    def put(self, name: str, value: float | str | None, reason: str = "") -> None:
        missing = value is None or isinstance(value, str)
        self.values[name] = None if missing else value
        if missing:
            self.notes[name] = value if isinstance(value, str) else reason


def _compare_one(reference: Signal, test: Signal, sample_rate: int, perceptual: bool) -> Fidelity:
    found = _Measured()
    found.values |= {
        "samples": reference.size,
        "sample_rate": int(sample_rate),
        "nan_count": int(np.count_nonzero(np.isnan(test))),
        "inf_count": int(np.count_nonzero(np.isinf(test))),
        "clipped_count": _clipped(test),
        "reference_clipped_count": _clipped(reference),
        "reference_level_db": waveform.level_db(reference),
    }
    if np.isfinite(test).all():
        with np.errstate(over="ignore", invalid="ignore"):
            _waveform(found, reference, test, sample_rate)
            _spectral(found, reference, test, sample_rate)
            _perceptual(found, reference, test, sample_rate, perceptual)
        for name, value in found.values.items():
            if value is not None and not np.isfinite(value):
                found.put(name, "the output is too large to compute with")
    else:
        for name in METRICS:
            if name not in found.values:
                found.put(name, "the output is not finite")
    return Fidelity(**found.values, notes=found.notes)


def _clipped(signal: NDArray[np.float64]) -> int:
    return int(np.count_nonzero(np.abs(signal) >= FULL_SCALE))


def _waveform(found: _Measured, reference: Signal, test: Signal, sample_rate: int) -> None:
    error = np.abs(test - reference)
    peak = float(np.max(np.abs(reference)))
    aligned = waveform.alignment(reference, test, sample_rate)
    found.values |= {
        "level_db": waveform.level_db(test),
        "mse": waveform.power(error),
        "mae": float(np.mean(error)),
        "similarity": 1.0 - float(np.mean(error)),
        "max_abs": float(np.max(error)),
        "p999_abs": float(np.percentile(error, 99.9)),
        "snr_db": waveform.snr_db(reference, test),
        "worst_segment_snr_db": waveform.worst_segment_snr_db(reference, test, sample_rate),
        "segment_level_change_db": waveform.segment_level_change_db(reference, test, sample_rate),
        "peak_change_db": waveform.peak_change_db(reference, test),
    }
    found.put("si_sdr_db", waveform.si_sdr_db(reference, test), "a signal is silent")
    found.put("max_error_ratio", float(np.max(error)) / peak if peak else None, "the reference is silent")
    crest = waveform.error_crest(reference, test, sample_rate)
    found.put("error_crest", crest, "the signals are identical")
    unlike = "the signals are too unlike to be aligned"
    lag, gain = aligned or (None, None)
    found.put("lag_samples", lag, unlike)
    found.put("gain_db", None if gain is None else waveform.ratio_db(gain * gain, 1.0), unlike)
    found.put("polarity_flipped", None if gain is None else gain < 0.0, unlike)
    found.put("lufs_change_lu", waveform.loudness_change_lu(reference, test, sample_rate))


def _spectral(found: _Measured, reference: Signal, test: Signal, sample_rate: int) -> None:
    before, after = (spectral.power_spectrogram(signal) for signal in (reference, test))
    found.values["lsd_db"] = spectral.log_spectral_distance_db(before, after)
    for band in spectral.BANDS:
        bins = spectral.band_bins(band, sample_rate)
        above = f"the band is above the Nyquist frequency of {sample_rate / 2:g} Hz"
        distance = change = None
        if bins is not None:
            distance = spectral.log_spectral_distance_db(before, after, bins)
            change = spectral.band_level_change_db(before, after, bins)
            above = "the reference has nothing in this band"
        found.put(f"lsd_{band}_db", distance, above)
        found.put(f"level_change_{band}_db", change, above)
    short = f"needs at least {spectral.MIN_STFT_SAMPLES} samples"
    found.put("mr_stft", spectral.multi_resolution_stft(reference, test), short)
    mels = [spectral.log_mel(signal, sample_rate) for signal in (reference, test)]
    found.values["mel_l1"] = spectral.mel_l1(*mels)
    found.values["mcd_db"] = spectral.mel_cepstral_distortion_db(*mels)


def _perceptual(found: _Measured, reference: Signal, test: Signal, sample_rate: int, perceptual: bool) -> None:
    metrics = {"pesq_wb": listeners.pesq_wb, "stoi": listeners.stoi, "visqol": listeners.visqol_audio}
    for name, metric in metrics.items():
        if not perceptual:
            found.put(name, "perceptual metrics were not asked for")
        elif not reference.any():
            found.put(name, "the reference is silent")
        else:
            found.put(name, metric(reference, test, sample_rate))
