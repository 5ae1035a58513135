"""Faults that rounding does not make: periodic, tonal, local, missing. Each is measured against the error around it.

Rounding gives an error that follows the signal and has no order of its own. What stands out of it - one sample of its
surroundings, one line of its spectrum, one phase of a period, a copy of the signal elsewhere in the spectrum, a level
that swings - is a fault however coarse the precision is.

Every function takes finite float64 arrays of equal shape ``(samples,)``, the reference first, and answers 0 (or None,
where a signal is too short to tell) if there is nothing.
"""

import numpy as np
from numpy.typing import NDArray

from bench.quality.waveform import Signal

# Under these an outlier of the error is not heard, full scale 1 and dB re a full-scale sine.
CLICK_FLOOR = 10.0 ** (-52.0 / 20.0)
TONE_FLOOR_DB = -72.0
TRAIN_FLOOR_DB = -72.0
HIGHEST_TONE_HZ = 20000.0


def _box(values: Signal, width: int) -> Signal:
    """Centred running mean; at the ends over what is there."""
    width = min(width, values.size)
    sums = np.cumsum(np.concatenate([[0.0], values]))
    index = np.arange(values.size)
    low = np.clip(index - width // 2, 0, values.size)
    high = np.clip(index - width // 2 + width, 0, values.size)
    means: Signal = (sums[high] - sums[low]) / (high - low)
    return means


def residual(reference: Signal, test: Signal) -> Signal:
    """Error without its mean and without the share that is the reference itself, which is a gain."""
    error = test - reference
    error = error - np.mean(error)
    energy = float(np.dot(reference, reference))
    left: Signal = error - (float(np.dot(error, reference)) / energy) * reference if energy else error
    return left


def click_crest(error: Signal, sample_rate: int) -> float:
    """Largest sample of the error's roughness over the roughness of the 20 ms around it, its own millisecond left out.

    Roughness is the second difference, in which a click stands out of any slower error. Only samples over
    :data:`CLICK_FLOOR` count.
    """
    if error.size < 8:
        return 0.0
    rough = error.copy()
    rough[1:-1] -= (error[:-2] + error[2:]) / 2.0
    rough[[0, -1]] = 0.0
    power = np.square(rough)
    wide, own = round(0.02 * sample_rate), max(round(0.001 * sample_rate), 3)
    surroundings = _box(power, wide) * wide - _box(power, own) * own
    level = np.maximum(surroundings, 0.0) / max(wide - own, 1)
    loud = np.abs(rough) >= CLICK_FLOOR
    if not loud.any():
        return 0.0
    return float(np.sqrt(np.max(power[loud] / np.maximum(level[loud], 1e-16))))


def click_train_db(error: Signal, sample_rate: int) -> float:
    """How far one phase of a period stands out of the error, dB: clicks that come back at a constant distance.

    The error's roughness, over its local median, is searched for a harmonic series; folded at that period, the power of
    its loudest phase over that of the median phase is the answer. 0 where no series stands out.
    """
    block = max(round(0.01 * sample_rate), 8)
    if error.size < 12 * block:
        return 0.0
    rough = np.zeros_like(error)
    rough[1:-1] = np.abs(error[1:-1] - (error[:-2] + error[2:]) / 2.0)
    whole = rough[: rough.size // block * block].reshape(-1, block)
    scale = np.repeat(np.median(whole, axis=1), block)
    level = np.minimum(rough[: scale.size] / np.maximum(scale, 1e-9), 8.0)
    spectrum = np.square(np.abs(np.fft.rfft(level - np.mean(level))))
    spectrum /= np.maximum(np.median(spectrum), 1e-30)
    spectrum = np.minimum(spectrum, 100.0)
    step = sample_rate / level.size
    first, last = int(np.ceil(25.0 / step)), int(1000.0 / step)
    base = np.arange(first, max(last, first + 1))
    series = np.mean([spectrum[np.minimum(base * k, spectrum.size - 1)] for k in range(1, 9)], axis=0)
    best = base[int(np.argmax(series))]
    if series.max() < 6.0:
        return 0.0
    period = level.size / best
    return max(_folded_db(level, period / k) for k in (1, 2))


def _folded_db(level: Signal, period: float) -> float:
    count = int(period)
    if count < 4:
        return 0.0
    phase = ((np.arange(level.size) % period) * (count / period)).astype(int)
    power = np.bincount(phase, np.square(level), count) / np.maximum(np.bincount(phase, minlength=count), 1)
    return float(10.0 * np.log10(power.max() / np.maximum(np.median(power), 1e-30)))


def _frames(signal: Signal, size: int, hop: int) -> Signal:
    padded = np.pad(signal, (0, max(0, size - signal.size)))
    frames: Signal = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    return frames


def _hann(size: int) -> Signal:
    window: Signal = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(size) / size)
    return window


def tone(error: Signal, sample_rate: int) -> tuple[float, float, float] | None:
    """The steadiest line in the error: how far it stands out of its neighbours in dB, its level, its frequency.

    The level that a bin keeps for four fifths of the time, over the median of the bins around.
    """
    size = 2048 * max(1, round(sample_rate / 24000))
    if error.size < 6 * size // 2:
        return None
    spectrum = np.square(np.abs(np.fft.rfft(_frames(error, size, size // 4) * _hann(size), axis=1)))
    steady = np.percentile(spectrum, 20, axis=0) + 1e-20
    around = 12
    low = np.lib.stride_tricks.sliding_window_view(np.pad(steady, around, mode="reflect"), 2 * around + 1)
    floor = np.median(np.delete(low, [around - 1, around, around + 1], axis=1), axis=1)
    levels = 10.0 * np.log10(steady * 16.0 / size**2)
    frequencies = np.arange(steady.size) * sample_rate / size
    out = 10.0 * np.log10(steady / floor)
    out[(levels < TONE_FLOOR_DB) | (frequencies > HIGHEST_TONE_HZ) | (frequencies < 30.0)] = 0.0
    best = int(np.argmax(out))
    return float(out[best]), float(levels[best]), float(frequencies[best])


IMAGES = tuple((k, m) for m in (2, 3, 4, 5, 6, 8, 10) for k in range(1, m // 2 + 1) if np.gcd(k, m) == 1)


def image(reference: Signal, error: Signal, sample_rate: int) -> tuple[float, float, str]:
    """The strongest copy of the reference elsewhere in the spectrum: level in dB, significance, which."""
    size = 960 if sample_rate < 36000 else 1920
    if error.size < 6 * size:
        return -200.0, 0.0, ""
    window = _hann(size)
    before, after = (np.fft.fft(_frames(x, size, size // 2) * window, axis=1) for x in (reference, error))
    noise = np.square(np.abs(after))
    kernel = np.ones(17) / 17
    noise = np.apply_along_axis(lambda row: np.convolve(row, kernel, "same"), 1, noise) + 1e-18
    best = (-200.0, 0.0, "")
    for k, m in IMAGES:
        moved = np.roll(before, k * size // m, axis=1)
        cross = np.abs(np.sum(np.conj(moved) * after / noise))
        power = np.square(np.abs(moved)) / noise
        spread = float(np.sqrt(np.sum(power * np.square(np.abs(after)) / noise)))
        level = 20.0 * np.log10(cross / float(np.sum(power)) + 1e-20)
        z = float(cross / spread) if spread else 0.0
        if z > best[1]:
            best = (float(level), z, f"{k}/{m}")
    return best


def hole_db(reference: Signal, test: Signal, sample_rate: int) -> float:
    """Largest loss of level within 5 ms, dB (negative), where the reference is heard."""
    width = max(round(0.005 * sample_rate), 4)
    wanted, found = (_box(np.square(x), width) for x in (reference, test))
    floor = max(float(wanted.max()) * 1e-5, 10.0 ** (-66.0 / 10.0))
    heard = wanted >= floor
    if not heard.any():
        return 0.0
    return float(min(0.0, np.min(10.0 * np.log10((found[heard] + 1e-20) / wanted[heard]))))


def empty_run_s(reference: Signal, test: Signal, sample_rate: int) -> float:
    """Longest time for which the test stands still where the reference moves by more than -72 dB."""
    still = np.concatenate([[False], np.diff(test) == 0.0, [False]])
    edges = np.flatnonzero(np.diff(still.astype(int)))
    longest = 0.0
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        part = reference[max(start, 0) : stop + 1]
        if (stop - start) > longest * sample_rate and np.std(part) > 10.0 ** (-72.0 / 20.0):
            longest = (stop - start) / sample_rate
    return longest


def wobble_db(reference: Signal, test: Signal, sample_rate: int) -> float | None:
    """Amplitude in dB of the strongest steady swing of the gain between 0.5 and 20 Hz."""
    width = round(0.02 * sample_rate)
    count = reference.size // width
    if count < 40:
        return None
    r, t = (x[: count * width].reshape(count, width) for x in (reference, test))
    energy = np.sum(r * r, axis=1)
    heard = energy > energy.max() * 1e-4
    if heard.sum() < 20:
        return None
    gain = np.zeros(count)
    gain[heard] = np.clip(np.sum(r * t, axis=1)[heard] / energy[heard], 0.5, 2.0)
    gain[heard] = 20.0 * np.log10(gain[heard])
    times = np.flatnonzero(heard) * width / sample_rate
    values = gain[heard] - np.median(gain[heard])
    values = np.clip(values, -1.5, 1.5)
    best = 0.0
    for frequency in np.arange(max(0.5, 1.0 / (times[-1] - times[0] + 0.02)), 20.0, 0.25 * sample_rate / reference.size):
        basis = np.stack([np.cos(2 * np.pi * frequency * times), np.sin(2 * np.pi * frequency * times), np.ones_like(times)], 1)
        solution, *_ = np.linalg.lstsq(basis, values, rcond=None)
        best = max(best, float(np.hypot(*solution[:2])))
    return best


def slip(reference: Signal, test: Signal, sample_rate: int) -> int:
    """Delay in samples that three neighbouring tenths of a second share, where it makes them 6 dB more alike."""
    width, reach = round(0.1 * sample_rate), round(0.01 * sample_rate)
    count = reference.size // width
    found = []
    for index in range(count):
        a, b = (x[index * width : (index + 1) * width] for x in (reference, test))
        energy = float(np.dot(a, a))
        if energy < 1e-6 * width:
            found.append(0)
            continue
        size = 2 * width
        correlation = np.fft.irfft(np.fft.rfft(b, size) * np.conj(np.fft.rfft(a, size)), size)
        lags = np.arange(-reach, reach + 1)
        lag = int(lags[np.argmax(correlation[lags])])
        x, y = (a[: width - lag], b[lag:]) if lag >= 0 else (a[-lag:], b[:lag])
        better = np.mean((a - b) ** 2) / max(float(np.mean((x - y) ** 2)), 1e-20)
        found.append(lag if better > 4.0 else 0)
    for one, two, three in zip(found, found[1:], found[2:], strict=False):
        if one and one == two == three:
            return one
    return 0
