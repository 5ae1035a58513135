"""Levels in the ear's bands: known signals give known levels and known changes."""

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.quality import compare
from bench.quality.hearing import (
    FULL_SCALE_SPL,
    band_loss_db,
    band_powers,
    erb_number,
    heard_band_db,
    heard_changes_db,
    heard_distance_db,
    heard_peak_db,
    threshold_in_quiet_spl,
)
from tests.quality_signals import known, noisy, speech_at

RATE = 24000


def sine(frequency: float, level_db: float, rate: int = RATE, seconds: float = 1.0) -> NDArray[np.float64]:
    """A tone, its level in dB re a full-scale sine."""
    return 10 ** (level_db / 20) * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


def test_threshold_and_scale_are_those_of_the_papers() -> None:
    """Terhardt's threshold at 1 kHz is 3.4 dB SPL; Glasberg and Moore's scale puts 1 kHz at 15.6 ERBs."""
    assert float(threshold_in_quiet_spl(np.array(1000.0))) == pytest.approx(
        3.64 - 6.5 * np.exp(-3.174) + 1e-3, abs=1e-3
    )
    assert float(erb_number(np.array(1000.0))) == pytest.approx(15.6, abs=0.1)


@pytest.mark.parametrize(
    ("frequency", "spl", "erbs"), [(100.0, 22.95, 3.371), (3300.0, -4.977, 25.426), (16000.0, 65.93, 39.61)]
)
def test_threshold_and_scale_elsewhere(frequency: float, spl: float, erbs: float) -> None:
    """Worked out by hand from the papers' equations."""
    assert float(threshold_in_quiet_spl(np.array(frequency))) == pytest.approx(spl, abs=0.01)
    assert float(erb_number(np.array(frequency))) == pytest.approx(erbs, abs=0.01)


