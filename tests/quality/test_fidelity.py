"""Known answers: what compare() finds for changes whose size is known, and its errors."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.signal
from numpy.typing import NDArray

import bench
from bench.errors import InputError
from bench.quality import METRICS, Fidelity, compare, compare_items, worst
from tests.quality_signals import known, speech_at


@pytest.fixture(scope="module", params=[24000, 48000])
def rate(request: pytest.FixtureRequest) -> int:
    """Sample rates of v3 and v4."""
    return int(request.param)


@pytest.fixture(scope="module")
def speech(rate: int) -> NDArray[np.float64]:
    """Three seconds of speech with energy up to Nyquist."""
    return speech_at(rate)


@pytest.mark.parametrize("wanted", [20.0, 40.0, 60.0])
def test_noise_has_the_snr_it_was_made_with(speech: NDArray[np.float64], rate: int, wanted: float) -> None:
    """White noise scaled to an SNR is found at that SNR, by every measure of it."""
    noise = np.random.default_rng(0).standard_normal(speech.size)
    noise *= np.linalg.norm(speech) / np.linalg.norm(noise) / 10 ** (wanted / 20)
    found = compare(speech, speech + noise, rate)
    assert found.snr_db == pytest.approx(wanted, abs=1e-9)
    assert found.si_sdr_db == pytest.approx(wanted, abs=0.05)
    assert found.mse == pytest.approx(np.mean(noise**2))
    assert found.mae == pytest.approx(np.mean(np.abs(noise)))
    assert found.similarity == pytest.approx(1 - np.mean(np.abs(noise)))
    assert found.max_abs == pytest.approx(np.max(np.abs(noise)))
    assert found.p999_abs == pytest.approx(np.percentile(np.abs(noise), 99.9))
    # Gaussian noise has its largest of 480 or 960 samples at about three and a half times its RMS.
    assert 3.0 < known(found.error_crest) < 6.0
    assert known(found.worst_segment_snr_db) < wanted
    assert (found.lag_samples, found.polarity_flipped) == (0, False)


def test_error_grows_with_the_noise_in_every_spectral_measure(speech: NDArray[np.float64], rate: int) -> None:
    """LSD in every band, MR-STFT, mel L1 and MCD rank 60, 40 and 20 dB of noise in that order."""
    noise = np.random.default_rng(0).standard_normal(speech.size)
    noise *= np.linalg.norm(speech) / np.linalg.norm(noise)
    results = [compare(speech, speech + noise / 10 ** (snr / 20), rate) for snr in (60, 40, 20)]
    for metric in ("lsd_db", "lsd_0_4_db", "lsd_4_8_db", "lsd_8_16_db", "mr_stft", "mel_l1", "mcd_db"):
        values = [getattr(found, metric) for found in results]
        assert values == sorted(values), metric
        assert values[0] > 0.0


@pytest.mark.parametrize("gain_db", [-6.0, -1.0, 0.5])
def test_gain_is_found_by_every_measure_of_level(speech: NDArray[np.float64], rate: int, gain_db: float) -> None:
    """A gain changes gain, peak, loudness and every band by itself, gives its analytic SNR, and no SI-SDR."""
    gain = 10 ** (gain_db / 20)
    found = compare(speech, gain * speech, rate)
    for metric in ("gain_db", "peak_change_db", "lufs_change_lu", "level_change_0_4_db", "level_change_8_16_db"):
        assert getattr(found, metric) == pytest.approx(gain_db, abs=0.01), metric
    assert found.snr_db == pytest.approx(-20 * np.log10(abs(1 - gain)), abs=1e-6)
    assert found.segment_level_change_db == pytest.approx(min(gain_db, 0.0), abs=1e-6)
    assert found.si_sdr_db == 200.0
    assert known(found.mcd_db) < 0.5


@pytest.mark.parametrize("lag", [-7, -1, 1, 480])
def test_delay_is_found_to_the_sample(speech: NDArray[np.float64], rate: int, lag: int) -> None:
    """A shift is the lag, with its sign; the gain is that of the aligned signals."""
    found = compare(speech, -0.5 * np.roll(speech, lag), rate)
    assert found.lag_samples == lag
    assert found.gain_db == pytest.approx(20 * np.log10(0.5), abs=0.01)
    assert found.polarity_flipped is True


def test_polarity_flip_is_nothing_but_a_flip(speech: NDArray[np.float64], rate: int) -> None:
    """A flipped signal has -6.02 dB SNR, 0 dB gain, no lag and no spectral distance."""
    found = compare(speech, -speech, rate)
    assert found.polarity_flipped is True
    assert found.snr_db == pytest.approx(-20 * np.log10(2))
    assert found.lag_samples == 0
    assert found.gain_db == pytest.approx(0.0, abs=1e-9)
    assert found.lsd_db == found.mr_stft == found.mel_l1 == 0.0


def test_dropout_is_local(speech: NDArray[np.float64], rate: int) -> None:
    """20 ms of silence in the loudest place empties a segment and leaves the spectrum at large alone."""
    middle = int(np.argmax(np.abs(speech)))
    damaged = speech.copy()
    damaged[middle - rate // 100 : middle + rate // 100] = 0.0
    found = compare(speech, damaged, rate)
    lost = np.sum((speech - damaged) ** 2)
    assert found.snr_db == pytest.approx(10 * np.log10(np.sum(speech**2) / lost))
    assert 0.0 <= known(found.worst_segment_snr_db) < 1.5
    assert known(found.segment_level_change_db) < -6.0
    assert known(found.lsd_db) < 0.5


def test_click_is_isolated(speech: NDArray[np.float64], rate: int) -> None:
    """One wrong sample has the crest sqrt(n) of its segment of n samples, and its own size."""
    damaged = speech.copy()
    damaged[rate] += 0.5
    found = compare(speech, damaged, rate)
    assert found.max_abs == pytest.approx(0.5)
    assert found.error_crest == pytest.approx(np.sqrt(0.02 * rate))
    assert found.max_error_ratio == pytest.approx(0.5 / np.max(np.abs(speech)))
    assert found.p999_abs == 0.0


def test_low_pass_empties_the_bands_above_it(speech: NDArray[np.float64], rate: int) -> None:
    """A low-pass at 8 kHz takes the power from 8 kHz on and leaves that under 4 kHz."""
    taps = scipy.signal.firwin(511, 8000, fs=rate)
    found = compare(speech, scipy.signal.fftconvolve(speech, taps, "same"), rate)
    assert known(found.level_change_8_16_db) < -10.0
    assert found.level_change_0_4_db == pytest.approx(0.0, abs=0.01)
    assert known(found.lsd_8_16_db) > 10 * known(found.lsd_0_4_db)
    assert found.lag_samples == 0


def test_bands_above_nyquist_are_not_measured() -> None:
    """At 24 kHz there is no band from 16 to 24 kHz, and the notes say so; at 48 kHz there is."""
    noise = np.random.default_rng(0).standard_normal(48000) * 0.1
    low, high = (compare(noise, 0.9 * noise, rate) for rate in (24000, 48000))
    assert low.lsd_16_24_db is None
    assert low.level_change_16_24_db is None
    assert "Nyquist" in low.notes["lsd_16_24_db"]
    assert high.level_change_16_24_db == pytest.approx(20 * np.log10(0.9))


def test_cast_to_half_precision_costs_what_its_mantissa_does(speech: NDArray[np.float64], rate: int) -> None:
    """Rounding to float16 (10 bits) and bfloat16 (7) gives errors at the analytic SNR, 18 dB apart."""
    torch = pytest.importorskip("torch")
    tensor = torch.tensor(speech)
    found = [compare(speech, tensor.to(kind).double().numpy(), rate) for kind in (torch.float16, torch.bfloat16)]
    # An error uniform over a unit in the last place; the squared mantissa averages 3 / (2 ln 2) over an octave.
    for bits, one in zip((10, 7), found, strict=True):
        assert one.snr_db == pytest.approx(10 * np.log10(12 * 1.5 / np.log(2) * 4**bits), abs=2.0)
    assert known(found[0].snr_db) - known(found[1].snr_db) == pytest.approx(20 * np.log10(2**3), abs=0.5)


def test_identical_signals_have_nothing_but_perfect_values(speech: NDArray[np.float64], rate: int) -> None:
    """A signal against itself has 200 dB of every SNR, and 0 of every distance and change."""
    found = compare(speech, speech, rate)
    for metric in ("snr_db", "si_sdr_db", "worst_segment_snr_db"):
        assert getattr(found, metric) == 200.0
    zero = (
        "mse mae max_abs max_error_ratio p999_abs lag_samples gain_db peak_change_db lufs_change_lu lsd_db lsd_0_4_db "
        "mr_stft mel_l1 mcd_db nan_count inf_count segment_level_change_db"
    )
    for metric in zero.split():
        assert getattr(found, metric) == pytest.approx(0.0, abs=1e-12), metric


def test_non_finite_output_is_counted_and_nothing_else_is_claimed(speech: NDArray[np.float64], rate: int) -> None:
    """NaN and infinity are counted apart; every distance is None with that reason, also in a batch."""
    broken = speech.copy()
    broken[100] = np.nan
    broken[200:202] = [np.inf, -np.inf]
    alone = compare(speech, broken, rate)
    batch = compare(np.stack([speech, speech]), np.stack([speech, broken]), rate)
    for found in (alone, batch):
        assert (found.nan_count, found.inf_count) == (1, 2)
        assert found.snr_db is None
        assert found.mr_stft is None
    assert alone.notes["snr_db"] == "the output is not finite"
    assert batch.notes["snr_db"] == "item 1: the output is not finite"


def test_clipping_is_counted_on_both_sides() -> None:
    """Samples at or beyond full scale are counted, the reference's apart."""
    tone = 0.9 * np.sin(np.arange(24000) / 20)
    found = compare(tone, np.clip(1.5 * tone, -1, 1), 24000)
    assert found.clipped_count == np.count_nonzero(np.abs(1.5 * tone) >= 1)
    assert found.reference_clipped_count == 0


