"""Verdicts: every planted fault is caught by its name, and what is right passes with nothing to say."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import torch

from bench.errors import InputError
from bench.quality import Fidelity, Verdict, compare, error_multiple, judge, load_tiers
from bench.quality.verdict import TIERS_FILE
from tests.quality_signals import noisy, speech_at

PRECISIONS = ("fp32", "tf32", "fp16", "bf16", "autocast", "int8", "fp8")


SPEECHES = {rate: speech_at(rate) for rate in (24000, 48000)}


def silence(speech: np.ndarray, _: int):
    return np.zeros_like(speech)


def one_nan(speech: np.ndarray, _: int):
    test = speech.copy()
    test[1234] = np.nan
    return test


def one_infinity(speech: np.ndarray, _: int):
    test = speech.copy()
    test[1234] = -np.inf
    return test


def dropout(speech: np.ndarray, rate: int):
    middle = int(np.argmax(scipy.signal.lfilter([0.01], [1, -0.99], np.abs(speech))))
    test = speech.copy()
    test[middle - rate // 50 : middle] = 0.0
    return test


def click(speech: np.ndarray, rate: int):
    test = speech.copy()
    test[rate] = min(test[rate] + 0.5, 1.0)
    return test


def late(speech: np.ndarray, _: int):
    return np.concatenate([[0.0], speech[:-1]])


def flipped(speech: np.ndarray, _: int):
    return -speech


def quieter(speech: np.ndarray, _: int):
    return speech * 10 ** (-1 / 20)


def low_pass(speech: np.ndarray, rate: int):
    return scipy.signal.fftconvolve(speech, scipy.signal.firwin(511, 8000, fs=rate), "same")


FAULTS = {
    silence: "silence",
    one_nan: "nan_count",
    one_infinity: "inf_count",
    dropout: "segment_level_change_db",
    click: "max_error_ratio",
    late: "lag_samples",
    flipped: "polarity_flipped",
    quieter: "gain_db",
    low_pass: "level_change_8_16_db",
}


@pytest.mark.parametrize("rate", SPEECHES)
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_planted_fault_is_caught_by_name(fault: Callable[[np.ndarray, int], np.ndarray], precision: str, rate: int):
    """On top of the error that its precision has anyway, a fault fails and the verdict names its metric."""
    own = {"fp32": 110.0, "fp16": 58.0, "bf16": 40.0}[precision]
    test = fault(noisy(SPEECHES[rate], own), rate)
    verdict = judge(compare(SPEECHES[rate], test, rate), precision)
    assert (verdict.tier, verdict.decided_by) == ("fail", FAULTS[fault])
    assert verdict.reason
    assert "\n" not in verdict.reason


@pytest.mark.parametrize("rate", SPEECHES)
@pytest.mark.parametrize(("label", "snr"), [("fp32", 58.0), ("fp32", 75.0), ("tf32", 40.0), ("fp16", 40.0)])
def test_another_precisions_error_fails(label: str, snr: float, rate: int):
    """Errors of the size of fp16 under the label fp32, and of bf16 under fp16, fail by their SNR."""
    verdict = judge(compare(SPEECHES[rate], noisy(SPEECHES[rate], snr), rate), label)
    assert (verdict.tier, verdict.decided_by) == ("fail", "snr_db")
    assert label in verdict.reason


def test_a_real_cast_to_half_is_not_fp32():
    """A waveform that was float16 on its way cannot be called fp32; called fp16 it passes."""
    speech = SPEECHES[24000]
    found = compare(speech, torch.tensor(speech).half().double().numpy(), 24000)
    assert judge(found, "fp32").decided_by == "snr_db"
    assert judge(found, "fp32").tier == "fail"
    assert judge(found, "fp16") == Verdict("pass")


@pytest.mark.parametrize("precision", PRECISIONS)
def test_identical_signals_pass_with_nothing_to_say(precision: str):
    """Eager against itself passes in every precision, with no metric and no reason; so does silence against silence."""
    for reference in (SPEECHES[24000], np.zeros(24000)):
        assert judge(compare(reference, reference, 24000), precision) == Verdict("pass", "", "")


@pytest.mark.parametrize(("precision", "snr"), [("fp32", 112.0), ("tf32", 60.0), ("fp16", 57.0), ("bf16", 39.0)])
def test_the_error_that_a_precision_has_passes(precision: str, snr: float):
    """Noise of the size that calibration measured passes."""
    speech = SPEECHES[48000]
    assert judge(compare(speech, noisy(speech, snr), 48000), precision).tier == "pass"


def test_between_the_limits_is_a_warning():
    """An error past the first limit and short of the second warns, and names both sides."""
    limit = load_tiers()["precision"]["fp16"]["snr_db"]
    between = (limit["warn"] + limit["fail"]) / 2
    verdict = judge(Fidelity(snr_db=between), "fp16")
    assert (verdict.tier, verdict.decided_by) == ("warn", "snr_db")
    assert verdict.reason == f"snr_db is {between:.4g} dB, under the {limit['warn']:g} dB that fp16 allows"


def test_one_bad_item_fails_its_batch():
    """A batch is judged by its worst item."""
    speech = SPEECHES[24000]
    batch = np.stack([speech, late(speech, 24000), speech])
    assert judge(compare(np.stack([speech] * 3), batch, 24000), "fp16").decided_by == "lag_samples"


def test_tiers_are_strictest_for_the_most_exact():
    """Every precision warns before it fails, and fp32, fp16 and bf16 stand in that order with their errors apart."""
    tiers = load_tiers()["precision"]
    assert tuple(tiers) == PRECISIONS
    for limits in tiers.values():
        for metric in ("snr_db", "worst_segment_snr_db", "pesq_wb"):
            assert limits[metric]["warn"] > limits[metric]["fail"]
        for metric in ("max_error_ratio", "lsd_db", "error_multiple", "lufs_change_lu"):
            assert limits[metric]["warn"] < limits[metric]["fail"]
    assert tiers["fp32"]["snr_db"]["fail"] > tiers["fp16"]["snr_db"]["warn"] > tiers["bf16"]["snr_db"]["warn"]


def test_eagers_own_error_replaces_the_snr_limit():
    """Given eager's error against float64, an output is judged by its multiple and no longer by its SNR."""
    eager = Fidelity(snr_db=80.0)
    assert judge(Fidelity(snr_db=78.0), "fp32").decided_by == "snr_db"
    assert judge(Fidelity(snr_db=78.0), "fp32", eager=eager) == Verdict("pass")
    verdict = judge(Fidelity(snr_db=20.0), "fp32", eager=eager)
    assert (verdict.tier, verdict.decided_by) == ("fail", "error_multiple")
    assert error_multiple(Fidelity(snr_db=60.0), eager) == pytest.approx(10.0)
    assert error_multiple(Fidelity(), eager) is None


