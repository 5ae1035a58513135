"""One comparison of two waveforms: every measure, and why one is missing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.errors import InputError
from bench.quality import continuity, hearing, spectral, structure, waveform
from bench.quality import perceptual as listeners
from bench.quality.waveform import Signal
from bench.records.facts import Better, facts_of
from bench.records.fidelity import Fidelity

# Full scale of PCM; a float sample from here on is clipped by any converter.
FULL_SCALE = 1.0
# Rates outside these are a mistake in a call, such as a number of samples or kHz.
MIN_RATE, MAX_RATE = 8000, 192000


LEGACY_METRICS = ("similarity",)
"""Columns that tables mark as legacy: kept because others quote them, never a reason for a verdict."""

METRICS = tuple(facts_of(Fidelity))


@dataclass(frozen=True)
class BatchFidelity(Fidelity):
    """The worst figures of a batch, and its items, which a verdict looks at one by one."""

    items: tuple[Fidelity, ...] = ()


def _farthest(values: list[float]) -> float:
    return max(values, key=abs)


_WORST: dict[Better, Callable[[Any], Any]] = {Better.LOWER: max, Better.HIGHER: min, Better.ZERO: _farthest}


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
    for name, facts in facts_of(Fidelity).items():
        known = [value for one in broken or items if (value := getattr(one, name)) is not None]
        values[name] = _WORST[facts.better](known) if known and facts.better else None
    notes: dict[str, str] = {}
    for index, one in enumerate(items):
        for name, note in one.notes.items():
            everywhere = all(other.notes.get(name) == note for other in items)
            text = note if everywhere else f"item {index}: {note}"
            notes[name] = text if everywhere or name not in notes else f"{notes[name]}; {text}"
    return BatchFidelity(**values, notes=notes, items=items)


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
            _structural(found, reference, test, sample_rate)
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
    segments = waveform.segment_snrs_db(reference, test, sample_rate)
    aligned = waveform.alignment(reference, test, sample_rate)
    found.values |= {
        "level_db": waveform.level_db(test),
        "mse": waveform.power(error),
        "mae": float(np.mean(error)),
        "similarity": 1.0 - float(np.mean(error)),
        "max_abs": float(np.max(error)),
        "p999_abs": float(np.percentile(error, 99.9)),
        "snr_db": waveform.snr_db(reference, test),
        "worst_segment_snr_db": float(segments.min()),
        "segment_snr_median_db": float(np.median(segments)),
        "segment_snr_p05_db": float(np.percentile(segments, 5)),
        "dc_db": waveform.ratio_db(float(np.mean(test - reference)) ** 2, 1.0),
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


def _structural(found: _Measured, reference: Signal, test: Signal, sample_rate: int) -> None:
    before, after = (hearing.band_powers(signal, sample_rate) for signal in (reference, test))
    changes = hearing.heard_changes_db(before, after, sample_rate)
    error = structure.residual(reference, test)
    found.values |= {
        "heard_db": hearing.heard_distance_db(changes),
        "heard_peak_db": hearing.heard_peak_db(changes),
        "heard_band_db": hearing.heard_band_db(changes),
        "band_loss_db": hearing.band_loss_db(before, after, sample_rate),
        "click_crest": structure.click_crest(reference, error, sample_rate),
        "hole_db": continuity.hole_db(reference, test, sample_rate),
        "still_s": continuity.still_s(reference, test, sample_rate),
    }
    short = "the signal is too short to tell"
    found.put("click_train", structure.click_train(error, sample_rate), short)
    found.put("tone_db", structure.tone_db(reference, error, sample_rate), short)
    found.put("image_db", structure.image_db(reference, error, sample_rate), short)
    found.put("slip_samples", continuity.slip_samples(reference, test, sample_rate), short)
    found.put("gain_swing_db", continuity.gain_swing_db(reference, test, sample_rate), short)


def _perceptual(found: _Measured, reference: Signal, test: Signal, sample_rate: int, perceptual: bool) -> None:
    metrics = {"pesq_wb": listeners.pesq_wb, "stoi": listeners.stoi, "visqol": listeners.visqol_audio}
    metrics["distillmos_change"] = listeners.distillmos_change
    for name, metric in metrics.items():
        if not perceptual:
            found.put(name, "perceptual metrics were not asked for")
        elif not reference.any():
            found.put(name, "the reference is silent")
        else:
            found.put(name, metric(reference, test, sample_rate))
