"""Sounds that rounding does not make: clicks, trains of clicks, tones, images. Each stands out of the error around it.

Rounding gives an error that follows the signal and has no order of its own. What stands out of it - one sample of its
surroundings, one phase of a period, one line of its spectrum, a copy of the signal elsewhere in the spectrum - is a
fault however coarse the precision is.

Every function takes finite float64 arrays of equal shape ``(samples,)``, the reference first. ``error`` is what
:func:`residual` leaves. None means that the signals are too short to tell.
"""

import numpy as np

from bench.quality.waveform import Signal

# Under these an outlier of the error is not heard: one click and a train of them (full scale 1), a tone (dB re a
# full-scale sine).
CLICK_FLOOR = 10.0 ** (-52.0 / 20.0)
TRAIN_FLOOR = 10.0 ** (-63.0 / 20.0)
TONE_FLOOR_DB = -72.0
# What is looked at: beats slower than a hop of 25 ms are single clicks, those over 800 Hz are tones.
LONGEST_PERIOD_S, SHORTEST_PERIOD_S = 0.025, 0.00125
LOWEST_TONE_HZ, HIGHEST_TONE_HZ = 30.0, 20000.0
# Images of the signal, as fractions of the sample rate: those of upsampling by 2, 3, 4, 5, 6, 8 and 10.
IMAGES = tuple((k, m) for m in (2, 3, 4, 5, 6, 8, 10) for k in range(1, m // 2 + 1) if np.gcd(k, m) == 1)
# A train and an image are there when chance gives them less than once in 10^9 signals.
SIGNIFICANT = 8.0


def running_mean(values: Signal, width: int) -> Signal:
    """Centred mean over ``width`` samples; at the ends over those that are there.

    >>> running_mean(np.array([0.0, 3.0, 6.0]), 3).tolist()
    [1.5, 3.0, 4.5]
    """
    width = min(width, values.size)
    sums = np.cumsum(np.concatenate([[0.0], values]))
    index = np.arange(values.size) - width // 2
    low, high = np.clip(index, 0, values.size), np.clip(index + width, 0, values.size)
    means: Signal = (sums[high] - sums[low]) / (high - low)
    return means


def residual(reference: Signal, test: Signal) -> Signal:
    """Error without its mean and without its share of the reference, which is a change of gain."""
    error = test - reference
    error = error - np.mean(error)
    moving = reference - np.mean(reference)
    energy = float(np.dot(moving, moving))
    left: Signal = error - (float(np.dot(error, moving)) / energy) * moving if energy else error
    return left


def roughness(signal: Signal) -> Signal:
    """Each sample less the mean of its neighbours, in which a click stands out of anything slower; 0 at the ends."""
    rough = np.zeros_like(signal)
    rough[1:-1] = signal[1:-1] - (signal[:-2] + signal[2:]) / 2.0
    return rough


def click_crest(reference: Signal, error: Signal, sample_rate: int) -> float:
    """How far the most isolated sample of the error stands out, as a ratio of amplitudes; 0 if none is heard.

    Its roughness over what is expected there: the roughness of the error in the 20 ms around, without the sample's own
    millisecond, and more where the reference is rougher in that millisecond than around it.
    """
    wide, own = round(0.02 * sample_rate), max(round(0.001 * sample_rate), 3)
    rough = np.square(roughness(error))
    loud = rough >= CLICK_FLOOR**2
    if not loud.any():
        return 0.0
    around, reference_around = (_without_centre(power, wide, own) for power in (rough, np.square(roughness(reference))))
    here = running_mean(np.square(roughness(reference)), own)
    expected = around * np.maximum(here / np.maximum(reference_around, 1e-16), 1.0)
    return float(np.sqrt(np.max(rough[loud] / np.maximum(expected[loud], 1e-16))))


def _without_centre(power: Signal, wide: int, own: int) -> Signal:
    around = running_mean(power, wide) * wide - running_mean(power, own) * own
    left: Signal = np.maximum(around, 0.0) / max(wide - own, 1)
    return left


def click_train(error: Signal, sample_rate: int) -> float | None:
    """Amplitude of clicks that come back at a constant distance, full scale 1; 0 if there are none.

    The error's roughness, weighted by how quiet its 10 ms are, is averaged at the phases of every likely period. What
    has no order cancels; a train keeps its amplitude.
    """
    block = max(round(0.01 * sample_rate), 8)
    longest, shortest = round(LONGEST_PERIOD_S * sample_rate), max(round(SHORTEST_PERIOD_S * sample_rate), 8)
    if error.size < 12 * longest:
        return None
    rough = roughness(error)[: error.size // block * block]
    # The usual size of the error in each block: 0.6745 is the median magnitude of a normal variable.
    scale = np.repeat(np.median(np.abs(rough).reshape(-1, block), axis=1) / 0.6745, block) + 1e-7
    level = np.clip(rough / scale, -8.0, 8.0)
    found = 0.0
    for values in (level, np.abs(level) - np.mean(np.abs(level))):
        for period in _likely_periods(values, shortest, longest):
            found = max(found, _folded(rough, scale, period))
    return found


def _likely_periods(values: Signal, shortest: int, longest: int) -> list[int]:
    """The periods at whose multiples a signal resembles itself most, and their multiples up to the longest."""
    size = 1 << (2 * values.size - 1).bit_length()
    alike = np.fft.irfft(np.square(np.abs(np.fft.rfft(values, size))), size)[: 8 * longest + 1]
    periods = np.arange(shortest, longest + 1)
    comb = np.mean([alike[periods * k] for k in range(1, 9)], axis=0)
    best = periods[np.argsort(comb)[-6:]]
    return sorted({int(period) * k for period in best for k in (1, 2, 3, 4) if period * k <= longest})


def _folded(rough: Signal, scale: Signal, period: int) -> float:
    """Amplitude of the phase that stands out; 0 where chance or a smooth course explains it."""
    phase = np.arange(rough.size) % period
    weight = 1.0 / np.square(scale)
    total = np.bincount(phase, weight, period)
    mean = np.bincount(phase, rough * weight, period) / total
    amplitude = np.abs(mean)
    best = int(np.argmax(amplitude))
    significance = amplitude[best] * np.sqrt(total[best])
    alone = amplitude[best] > 6.0 * np.median(amplitude)
    heard = amplitude[best] >= TRAIN_FLOOR
    return float(amplitude[best]) if alone and heard and significance > SIGNIFICANT else 0.0


def frames_of(signal: Signal, size: int, hop: int) -> Signal:
    """Windowed frames ``(frames, size)`` by a periodic Hann window; a shorter signal is padded to one frame."""
    padded = np.pad(signal, (0, max(0, size - signal.size)))
    window = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(size) / size)
    windowed: Signal = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop] * window
    return windowed


def tone_db(reference: Signal, error: Signal, sample_rate: int) -> float | None:
    """How far the steadiest line in the error stands out of its neighbours, dB; 0 if none is heard.

    Steady is the level that a bin keeps for four fifths of the time. A line that the reference has at that frequency
    itself, as mains hum in a recording, is no tone of the error.
    """
    size = 2048 * max(1, round(sample_rate / 24000))
    if error.size < 4 * size:
        return None
    steady, own = (
        np.percentile(np.square(np.abs(np.fft.rfft(frames_of(x, size, size // 4), axis=1))), 20, axis=0) + 1e-20
        for x in (error, reference)
    )
    reach = 12
    padded = np.pad(steady, reach, mode="reflect")
    neighbours = np.delete(
        np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1), [reach - 1, reach, reach + 1], axis=1
    )
    prominence = 10.0 * np.log10(steady / np.median(neighbours, axis=1))
    levels = 10.0 * np.log10(steady * 16.0 / size**2)
    frequencies = np.arange(steady.size) * sample_rate / size
    heard = (levels >= TONE_FLOOR_DB) & (frequencies >= LOWEST_TONE_HZ) & (frequencies <= HIGHEST_TONE_HZ)
    heard &= steady > own / 4.0
    return float(np.max(prominence[heard], initial=0.0))


def image_db(reference: Signal, error: Signal, sample_rate: int) -> float | None:
    """Level of the strongest copy of the reference moved by a fraction of the sample rate, dB; -200 if there is none.

    The error's spectrogram is correlated with the reference's, moved, each cell weighted by how quiet the error is
    there.
    """
    size = 960 if sample_rate < 36000 else 1920
    if error.size < 6 * size:
        return None
    before, after = (np.fft.fft(frames_of(x, size, size // 2), axis=1) for x in (reference, error))
    noise = np.square(np.abs(after))
    around = np.cumsum(np.pad(noise, ((0, 0), (9, 8)), mode="wrap"), axis=1)
    noise = (around[:, 17:] - around[:, :-17]) / 17.0 + 1e-18
    strongest = -200.0
    for k, m in IMAGES:
        moved = np.roll(before, k * size // m, axis=1)
        share = np.square(np.abs(moved)) / noise
        together = float(np.abs(np.sum(np.conj(moved) * after / noise)))
        spread = float(np.sqrt(np.sum(share * np.square(np.abs(after)) / noise)))
        if together > SIGNIFICANT * spread > 0.0:
            strongest = max(strongest, 20.0 * float(np.log10(together / float(np.sum(share)))))
    return strongest
