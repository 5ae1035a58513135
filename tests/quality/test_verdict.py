"""Verdicts: every planted fault is caught by its name, and what is right passes with nothing to say."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import torch
from numpy.typing import NDArray

from bench.errors import InputError
from bench.quality import Fidelity, Verdict, compare, error_multiple, judge, load_tiers, worst
from bench.quality.verdict import HIGHER_IS_BETTER, TIERS_FILE
from tests.quality_signals import noisy, speech_at

PRECISIONS = ("fp32", "tf32", "fp16", "bf16", "autocast", "int8", "fp8")


SPEECHES = {rate: speech_at(rate) for rate in (24000, 48000)}


def silence(speech: NDArray[np.float64], _: int) -> NDArray[np.float64]:
    return np.zeros_like(speech)


def one_nan(speech: NDArray[np.float64], _: int) -> NDArray[np.float64]:
    test = speech.copy()
    test[1234] = np.nan
    return test


def one_infinity(speech: NDArray[np.float64], _: int) -> NDArray[np.float64]:
    test = speech.copy()
    test[1234] = -np.inf
    return test


def dropout(speech: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    middle = int(np.argmax(scipy.signal.lfilter([0.01], [1, -0.99], np.abs(speech))))
    test = speech.copy()
    test[middle - rate // 50 : middle] = 0.0
    return test


def click(speech: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    test = speech.copy()
    test[rate] = min(test[rate] + 0.5, 1.0)
    return test


def late(speech: NDArray[np.float64], _: int) -> NDArray[np.float64]:
    return np.concatenate([[0.0], speech[:-1]])


def flipped(speech: NDArray[np.float64], _: int) -> NDArray[np.float64]:
    return -speech


def quieter(speech: NDArray[np.float64], _: int) -> NDArray[np.float64]:
    return speech * 10 ** (-1 / 20)


def low_pass(speech: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    test: NDArray[np.float64] = scipy.signal.fftconvolve(speech, scipy.signal.firwin(511, 8000, fs=rate), "same")
    return test


FAULTS: dict[Callable[[NDArray[np.float64], int], NDArray[np.float64]], str] = {
    silence: "silence",
    one_nan: "nan_count",
    one_infinity: "inf_count",
    dropout: "hole_db",
    click: "click_crest",
    late: "lag_samples",
    flipped: "polarity_flipped",
    quieter: "gain_db",
    low_pass: "level_change_8_16_db",
}


@pytest.mark.parametrize("rate", SPEECHES)
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_planted_fault_is_caught_by_name(
    fault: Callable[[NDArray[np.float64], int], NDArray[np.float64]], precision: str, rate: int
) -> None:
    """On top of the error that its precision has anyway, a fault fails and the verdict names its metric."""
    own = {"fp32": 110.0, "fp16": 58.0, "bf16": 40.0}[precision]
    test = fault(noisy(SPEECHES[rate], own), rate)
    verdict = judge(compare(SPEECHES[rate], test, rate), precision)
    assert (verdict.tier, verdict.decided_by) == ("fail", FAULTS[fault])
    assert verdict.reason
    assert "\n" not in verdict.reason


@pytest.mark.parametrize("rate", SPEECHES)
@pytest.mark.parametrize("snr", [58.0, 75.0])
def test_another_precisions_error_is_not_fp32(snr: float, rate: int) -> None:
    """Errors of the size of TF32 or of a float16 waveform fail under the label fp32, though nobody hears them."""
    verdict = judge(compare(SPEECHES[rate], noisy(SPEECHES[rate], snr), rate), "fp32")
    assert (verdict.tier, verdict.decided_by) == ("fail", "snr_db")
    assert "fp32" in verdict.reason
    assert verdict.heard.startswith("no audible change expected: 0.0")


@pytest.mark.parametrize("label", ["tf32", "fp16", "bf16"])
def test_the_error_of_bf16_warns_under_any_label(label: str) -> None:
    """What bfloat16 does to speech is slight, more than 10 bits do, and no failure."""
    verdict = judge(compare(SPEECHES[24000], noisy(SPEECHES[24000], 40.0), 24000), label)
    assert (verdict.tier, verdict.decided_by) == ("warn", "heard_db")
    assert verdict.heard.startswith("a slight change, heard side by side if at all: 0.2")


def test_a_real_cast_to_half_is_not_fp32() -> None:
    """A waveform that was float16 on its way cannot be called fp32; called fp16 it passes."""
    speech = SPEECHES[24000]
    found = compare(speech, torch.tensor(speech).half().double().numpy(), 24000)
    assert judge(found, "fp32").decided_by == "snr_db"
    assert judge(found, "fp32").tier == "fail"
    assert judge(found, "fp16") == Verdict("pass")


@pytest.mark.parametrize("precision", PRECISIONS)
def test_identical_signals_pass_with_nothing_to_say(precision: str) -> None:
    """Eager against itself passes in every precision, with no metric and no reason; so does silence against silence."""
    for reference in (SPEECHES[24000], np.zeros(24000)):
        assert judge(compare(reference, reference, 24000), precision) == Verdict("pass", "", "")


@pytest.mark.parametrize(("precision", "snr"), [("fp32", 112.0), ("tf32", 60.0), ("fp16", 57.0), ("bf16", 57.0)])
def test_the_error_that_a_precision_has_passes(precision: str, snr: float) -> None:
    """Noise of the size that calibration measured passes."""
    speech = SPEECHES[48000]
    assert judge(compare(speech, noisy(speech, snr), 48000), precision).tier == "pass"


def test_between_the_limits_is_a_warning() -> None:
    """An error past the first limit and short of the second warns, and names both sides."""
    limit = load_tiers()["precision"]["fp16"]["heard_db"]
    between = (limit["warn"] + limit["fail"]) / 2
    verdict = judge(Fidelity(heard_db=between), "fp16")
    assert (verdict.tier, verdict.decided_by) == ("warn", "heard_db")
    assert verdict.reason == f"heard_db is {between:.4g} dB, over the {limit['warn']:g} dB that fp16 allows"


def test_one_bad_item_fails_its_batch() -> None:
    """A batch is judged by its worst item."""
    speech = SPEECHES[24000]
    batch = np.stack([speech, late(speech, 24000), speech])
    assert judge(compare(np.stack([speech] * 3), batch, 24000), "fp16").decided_by == "lag_samples"


def test_every_precision_but_fp32_is_judged_by_what_is_heard() -> None:
    """One ear listens to all precisions; fp32 alone is held to the size of its error. Each warns before it fails."""
    tiers = load_tiers()["precision"]
    assert tuple(tiers) == PRECISIONS
    assert all(limits == tiers["fp16"] for name, limits in tiers.items() if name != "fp32")
    for limits in tiers.values():
        for metric, limit in limits.items():
            assert (limit["warn"] > limit["fail"]) == (metric in HIGHER_IS_BETTER), metric


def test_a_batch_is_judged_item_by_item() -> None:
    """Figures that are bad in different items do not add up to a fault that no item has."""
    one, two = Fidelity(click_crest=13.0, heard_db=0.01), Fidelity(click_crest=1.0, heard_db=0.05)
    assert judge(worst((one, two)), "int8").tier == "pass"
    assert worst((one, two)).click_crest == 13.0
    silent = Fidelity(reference_level_db=-90.0, max_abs=1e-6, snr_db=-3.0, heard_db=9.0)
    assert judge(worst((one, silent, two)), "fp16").tier == "pass"
    failing = Fidelity(heard_db=2.5)
    verdict = judge(worst((one, failing, failing)), "fp16")
    assert (verdict.tier, verdict.decided_by) == ("fail", "heard_db")
    assert verdict.reason.startswith("item 1: ")


def test_no_limit_rests_on_an_optional_metric(tmp_path: Path) -> None:
    """A verdict is the same with and without PESQ, ViSQOL and the others, and tiers cannot name them."""
    fine = Fidelity(heard_db=0.01)
    for poor in (
        replace(fine, pesq_wb=1.1),
        replace(fine, stoi=0.2),
        replace(fine, visqol=1.0),
        replace(fine, distillmos_change=-2.0),
    ):
        assert judge(poor, "fp16") == judge(fine, "fp16") == Verdict("pass")
    path = tmp_path / "tiers.toml"
    path.write_text("[precision.fp16]\npesq_wb = { warn = 4, fail = 3 }")
    with pytest.raises(InputError, match=r"precision\.fp16\.pesq_wb is not a metric"):
        load_tiers(path)


@pytest.mark.parametrize(
    ("fidelity", "sentence"),
    [
        (Fidelity(heard_db=0.02), "no audible change expected: 0.02 dB"),
        (Fidelity(heard_db=0.4), "a slight change, heard side by side if at all: 0.40 dB"),
        (Fidelity(heard_db=2.5), "an audible change: 2.50 dB"),
        (
            Fidelity(heard_db=0.05, heard_peak_db=1.2),
            "a slight change in the worst tenth of a second, heard side by side if at all: 1.20 dB",
        ),
        (Fidelity(heard_db=0.02, hole_db=-40.0), "a fault: 5 ms lost 40 dB: a hole"),
    ],
)
def test_the_sentence_names_the_figure_that_decided(fidelity: Fidelity, sentence: str) -> None:
    """What a listener can expect is said with the number behind it."""
    assert judge(fidelity, "fp16").heard == sentence


def test_short_signals_are_not_judged_by_percentiles() -> None:
    """Under half a second a median over segments is one syllable, and does not warn; the worst tenth still does."""
    poor = Fidelity(samples=2400, sample_rate=24000, segment_snr_median_db=20.0, heard_db=0.3, heard_peak_db=0.3)
    assert judge(poor, "fp16").tier == "pass"
    assert judge(replace(poor, samples=24000), "fp16").tier == "warn"
    assert judge(replace(poor, heard_peak_db=9.0), "fp16").tier == "fail"


def test_eagers_own_error_replaces_the_snr_limit() -> None:
    """Given eager's error against float64, an output is judged by its multiple and no longer by its SNR."""
    eager = Fidelity(snr_db=80.0)
    assert judge(Fidelity(snr_db=78.0), "fp32").decided_by == "snr_db"
    assert judge(Fidelity(snr_db=78.0), "fp32", eager=eager) == Verdict("pass")
    verdict = judge(Fidelity(snr_db=20.0), "fp32", eager=eager)
    assert (verdict.tier, verdict.decided_by) == ("fail", "error_multiple")
    assert error_multiple(Fidelity(snr_db=60.0), eager) == pytest.approx(10.0)
    assert error_multiple(Fidelity(), eager) is None


