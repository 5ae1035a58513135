"""Sample-by-sample measures of what a backend did to a waveform.

Every function takes float64 arrays of shape ``(samples,)``, the reference first, and assumes what
:func:`bench.quality.compare` has checked: equal lengths, at least one sample, finite values. Ratios in dB are kept
within ±:data:`LIMIT_DB`, so that identical signals have a number (and JSON no infinity).
"""

import warnings

import numpy as np
import pyloudnorm
import scipy.fft
from numpy.typing import NDArray

Signal = NDArray[np.float64]

# Beyond the 138 dB of a 23-bit mantissa and the 144 dB of 24-bit audio: no float32 signal measures more.
LIMIT_DB = 200.0
SEGMENT_S = 0.02
# Segments this far below the loudest are pauses; their SNR says nothing about what is heard.
SEGMENT_RANGE_DB = 40.0
MAX_LAG_S = 0.05
# Below this normalised correlation the position of the peak is chance.
MIN_CORRELATION = 0.5
# Gating block of ITU-R BS.1770-4.
LOUDNESS_BLOCK_S = 0.4


def ratio_db(numerator: float, denominator: float) -> float:
    """Ratio of two powers in dB, within ±200; two zeros are equal and give 200, a perfect ratio.

    >>> ratio_db(100.0, 1.0)
    20.0
    """
    if denominator <= 0.0:
        return LIMIT_DB
    if numerator <= 0.0:
        return -LIMIT_DB
    return float(np.clip(10.0 * np.log10(numerator / denominator), -LIMIT_DB, LIMIT_DB))


def power(signal: Signal) -> float:
    """Mean square, full scale squared."""
    return float(np.mean(np.square(signal)))


def level_db(signal: Signal) -> float:
    """RMS level in dB relative to an RMS of 1; -200 for digital silence.

    >>> level_db(np.full(4, 0.1))
    -20.0
    """
    return ratio_db(power(signal), 1.0)


def level_change_db(reference: Signal, test: Signal) -> float:
    """RMS of the test over RMS of the reference in dB; 0 when both are silent.

    >>> round(level_change_db(np.array([1.0, -1.0]), np.array([0.5, -0.5])), 2)
    -6.02
    """
    if not reference.any() and not test.any():
        return 0.0
    return ratio_db(power(test), power(reference))


def peak_change_db(reference: Signal, test: Signal) -> float:
    """Largest magnitude of the test over that of the reference in dB; 0 when both are silent."""
    peaks = [float(np.max(np.abs(signal))) ** 2 for signal in (test, reference)]
    return ratio_db(*peaks) if any(peaks) else 0.0


def snr_db(reference: Signal, test: Signal) -> float:
    """Signal-to-noise ratio ``10 log10(sum r^2 / sum (t - r)^2)`` in dB; sees gain, delay and polarity.

    >>> round(snr_db(np.array([1.0, -1.0]), np.array([0.9, -0.9])), 2)
    20.0
    """
    return ratio_db(power(reference), power(test - reference))


def si_sdr_db(reference: Signal, test: Signal) -> float | None:
    """Scale-invariant SDR in dB, without removing means (Le Roux et al. 2019, "SDR - half-baked or well done?").

    Blind to gain and polarity by design; read it beside :func:`snr_db`. None when either signal is silent.

    >>> si_sdr_db(np.array([1.0, -1.0]), np.array([0.5, -0.5]))
    200.0
    """
    if not reference.any() or not test.any():
        return None
    target = _projection(reference, test) * reference
    return ratio_db(power(target), power(test - target))


def _projection(reference: Signal, test: Signal) -> float:
    energy = float(np.dot(reference, reference))
    return float(np.dot(test, reference)) / energy if energy else 0.0