def test_silence_is_not_similar() -> None:
    """Digital silence keeps a high legacy similarity and has 0 dB SNR, a level of -200 dB, and no lag."""
    tone = 0.1 * np.sin(np.arange(24000) / 20)
    found = compare(tone, np.zeros_like(tone), 24000)
    assert known(found.similarity) > 0.93
    assert (found.snr_db, found.level_db, found.lag_samples, found.si_sdr_db) == (0.0, -200.0, None, None)
    assert "unlike" in found.notes["lag_samples"]
    quiet = compare(np.zeros(24000), np.zeros(24000), 24000)
    assert (quiet.snr_db, quiet.lsd_db, quiet.max_error_ratio) == (200.0, 0.0, None)


@pytest.mark.parametrize("samples", [1, 100, 2304])
def test_short_signals_are_measured_as_far_as_they_go(samples: int) -> None:
    """A chunk of a few milliseconds has its waveform measures, and reasons in place of the others."""
    noise = np.random.default_rng(0).standard_normal(samples)
    found = compare(noise, 1.1 * noise, 24000)
    assert found.snr_db == pytest.approx(20.0)
    assert found.gain_db == pytest.approx(20 * np.log10(1.1))
    assert found.lufs_change_lu is None
    assert "0.4 s" in found.notes["lufs_change_lu"]