def bands_by_hand(rate: int) -> tuple[int, list[list[int]], NDArray[np.float64]]:
    """Size of a frame, the bins of every band, and the power of the threshold at its middle."""
    size = 2 * round(0.0427 * rate / 2)
    bands: dict[int, list[int]] = {}
    for number in range(size // 2 + 1):
        frequency = number * rate / size
        if 20 <= frequency <= 20_000:
            bands.setdefault(int(21.4 * np.log10(1 + 0.00437 * frequency)), []).append(number)
    middles = np.array([np.mean(bins) * rate / size for bins in bands.values()])
    # A full-scale sine has a mean square of a half and plays at 90 dB SPL.
    return size, list(bands.values()), 0.5 * 10 ** ((threshold_in_quiet_spl(middles) - 90) / 10)


@pytest.mark.parametrize("rate", [24000, 48000])
def test_band_powers_are_those_of_a_plain_transform(rate: int) -> None:
    """Frame by frame and band by band, over a periodic Hann window, zeros around the ends."""
    size, bands, _ = bands_by_hand(rate)
    noise = np.random.default_rng(0).standard_normal(rate // 5)
    padded = np.concatenate([np.zeros(size // 2), noise, np.zeros(size // 2)])
    window = np.hanning(size + 1)[:-1]
    found = band_powers(noise, rate)
    for frame, start in enumerate(range(0, len(padded) - size + 1, size // 4)):
        spectrum = np.abs(np.fft.rfft(padded[start : start + size] * window)) ** 2
        # One side of the spectrum, and the window's own power of 3/8.
        expected = [2 * spectrum[bins].sum() / (3 / 8 * size**2) for bins in bands]
        np.testing.assert_allclose(found[:, frame], expected, rtol=1e-9)
    assert found.shape == (len(bands), frame + 1)


@pytest.mark.parametrize("rate", [24000, 48000])
def test_a_change_counts_as_far_as_it_is_over_the_threshold(rate: int) -> None:
    """From nothing to the threshold's own power it is 3 dB; what is nowhere over it is left out."""
    _, _, quiet = bands_by_hand(rate)
    count = len(quiet)
    before, after = np.zeros((count, 3)), np.zeros((count, 3))
    # Just under the threshold: not heard. Over it in one band of either: heard.
    before[:, 0] = after[:, 0] = 0.999 * quiet
    after[2, 1] = 3 * quiet[2]
    before[5, 2] = 9 * quiet[5]
    changes = heard_changes_db(before, after, rate)
    assert changes.shape == (count, 2)
    expected = np.zeros((count, 2))
    expected[2, 0], expected[5, 1] = 10 * np.log10(4), -10
    np.testing.assert_allclose(changes, expected, atol=1e-9)
    assert heard_changes_db(before[:, :1], after[:, :1], rate).shape == (count, 0)


def test_the_largest_loss_of_a_band_is_over_the_whole_signal() -> None:
    """Of mean powers, the threshold added to both; a signal that lost nothing lost 0 dB."""
    _, _, quiet = bands_by_hand(RATE)
    before = np.outer(quiet, [4.0, 14.0])
    after = before.copy()
    after[3] = 0.0
    after[4] *= 0.5
    assert band_loss_db(before, after, RATE) == pytest.approx(-10.0)
    assert band_loss_db(after, before, RATE) == 0.0


def test_what_is_heard_of_changes_by_hand() -> None:
    """RMS over bands and its mean over frames; its mean over the worst nine frames; the mean of the worst band."""
    changes = np.zeros((2, 20))
    changes[0, 4:13], changes[1, 4:13] = 3.0, -4.0
    rms = np.sqrt(12.5)
    assert heard_distance_db(changes) == pytest.approx(rms * 9 / 20)
    assert heard_peak_db(changes) == pytest.approx(rms)
    assert heard_band_db(changes) == pytest.approx(4.0 * 9 / 20)
    changes[:, 4] = 0.0
    assert heard_peak_db(changes) == pytest.approx(rms * 8 / 9)
    # A shorter signal is one stretch.
    assert heard_peak_db(changes[:, 11:14]) == pytest.approx(rms * 2 / 3)
    nothing = np.zeros((2, 0))
    assert heard_distance_db(nothing) == heard_peak_db(nothing) == heard_band_db(nothing) == 0.0


@pytest.mark.parametrize("frequency", [200.0, 1000.0, 7000.0])
def test_a_tone_has_its_power_in_its_band(frequency: float) -> None:
    """The bands' powers add up to the tone's mean square, and nearly all of it lies in one or two bands."""
    powers = band_powers(sine(frequency, -20.0), RATE)[:, 8:-8].mean(axis=1)
    assert 10 * np.log10(powers.sum()) == pytest.approx(-20 - 3.01, abs=0.1)
    assert np.sort(powers)[-2:].sum() > 0.95 * powers.sum()


def test_a_gain_is_heard_as_it_is() -> None:
    """Of loud noise with a gain of 1 dB, every measure of what is heard is 1 dB."""
    noise = 0.2 * np.random.default_rng(0).standard_normal(RATE)
    found = compare(noise, noise * 10 ** (1 / 20), RATE)
    assert found.heard_db == pytest.approx(1.0, abs=0.02)
    assert found.heard_peak_db == pytest.approx(1.0, abs=0.02)
    assert found.heard_band_db == pytest.approx(1.0, abs=0.02)


def test_a_lost_band_is_named_in_db() -> None:
    """Speech without 2.6 to 3.4 kHz has lost a band of the ear's width."""
    speech = speech_at(RATE)[:RATE]
    spectrum = np.fft.rfft(speech)
    frequencies = np.fft.rfftfreq(speech.size, 1 / RATE)
    spectrum[(frequencies > 2600) & (frequencies < 3400)] = 0.0
    assert known(compare(speech, np.fft.irfft(spectrum), RATE).band_loss_db) < -15


@pytest.mark.parametrize(("frequency", "level_db"), [(10.0, -60.0), (1000.0, -FULL_SCALE_SPL - 5), (15000.0, -60.0)])
def test_what_is_under_the_threshold_is_not_heard(frequency: float, level_db: float) -> None:
    """Rumble, a faint tone and a high one leave speech as it was heard."""
    speech = speech_at(48000)[:48000]
    found = compare(speech, speech + sine(frequency, level_db, 48000), 48000)
    assert known(found.heard_db) < 0.06


def test_noise_that_follows_speech_is_ordered_as_listeners_order_it() -> None:
    """Less noise is heard less, from 58 to 20 dB."""
    speech = speech_at(RATE)[:RATE]
    heard = [known(compare(speech, noisy(speech, snr), RATE).heard_db) for snr in (58.0, 40.0, 30.0, 20.0)]
    assert heard == sorted(heard)
    assert heard[0] < 0.05
    assert heard[-1] > 2.0


def test_silence_is_not_heard() -> None:
    """Two silences differ by nothing."""
    assert compare(np.zeros(RATE), np.zeros(RATE), RATE).heard_db == 0.0
