"""Sound that is missing, displaced or unsteady: holes, slips of time, a gain that swings.

Every function takes finite float64 arrays of equal shape ``(samples,)``, the reference first. None means that the
signals are too short to tell.
"""

import numpy as np

from bench.quality.structure import running_mean
from bench.quality.waveform import Signal

HOLE_S = 0.005
# A hole is looked for where the reference lies within 50 dB of its loudest 5 ms and over -66 dB.
HOLE_RANGE_DB, HOLE_FLOOR_DB = 50.0, -66.0
# A stretch that stands still is a hole where the reference moves by more than this; 12-bit steps are smaller.
STILL_FLOOR_DB = -72.0
SLIP_S, SLIP_REACH_S = 0.1, 0.01
# A slip makes this much of the error go away.
SLIP_GAIN_DB = 6.0
GAIN_WINDOW_S = 0.02
SWING_HZ = (0.5, 20.0)
# A swing comes back: fewer periods than this in a signal are a course of its level.
SWING_PERIODS = 2.0
# How far a swing stands out of the gain's other movements.
SWING_PROMINENCE = 6.5


def hole_db(reference: Signal, test: Signal, sample_rate: int) -> float:
    """Largest loss of level within 5 ms where the reference is heard, dB (negative); 0 if none lost any."""
    width = max(round(HOLE_S * sample_rate), 4)
    wanted, found = (running_mean(np.square(x), width) for x in (reference, test))
    floor = max(float(wanted.max()) * 10.0 ** (-HOLE_RANGE_DB / 10.0), 10.0 ** (HOLE_FLOOR_DB / 10.0))
    heard = wanted >= floor
    if not heard.any():
        return 0.0
    # A running mean of a difference of sums may fall a little under zero.
    losses = 10.0 * np.log10(np.maximum(found[heard], 1e-20) / wanted[heard])
    return float(min(0.0, np.min(losses)))


def still_s(reference: Signal, test: Signal, sample_rate: int) -> float:
    """Longest time for which the test keeps one value while the reference moves, in seconds."""
    still = np.concatenate([[False], np.diff(test) == 0.0, [False]])
    edges = np.flatnonzero(still[1:] != still[:-1])
    longest = 0
    for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if stop - start > longest and float(np.std(reference[start : stop + 1])) > 10.0 ** (STILL_FLOOR_DB / 20.0):
            longest = stop - start
    return longest / sample_rate


def slip_samples(reference: Signal, test: Signal, sample_rate: int) -> int | None:
    """Delay that three neighbouring tenths of a second share and that explains most of their error; else 0."""
    width, reach = round(SLIP_S * sample_rate), round(SLIP_REACH_S * sample_rate)
    count = reference.size // width
    if count < 3:
        return None
    spans = [slice(start, start + width) for start in range(0, count * width, width)]
    delays = [_delay(reference[span], test[span], reach) for span in spans]
    for one, two, three in zip(delays, delays[1:], delays[2:], strict=False):
        if one and one == two == three:
            return one
    return 0


def _delay(reference: Signal, test: Signal, reach: int) -> int:
    if float(np.mean(np.square(reference))) < 1e-7:
        return 0
    size = 2 * reference.size
    correlation = np.fft.irfft(np.fft.rfft(test, size) * np.conj(np.fft.rfft(reference, size)), size)
    lags = np.arange(-reach, reach + 1)
    lag = int(lags[np.argmax(correlation[lags])])
    start, stop = max(lag, 0), reference.size + min(lag, 0)
    moved = float(np.mean(np.square(test[start:stop] - reference[start - lag : stop - lag])))
    unmoved = float(np.mean(np.square(test - reference)))
    return lag if unmoved > moved * 10.0 ** (SLIP_GAIN_DB / 10.0) else 0


def gain_swing_db(reference: Signal, test: Signal, sample_rate: int) -> float | None:
    """Amplitude in dB of the strongest periodic swing of the gain; 0 where it does not stand out of chance.

    The gain of each 20 ms within 40 dB of the loudest is fitted by a sine, at every frequency from 0.5 Hz (or two
    periods in the signal) to 20 Hz.
    """
    width = round(GAIN_WINDOW_S * sample_rate)
    count = reference.size // width
    r, t = (x[: count * width].reshape(count, width) for x in (reference, test))
    energy = np.sum(np.square(r), axis=1)
    heard = energy > energy.max(initial=0.0) * 1e-4
    if np.count_nonzero(heard) < 25:
        return None
    gains = np.clip(np.sum(r * t, axis=1)[heard] / energy[heard], 0.7, 1.4)
    values = 20.0 * np.log10(gains)
    values = values - np.median(values)
    times = np.flatnonzero(heard) * width / sample_rate
    step = 0.25 * sample_rate / reference.size
    frequencies = np.arange(max(SWING_HZ[0], SWING_PERIODS * sample_rate / reference.size), SWING_HZ[1], step)
    amplitudes = np.array([_amplitude(values, times, frequency) for frequency in frequencies])
    best = float(amplitudes.max())
    return best if best > SWING_PROMINENCE * float(np.median(amplitudes)) else 0.0


def _amplitude(values: Signal, times: Signal, frequency: float) -> float:
    angle = 2.0 * np.pi * frequency * times
    basis = np.stack([np.cos(angle), np.sin(angle), np.ones_like(times)], axis=1)
    normal = basis.T @ basis
    solution = np.linalg.solve(normal + 1e-9 * np.eye(3), basis.T @ values)
    return float(np.hypot(solution[0], solution[1]))