def test_an_unknown_precision_is_an_error() -> None:
    """A precision without a tier raises one sentence that lists those with one."""
    with pytest.raises(InputError, match="precision 'fp12'; choose from fp32, tf32"):
        judge(Fidelity(), "fp12")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[faults]\nsilence_db = 60", r"\[faults\] needs exactly silence_db, unlike_snr_db"),
        ("[precision.fp16]\nloudness = { warn = 1, fail = 2 }", "precision.fp16.loudness is not a metric"),
        ("[precision.fp16]\nsnr_db = { warn = 1 }", "precision.fp16.snr_db is not a metric with a warn and a fail"),
        ("[[", "cannot read fidelity tiers from"),
    ],
)
def test_a_bad_tiers_file_is_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    """A file of tiers that cannot be used says which entry is wrong."""
    path = tmp_path / "tiers.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_tiers(path)


def test_other_tiers_can_be_given(tmp_path: Path) -> None:
    """judge() takes tiers from another file."""
    path = tmp_path / "tiers.toml"
    path.write_text(
        TIERS_FILE.read_text().replace("[precision.fp16]", "[precision.fp16]\nmse = { warn = 0, fail = 1 }")
    )
    verdict = judge(Fidelity(mse=0.5), "fp16", tiers=load_tiers(path))
    assert (verdict.tier, verdict.decided_by) == ("warn", "mse")