def _segments(signal: Signal, sample_rate: int) -> Signal:
    """Overlapping 20 ms segments ``(segments, length)``, one every 5 ms; the last one ends at the last sample."""
    length = min(max(round(SEGMENT_S * sample_rate), 1), signal.size)
    windows = np.lib.stride_tricks.sliding_window_view(signal, length)
    hop = max(length // 4, 1)
    return windows[::hop] if (len(windows) - 1) % hop == 0 else np.vstack([windows[::hop], windows[-1:]])


def _heard_powers(reference: Signal, other: Signal, sample_rate: int) -> list[tuple[float, float]]:
    """Power of both signals in each segment whose reference is within 40 dB of the loudest segment."""
    wanted, found = (np.mean(np.square(_segments(x, sample_rate)), axis=1) for x in (reference, other))
    heard = wanted >= wanted.max() * 10.0 ** (-SEGMENT_RANGE_DB / 10.0)
    return list(zip(wanted[heard].tolist(), found[heard].tolist(), strict=True))


def segment_snrs_db(reference: Signal, test: Signal, sample_rate: int) -> Signal:
    """SNR in dB of every 20 ms segment, one every 5 ms, within 40 dB of the loudest."""
    return np.array([ratio_db(*powers) for powers in _heard_powers(reference, test - reference, sample_rate)])


def segment_level_change_db(reference: Signal, test: Signal, sample_rate: int) -> float:
    """Largest loss of level in dB (negative) of any 20 ms segment within 40 dB of the loudest; 0 if none lost any.

    A dropout of 20 ms empties at least 7/8 of some segment, whatever the alignment, and loses about 9 dB there.
    """
    powers = _heard_powers(reference, test, sample_rate)
    return min((ratio_db(found, wanted) for wanted, found in powers if found < wanted), default=0.0)


def error_crest(reference: Signal, test: Signal, sample_rate: int) -> float | None:
    """How isolated the largest error is: its magnitude over the RMS of the error in its 20 ms segment.

    Rounding noise has 3 to 6; one wrong sample in a segment of n has ``sqrt(n)``: 22 at 24 kHz, 31 at 48 kHz.

    Returns:
        The ratio, or None where there is no error.
    """
    segments = np.abs(_segments(test - reference, sample_rate))
    segment = segments[np.argmax(segments.max(axis=1))]
    peak = float(segment.max())
    return peak / float(np.sqrt(np.mean(np.square(segment)))) if peak else None


def alignment(reference: Signal, test: Signal, sample_rate: int) -> tuple[int, float] | None:
    """Delay of the test and the factor it was multiplied with.

    The delay is where the cross-correlation within ±50 ms has its largest magnitude, of whichever sign; the factor is
    the projection of the test, moved back by the delay, on the reference.

    Returns:
        ``(lag, gain)``: lag in samples, positive when the test is late; gain is negative when the polarity is flipped.
        None when the signals are too unlike for either to mean anything (correlation under 0.5).

    >>> pulse = np.array([0.0, 1.0, -0.5, 0.0, 0.0])
    >>> alignment(pulse, -0.5 * np.roll(pulse, 1), 24000)
    (1, -0.5)
    """
    reach = min(round(MAX_LAG_S * sample_rate), reference.size - 1)
    size = scipy.fft.next_fast_len(reference.size + reach, real=True)
    spectrum = scipy.fft.rfft(test, size) * np.conj(scipy.fft.rfft(reference, size))
    correlation = scipy.fft.irfft(spectrum, size)
    lags = np.arange(-reach, reach + 1)
    magnitude = np.abs(correlation[lags])
    energy = float(np.linalg.norm(reference) * np.linalg.norm(test))
    largest = float(magnitude.max())
    if energy == 0.0 or largest < MIN_CORRELATION * energy:
        return None
    # A tie (a steady tone, say) is no delay if 0 is among the winners.
    lag = 0 if magnitude[reach] >= largest * (1.0 - 1e-12) else int(lags[magnitude.argmax()])
    start, stop = max(lag, 0), reference.size + min(lag, 0)
    return lag, _projection(reference[start - lag : stop - lag], test[start:stop])


def loudness_change_lu(reference: Signal, test: Signal, sample_rate: int) -> float | str:
    """Difference of integrated loudness (ITU-R BS.1770-4, by pyloudnorm) in loudness units, test minus reference.

    Returns:
        The difference, or the reason why there is none.
    """
    if reference.size < LOUDNESS_BLOCK_S * sample_rate:
        return "loudness needs at least 0.4 s"
    meter = pyloudnorm.Meter(sample_rate)
    with warnings.catch_warnings():
        # pyloudnorm averages an empty list when every block lies under the gate.
        warnings.simplefilter("ignore", RuntimeWarning)
        before, after = (meter.integrated_loudness(signal) for signal in (reference, test))
    if not np.isfinite([before, after]).all():
        return "all of the reference or of the output lies under the loudness gate of -70 LUFS"
    return float(after - before)