def test_a_batch_has_the_worst_of_every_metric_and_each_item(speech: NDArray[np.float64], rate: int) -> None:
    """compare() of a batch takes each metric from its worst item; compare_items() keeps them apart."""
    noise = np.random.default_rng(0).standard_normal(speech.size) * 1e-3
    test = np.stack([0.5 * speech, speech + noise, speech])
    items = compare_items(np.stack([speech] * 3), test, rate)
    assert items == tuple(compare(speech, one, rate) for one in test)
    found = compare(np.stack([speech] * 3), test, rate)
    assert found.snr_db == items[0].snr_db == min(known(item.snr_db) for item in items)
    assert found.gain_db == items[0].gain_db
    assert found.mel_l1 == max(known(item.mel_l1) for item in items)
    assert found.lag_samples == 0


def test_worst_of_changes_is_the_one_farthest_from_none() -> None:
    """Of +1 and -3 dB the worse is -3, of -1 and +3 it is +3."""
    pairs = [(1.0, -3.0, -3.0), (-1.0, 3.0, 3.0)]
    for first, second, expected in pairs:
        assert worst((Fidelity(gain_db=first), Fidelity(gain_db=second))).gain_db == expected


def test_a_fidelity_is_json(speech: NDArray[np.float64], rate: int) -> None:
    """Fields go through JSON without NaN or infinity and come back equal, for perfect, silent and broken outputs."""
    for test in (speech, 0 * speech, speech * np.nan, speech + 1e30):
        found = compare(speech, test, rate)
        text = json.dumps(dataclasses.asdict(found), allow_nan=False)
        assert Fidelity(**json.loads(text)) == found


def test_a_missing_value_has_its_reason(speech: NDArray[np.float64], rate: int) -> None:
    """Every metric is either measured or explained in notes, and never both."""
    for test in (speech, 0 * speech, speech * np.nan):
        found = compare(speech, test, rate)
        for metric in METRICS:
            assert (getattr(found, metric) is None) == (metric in found.notes), metric
            assert found.notes.get(metric, "some") != ""


GOOD = np.zeros(100) + 0.1


@pytest.mark.parametrize(
    ("reference", "test", "rate", "message"),
    [
        (GOOD, GOOD[:99], 24000, r"reference has shape \(100,\) and the test \(99,\)"),
        (GOOD, GOOD[None], 24000, "give equal shapes"),
        (GOOD, GOOD, 0, "sample rate 0 is not"),
        (GOOD, GOOD, 24, "sample rate 24 is not"),
        (GOOD, GOOD, 24000.5, "whole number of Hz"),
        (GOOD, GOOD, True, "whole number of Hz"),
        (GOOD[:0], GOOD[:0], 24000, "the reference signal is empty"),
        (GOOD.astype(np.int16), GOOD, 24000, "the reference signal is of int16; give floats"),
        (GOOD, GOOD.astype(complex), 24000, "the test signal is of complex128; give floats"),
        (GOOD * np.nan, GOOD, 24000, "the reference signal has 100 samples that are NaN or infinite"),
        (GOOD[None, None], GOOD[None, None], 24000, r"give \(samples,\) or \(batch, samples\)"),
    ],
)
def test_unusable_input_is_one_sentence(reference: NDArray[Any], test: NDArray[Any], rate: int, message: str) -> None:
    """Shapes, rates, types and a reference that cannot be compared raise InputError with one line."""
    with pytest.raises(InputError, match=message) as caught:
        compare(reference, test, rate)
    assert "\n" not in str(caught.value)


def test_verdicts_need_no_torch() -> None:
    """Importing the package and reading tiers brings no torch, so that reports can."""
    code = "import sys, bench.quality as q; q.load_tiers(); sys.exit('torch' in sys.modules)"
    root = Path(bench.__file__).parents[1]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