@pytest.mark.parametrize("change", [3.0, -3.0])
def test_a_limit_of_a_change_holds_on_both_sides(change: float) -> None:
    """A signal that became quieter is as far off as one that became louder."""
    tiers = load_tiers()
    limits = {"lufs_change_lu": {"warn": 1.0, "fail": 2.0}}
    tiers = {**tiers, "precision": {**tiers["precision"], "fp16": {**tiers["precision"]["fp16"], **limits}}}
    verdict = judge(Fidelity(lufs_change_lu=change), "fp16", tiers=tiers)
    assert (verdict.tier, verdict.decided_by) == ("fail", "lufs_change_lu")


@pytest.mark.parametrize("metric", ["band_loss_db", "level_change_4_8_db", "hole_db"])
@pytest.mark.parametrize(("beyond", "gain", "found"), [(-1.0, 0.0, True), (1.0, 0.0, False), (1.0, -2.0, False)])
def test_a_loss_is_what_the_gain_does_not_explain(metric: str, beyond: float, gain: float, found: bool) -> None:
    """A part that lost no more than the limit and the gain together is not missing; a decibel more, and it is."""
    limits = load_tiers()["faults"]
    limit = limits["hole_db" if metric == "hole_db" else "band_loss_db"]
    fidelity = replace(Fidelity(gain_db=gain), **{metric: -limit + beyond + gain})
    assert (judge(fidelity, "fp16").decided_by == metric) is found
