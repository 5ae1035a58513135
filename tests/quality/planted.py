"""Faults to plant into speech: those of the audit that the verdict was made for, and others of the same kinds.

Each function takes speech ``(samples,)`` with the error of its precision in it, and its rate, and returns what a broken
backend might have made of it.
"""

from collections.abc import Callable

import numpy as np
import scipy.signal
from numpy.typing import NDArray

Fault = Callable[[NDArray[np.float64], int], NDArray[np.float64]]
HEARD: dict[str, Fault] = {}
NOT_HEARD: dict[str, Fault] = {}
OTHERS_HEARD: dict[str, Fault] = {}
OTHERS_NOT_HEARD: dict[str, Fault] = {}


def _in(table: dict[str, Fault]) -> Callable[[Fault], Fault]:
    def put(fault: Fault) -> Fault:
        table[fault.__name__] = fault
        return fault

    return put


def _power(speech: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    width = rate // 50
    return np.convolve(speech**2, np.ones(width) / width, "same")


def _loudest(speech: NDArray[np.float64], rate: int) -> int:
    return int(np.argmax(_power(speech, rate)[rate // 10 : -rate // 10])) + rate // 10


def _pause(speech: NDArray[np.float64], rate: int) -> int:
    return int(np.argmin(_power(speech, rate)[rate // 20 : -rate // 20])) + rate // 20


def _soft(speech: NDArray[np.float64], rate: int) -> int:
    """Where speech lies 25 dB under its loudest."""
    power = _power(speech, rate)
    levels = 10 * np.log10(power[rate // 20 : -rate // 20] + 1e-12)
    return int(np.argmin(np.abs(levels - 10 * np.log10(power.max()) + 25))) + rate // 20


def _hop(rate: int) -> int:
    return 480 if rate == 48000 else 256


def _tone(speech: NDArray[np.float64], rate: int, frequency: float, level_db: float) -> NDArray[np.float64]:
    return 10 ** (level_db / 20) * np.sin(2 * np.pi * frequency * np.arange(speech.size) / rate)


def _without(speech: NDArray[np.float64], start: int, stop: int) -> NDArray[np.float64]:
    test = speech.copy()
    test[start:stop] = 0.0
    return test


def _click(speech: NDArray[np.float64], at: int | slice, height: float) -> NDArray[np.float64]:
    test = speech.copy()
    test[at] += height
    return test


def _filtered(speech: NDArray[np.float64], taps: NDArray[np.float64]) -> NDArray[np.float64]:
    filtered: NDArray[np.float64] = scipy.signal.fftconvolve(speech, taps, "same")
    return filtered


def _high_noise(speech: NDArray[np.float64], rate: int, edge: float, level_db: float) -> NDArray[np.float64]:
    if rate < 48000:
        return np.zeros_like(speech)
    white = np.random.default_rng(3).standard_normal(speech.size)
    noise: NDArray[np.float64] = scipy.signal.sosfilt(
        scipy.signal.butter(12, edge, "high", fs=rate, output="sos"), white
    )
    scaled: NDArray[np.float64] = noise / noise.std() * 10 ** (level_db / 20)
    return scaled


# The audit's.
@_in(HEARD)
def last_frame_zeroed(speech: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    return _without(speech, speech.size - _hop(rate), speech.size)


@_in(HEARD)
def last_tenth_zeroed(speech: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    return _without(speech, speech.size - rate // 10, speech.size)


@_in(HEARD)
def clicks_at_frames_60(speech: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    return _click(speech, slice(None, None, _hop(rate)), 1e-3)


@_in(HEARD)
def clicks_at_frames_50(speech: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    return _click(speech, slice(None, None, _hop(rate)), 3.2e-3)


@_in(HEARD)
def click_in_a_pause(speech: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    return _click(speech, _pause(speech, rate), 0.02)


@_in(HEARD)
def tone_of_8_khz(speech: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    return speech + _tone(speech, rate, 8000, -60)


@_in(HEARD)
def image_at_50(speech: NDArray[np.float64], _: int) -> NDArray[np.float64]:
    return speech + 10 ** (-50 / 20) * speech * (-1.0) ** np.arange(speech.size)


@_in(HEARD)
def gain_wobbles(speech: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    return speech * 10 ** (_tone(speech, rate, 4.0, 20 * np.log10(0.25)) / 20)


@_in(HEARD)
def five_ms_of_soft_speech(speech: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    at = _soft(speech, rate)
    return _without(speech, at - rate // 400, at + rate // 400)


@_in(HEARD)
def dropout(speech: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    at = _loudest(speech, rate)
    return _without(speech, at - rate // 100, at + rate // 100)


@_in(HEARD)
def silence(speech: NDArray[np.float64], _: int) -> NDArray[np.float64]:
    return np.zeros_like(speech)


@_in(HEARD)
def low_pass(speech: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    return _filtered(speech, scipy.signal.firwin(511, 8000, fs=rate))


@_in(HEARD)
def one_sample_late(speech: NDArray[np.float64], _: int) -> NDArray[np.float64]:
    return np.concatenate([[0.0], speech[:-1]])


@_in(HEARD)
def one_db_quieter(speech: NDArray[np.float64], _: int) -> NDArray[np.float64]:
    return speech * 10 ** (-1 / 20)


@_in(NOT_HEARD)
def dc_at_60(speech: NDArray[np.float64], _: int) -> NDArray[np.float64]:
    return speech + 1e-3


@_in(NOT_HEARD)
def gain_of_006(speech: NDArray[np.float64], _: int) -> NDArray[np.float64]:
    return speech * 10 ** (-0.06 / 20)


@_in(NOT_HEARD)
def noise_over_20_khz(speech: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    return speech + _high_noise(speech, rate, 20500, -50)


@_in(NOT_HEARD)
def twelve_bits(speech: NDArray[np.float64], _: int) -> NDArray[np.float64]:
    return np.round(speech * 2048) / 2048


# Others of the same kinds, which the limits were not looked at with.
@_in(OTHERS_HEARD)
def first_frame_zeroed(speech: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    at = _soft(speech, rate)
    return _without(speech, at, at + _hop(rate))


@_in(OTHERS_HEARD)
def last_third_of_a_second_zeroed(speech: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    return _without(speech, speech.size - rate // 3, speech.size)


@_in(OTHERS_HEARD)
def eight_ms_of_loud_speech(speech: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    at = _loudest(speech, rate)
    return _without(speech, at, at + rate // 125)


@_in(OTHERS_HEARD)
def stuck_for_6_ms(speech: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    test = speech.copy()
    at = _loudest(speech, rate)
    test[at : at + rate * 6 // 1000] = test[at]
    return test


@_in(OTHERS_HEARD)
def clicks_at_every_other_frame(speech: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    return _click(speech, slice(100, None, 2 * _hop(rate)), -2e-3)


@_in(OTHERS_HEARD)
def clicks_of_either_sign(speech: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    test = _click(speech, slice(0, None, 2 * _hop(rate)), 4e-3)
    return _click(test, slice(_hop(rate), None, 2 * _hop(rate)), -4e-3)


@_in(OTHERS_HEARD)
def small_click_in_a_pause(speech: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    return _click(speech, _pause(speech, rate), -0.01)


@_in(OTHERS_HEARD)
def click_in_soft_speech(speech: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    return _click(speech, _soft(speech, rate), 0.05)


@_in(OTHERS_HEARD)
def hum(speech: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    return speech + _tone(speech, rate, 100, -45)


@_in(OTHERS_HEARD)
def whistle_of_3_khz(speech: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    return speech + _tone(speech, rate, 3137, -58)


@_in(OTHERS_HEARD)
def whistle_at_a_quarter(speech: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    return speech + _tone(speech, rate, rate / 4, -60)


@_in(OTHERS_HEARD)
def image_of_upsampling_by_4(speech: NDArray[np.float64], _: int) -> NDArray[np.float64]:
    image: NDArray[np.float64] = 2 * 10 ** (-47 / 20) * speech * np.cos(np.pi / 2 * np.arange(speech.size) + 0.3)
    return speech + image


@_in(OTHERS_HEARD)
def image_of_upsampling_by_5(speech: NDArray[np.float64], _: int) -> NDArray[np.float64]:
    image: NDArray[np.float64] = 2 * 10 ** (-47 / 20) * speech * np.cos(2 * np.pi / 5 * np.arange(speech.size) + 1.1)
    return speech + image


@_in(OTHERS_HEARD)
def gain_wobbles_at_7_hz(speech: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    return speech * 10 ** (_tone(speech, rate, 7.0, 20 * np.log10(0.4)) / 20)


@_in(OTHERS_HEARD)
def gain_drifts(speech: NDArray[np.float64], _: int) -> NDArray[np.float64]:
    return speech * 10 ** (np.linspace(-0.6, 0.6, speech.size) / 20)


@_in(OTHERS_HEARD)
def three_ms_cut_out(speech: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    middle, cut = speech.size // 2, rate * 3 // 1000
    return np.concatenate([speech[:middle], speech[middle + cut :], np.zeros(cut)])


@_in(OTHERS_HEARD)
def last_third_one_sample_early(speech: NDArray[np.float64], _: int) -> NDArray[np.float64]:
    at = speech.size * 2 // 3
    return np.concatenate([speech[:at], speech[at + 1 :], [0.0]])


@_in(OTHERS_HEARD)
def stutter(speech: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    test = speech.copy()
    at, length = _loudest(speech, rate), rate // 12
    test[at : at + length] = test[at - length : at][: test[at : at + length].size]
    return test


@_in(OTHERS_HEARD)
def notch(speech: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    return _filtered(speech, scipy.signal.firwin(1023, [2600, 3400], fs=rate, pass_zero=True))


@_in(OTHERS_HEARD)
def low_pass_of_10_khz(speech: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    return _filtered(speech, scipy.signal.firwin(511, 10000, fs=rate))


@_in(OTHERS_HEARD)
def hiss(speech: NDArray[np.float64], _: int) -> NDArray[np.float64]:
    return speech + 1e-3 * np.random.default_rng(5).standard_normal(speech.size)


@_in(OTHERS_HEARD)
def eight_bits(speech: NDArray[np.float64], _: int) -> NDArray[np.float64]:
    return np.round(speech * 128) / 128


@_in(OTHERS_HEARD)
def gated(speech: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    return np.where(_power(speech, rate) < 1e-4 * np.max(speech**2), 0.0, speech)


@_in(OTHERS_HEARD)
def half_a_second_flipped(speech: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    test = speech.copy()
    test[rate // 2 : rate] *= -1
    return test


@_in(OTHERS_HEARD)
def another_sound(speech: NDArray[np.float64], _: int) -> NDArray[np.float64]:
    return np.roll(speech, speech.size // 3)


@_in(OTHERS_NOT_HEARD)
def dc_below(speech: NDArray[np.float64], _: int) -> NDArray[np.float64]:
    return speech - 8e-4


@_in(OTHERS_NOT_HEARD)
def gain_of_005_up(speech: NDArray[np.float64], _: int) -> NDArray[np.float64]:
    return speech * 10 ** (0.05 / 20)


@_in(OTHERS_NOT_HEARD)
def tone_over_20_khz(speech: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    return speech + (_tone(speech, rate, 21500, -50) if rate == 48000 else 0.0)


@_in(OTHERS_NOT_HEARD)
def rumble_of_8_hz(speech: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    return speech + _tone(speech, rate, 8, -60)


@_in(OTHERS_NOT_HEARD)
def thirteen_bits(speech: NDArray[np.float64], _: int) -> NDArray[np.float64]:
    return np.round(speech * 4096) / 4096


@_in(OTHERS_NOT_HEARD)
def noise_over_21_khz(speech: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    return speech + _high_noise(speech, rate, 21500, -54)
