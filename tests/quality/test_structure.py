"""Detectors of faults: what they find has the size that was planted, and noise of any level has none of it."""

import numpy as np
import pytest

from bench.quality import continuity, structure
from tests.quality_signals import known, noisy, speech_at

RATE = 24000
SPEECH = speech_at(RATE)
NOISE = 1e-2 * np.random.default_rng(0).standard_normal(2 * RATE)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("snr_db", [58.0, 27.0, 10.0])
def test_noise_that_follows_speech_has_no_order(snr_db: float, seed: int) -> None:
    """Nothing stands out of noise, however strong."""
    test = noisy(SPEECH, snr_db, seed)
    error = structure.residual(SPEECH, test)
    assert structure.click_crest(SPEECH, error, RATE) < 9
    assert structure.click_train(error, RATE) == 0
    assert known(structure.tone_db(SPEECH, error, RATE)) < 7
    assert structure.image_db(SPEECH, error, RATE) == -200
    assert continuity.gain_swing_db(SPEECH, test, RATE) == 0
    assert continuity.slip_samples(SPEECH, test, RATE) == 0
    assert continuity.still_s(SPEECH, test, RATE) < 0.001
    assert continuity.hole_db(SPEECH, test, RATE) > -12


def test_a_residual_has_no_gain_and_no_mean() -> None:
    """Gain and offset leave nothing of an error."""
    assert np.abs(structure.residual(SPEECH, 0.9 * SPEECH + 0.01)).max() < 1e-3


def test_a_click_is_its_height_over_its_surroundings() -> None:
    """One sample of 100 times the noise's roughness has a crest of about 100."""
    error = NOISE.copy()
    rough = np.sqrt(np.mean(structure.roughness(NOISE) ** 2))
    error[RATE] += 100 * rough
    assert structure.click_crest(np.ones_like(error), error, RATE) == pytest.approx(100, rel=0.15)


@pytest.mark.parametrize("period", [120, 240, 256, 320, 512])
def test_a_train_has_its_amplitude_at_any_period(period: int) -> None:
    """Clicks of 2e-2 in noise of 1e-2 are found with their height."""
    error = NOISE.copy()
    error[37::period] += 2e-2
    # Roughness of the noise is 1.22e-2 and scatters by 1.3e-3 in a mean over 94 periods or more.
    assert structure.click_train(error, RATE) == pytest.approx(2e-2, rel=0.2)


@pytest.mark.parametrize("frequency", [100.0, 1234.5, 6000.0, 11000.0])
def test_a_tone_stands_out_as_far_as_it_is_loud(frequency: float) -> None:
    """A tone 20 dB over the noise of its bin stands out by that, more or less the window's leak."""
    level = 1e-2 * np.sqrt(1.5 / 2048) * 10 ** (20 / 20) * np.sqrt(2)
    error = NOISE + level * np.sin(2 * np.pi * frequency * np.arange(NOISE.size) / RATE)
    assert structure.tone_db(np.zeros_like(error), error, RATE) == pytest.approx(25, abs=5)


def test_a_tone_that_the_reference_has_is_not_the_errors() -> None:
    """Mains hum in a recording comes back in its error and is no fault."""
    hum = 0.05 * np.sin(2 * np.pi * 100 * np.arange(NOISE.size) / RATE)
    assert structure.tone_db(hum + NOISE, 0.1 * hum + 0.01 * NOISE, RATE) == 0


@pytest.mark.parametrize(("k", "m"), structure.IMAGES)
def test_an_image_has_its_level(k: int, m: int) -> None:
    """A copy moved by k/m of the rate is found at its level, under noise 20 dB louder."""
    speech = SPEECH[: 2 * RATE]
    share = 1 if m == 2 else 2
    image = share * 10 ** (-50 / 20) * speech * np.cos(2 * np.pi * k / m * np.arange(speech.size))
    error = image + noisy(speech, 40.0) - speech
    assert structure.image_db(speech, error, RATE) == pytest.approx(-50, abs=1.5)


def test_holes_stills_and_slips_have_their_size() -> None:
    """4 ms at a tenth of the level have lost 20 dB at most; a held sample lasts as long as it is held."""
    test = SPEECH.copy()
    at = int(np.argmax(np.abs(SPEECH)))
    test[at : at + RATE // 200] *= 0.1
    assert continuity.hole_db(SPEECH, test, RATE) == pytest.approx(-20, abs=1)
    test[at : at + 144] = test[at]
    assert continuity.still_s(SPEECH, test, RATE) == pytest.approx(143 / RATE)
    late = np.concatenate([SPEECH[:RATE], np.zeros(7), SPEECH[RATE:-7]])
    assert continuity.slip_samples(SPEECH, late, RATE) == 7


@pytest.mark.parametrize("frequency", [1.0, 4.0, 9.0])
def test_a_swing_has_its_amplitude(frequency: float) -> None:
    """A gain of 0.3 dB either way is 0.3 dB."""
    gain = 0.3 * np.sin(2 * np.pi * frequency * np.arange(SPEECH.size) / RATE)
    assert continuity.gain_swing_db(SPEECH, SPEECH * 10 ** (gain / 20), RATE) == pytest.approx(0.3, abs=0.04)


def test_short_signals_say_so() -> None:
    """A tenth of a second shows no train, no image and no swing, and says that by None."""
    part = SPEECH[RATE : RATE + 1200]
    error = structure.residual(part, noisy(part, 40.0))
    assert structure.click_train(error, RATE) is None
    assert structure.image_db(part, error, RATE) is None
    assert structure.tone_db(part, error, RATE) is None
    assert continuity.gain_swing_db(part, part, RATE) is None
    assert continuity.slip_samples(part, part, RATE) is None
