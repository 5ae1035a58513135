"""Levels in the ear's bands: known signals give known levels and known changes."""

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.quality import compare
from bench.quality.hearing import FULL_SCALE_SPL, band_powers, erb_number, threshold_in_quiet_spl
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
