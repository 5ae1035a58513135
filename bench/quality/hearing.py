"""What a listener can notice of a change: levels in the ear's bands, and nothing under the threshold of hearing.

Both signals become levels in bands one ERB wide (Glasberg & Moore 1990), frame by frame of 43 ms, at a normal listening
level: a full-scale sine plays at 90 dB SPL. Power at the threshold in quiet (Terhardt 1979) is added to every band of
both, so that a difference counts as far as it can be heard: not in rumble under 20 Hz, not over 20 kHz, not in noise
under the threshold. Masking by louder neighbours is left out, so that the measure exaggerates.
"""

import functools

import numpy as np
from numpy.typing import NDArray

from bench.quality.waveform import Signal

# dB SPL of a full-scale sine: speech at -25 dB then plays at 68 dB, a little over conversation.
FULL_SCALE_SPL = 90.0
WINDOW_S = 0.0427
LOWEST_HZ, HIGHEST_HZ = 20.0, 20000.0
# Frames that a tenth of a second takes, at a hop of a quarter of the window.
_TENTH = 9


def threshold_in_quiet_spl(frequency_hz: Signal) -> Signal:
    """The quietest audible tone in dB SPL (Terhardt 1979, "Calculating virtual pitch", equation 1).

    >>> np.round(threshold_in_quiet_spl(np.array([100.0, 1000.0, 3300.0, 16000.0]))).tolist()
    [23.0, 3.0, -5.0, 66.0]
    """
    khz = np.asarray(frequency_hz, np.float64) / 1000.0
    quiet: Signal = 3.64 * khz**-0.8 - 6.5 * np.exp(-0.6 * (khz - 3.3) ** 2) + 1e-3 * khz**4
    return quiet


def erb_number(frequency_hz: Signal) -> Signal:
    """Place on the ear's scale in ERBs (Glasberg & Moore 1990, equation 4)."""
    number: Signal = 21.4 * np.log10(1.0 + 0.00437 * np.asarray(frequency_hz, np.float64))
    return number


@functools.cache
def _bands(sample_rate: int, size: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Signal]:
    """Bins that are heard, where among them each band begins, and the threshold's power in each band."""
    frequencies = np.arange(size // 2 + 1) * sample_rate / size
    bins = np.flatnonzero((frequencies >= LOWEST_HZ) & (frequencies <= HIGHEST_HZ))
    numbers = np.floor(erb_number(frequencies[bins])).astype(int)
    starts = np.flatnonzero(np.diff(numbers, prepend=-1))
    centres = np.array([np.mean(part) for part in np.split(frequencies[bins], starts[1:])])
    return bins, starts, 10.0 ** ((threshold_in_quiet_spl(centres) - FULL_SCALE_SPL) / 10.0) / 2.0


def band_powers(signal: Signal, sample_rate: int) -> Signal:
    """Mean-square power in each band and frame, ``(bands, frames)``; the ends are padded with zeros."""
    size = 2 * round(WINDOW_S * sample_rate / 2)
    bins, starts, _ = _bands(sample_rate, size)
    padded = np.pad(signal, size // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[:: size // 4]
    # A periodic Hann window: the power of white noise and of a sine come out alike.
    window = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(size) / size)
    spectrum = np.fft.rfft(frames * window, axis=1)[:, bins]
    powers: Signal = np.add.reduceat(np.square(np.abs(spectrum)), starts, axis=1).T * 16.0 / (3.0 * size**2)
    return powers


def heard_changes_db(before: Signal, after: Signal, sample_rate: int) -> Signal:
    """Level of the test over that of the reference in every band, dB, in frames where either is heard at all.

    Args:
        before: :func:`band_powers` of the reference.
        after: Of the test.
        sample_rate: Hz.

    Returns:
        ``(bands, frames)``; no frames where neither signal is ever over the threshold.
    """
    quiet = _quiet(sample_rate)[:, None]
    heard = ((before > quiet) | (after > quiet)).any(axis=0)
    changes: Signal = 10.0 * np.log10((after[:, heard] + quiet) / (before[:, heard] + quiet))
    return changes


def band_loss_db(before: Signal, after: Signal, sample_rate: int) -> float:
    """Largest loss of power in a band over the whole signal, dB (negative); 0 if none lost any. Arguments as above."""
    quiet = _quiet(sample_rate)
    losses = 10.0 * np.log10((after.mean(axis=1) + quiet) / (before.mean(axis=1) + quiet))
    return float(min(0.0, np.min(losses)))


def _quiet(sample_rate: int) -> Signal:
    return _bands(sample_rate, 2 * round(WINDOW_S * sample_rate / 2))[2]


def heard_distance_db(changes: Signal) -> float:
    """Mean over frames of the RMS over bands of :func:`heard_changes_db`; 0 where nothing is heard."""
    return float(np.mean(_per_frame(changes))) if changes.size else 0.0


def heard_peak_db(changes: Signal) -> float:
    """The same over the worst tenth of a second."""
    if not changes.size:
        return 0.0
    distances = _per_frame(changes)
    width = min(_TENTH, distances.size)
    return float(np.max(np.convolve(distances, np.full(width, 1.0 / width), "valid")))


def heard_band_db(changes: Signal) -> float:
    """Mean magnitude of the change in the band that changed most."""
    return float(np.max(np.mean(np.abs(changes), axis=1))) if changes.size else 0.0


def _per_frame(changes: Signal) -> Signal:
    distances: Signal = np.sqrt(np.mean(np.square(changes), axis=0))
    return distances