def test_pesq_decides_only_where_it_was_measured():
    """A low PESQ fails; none is no reason."""
    fine = Fidelity(snr_db=60.0)
    assert judge(fine, "fp16").tier == "pass"
    verdict = judge(Fidelity(snr_db=60.0, pesq_wb=4.0), "fp16")
    assert (verdict.tier, verdict.decided_by) == ("fail", "pesq_wb")


def test_an_unknown_precision_is_an_error():
    """A precision without a tier raises one sentence that lists those with one."""
    with pytest.raises(InputError, match="precision 'fp12'; choose from fp32, tf32"):
        judge(Fidelity(), "fp12")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[faults]\nsilence_db = 60", r"\[faults\] needs exactly silence_db, gain_db"),
        ("[precision.fp16]\nloudness = { warn = 1, fail = 2 }", "precision.fp16.loudness is not a metric"),
        ("[precision.fp16]\nsnr_db = { warn = 1 }", "precision.fp16.snr_db is not a metric with a warn and a fail"),
        ("[[", "cannot read fidelity tiers from"),
    ],
)
def test_a_bad_tiers_file_is_one_sentence(tmp_path: Path, text: str, message: str):
    """A file of tiers that cannot be used says which entry is wrong."""
    path = tmp_path / "tiers.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_tiers(path)


def test_other_tiers_can_be_given(tmp_path: Path):
    """judge() takes tiers from another file."""
    path = tmp_path / "tiers.toml"
    path.write_text(
        TIERS_FILE.read_text().replace("[precision.fp16]", "[precision.fp16]\nmse = { warn = 0, fail = 1 }")
    )
    verdict = judge(Fidelity(mse=0.5), "fp16", tiers=load_tiers(path))
    assert (verdict.tier, verdict.decided_by) == ("warn", "mse")
