"""Limits of the verdict by figures alone: at each, and just beyond it."""

import pytest

from bench.quality import Fidelity, error_multiple, judge, load_tiers
from bench.quality.fidelity import BatchFidelity
from bench.quality.verdict import HIGHER_IS_BETTER

PRECISIONS = ("fp32", "tf32", "fp16", "bf16", "autocast", "int8", "fp8")


@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_limit_holds_from_just_beyond_it(precision: str) -> None:
    """At a limit the better verdict; a thousandth beyond, the worse one, decided by that figure."""
    for metric, limit in load_tiers()["precision"][precision].items():
        if metric == "error_multiple":
            continue
        side = -1 if metric in HIGHER_IS_BETTER else 1
        for value, tier in (
            (limit["warn"], "pass"),
            (limit["warn"] + side * 1e-3, "warn"),
            (limit["fail"], "warn"),
            (limit["fail"] + side * 1e-3, "fail"),
        ):
            found = judge(Fidelity(**{metric: value}), precision)
            assert (found.tier, found.decided_by) == (tier, metric if tier != "pass" else ""), (metric, value)


def test_a_failure_decides_before_an_earlier_warning() -> None:
    """The first figure that fails is named, whatever warned before it."""
    found = judge(Fidelity(heard_db=0.1, mr_stft=2.0, segment_snr_median_db=5.0), "fp16")
    assert (found.tier, found.decided_by) == ("fail", "mr_stft")
    assert found.reason == "mr_stft is 2, over the 1.5 that fp16 allows"
    assert judge(Fidelity(snr_db=80.04), "fp32").reason == "snr_db is 80.04 dB, under the 86 dB that fp32 allows"


@pytest.mark.parametrize(
    ("level", "error", "tier", "decided_by"),
    [
        (-60.0, 2.0**-11, "pass", ""),
        (-60.0, 2.0**-11 * 1.01, "fail", "max_abs"),
        # A reference just over silence is judged as a sound.
        (-59.9, 2.0**-11 * 1.01, "fail", "snr_db"),
        (None, 0.5, "fail", "snr_db"),
        (-90.0, None, "fail", "snr_db"),
    ],
)
def test_beside_silence_the_error_itself_decides(
    level: float | None, error: float | None, tier: str, decided_by: str
) -> None:
    """From -60 dB down: half a step of 11 bits is inaudible, more is a fault."""
    found = judge(Fidelity(reference_level_db=level, max_abs=error, snr_db=0.0), "fp32")
    assert (found.tier, found.decided_by) == (tier, decided_by)


def test_half_a_second_is_long_enough() -> None:
    """From there on figures over segments decide; a length that is not known does not excuse them."""
    for samples, tier in ((11_999, "pass"), (12_000, "fail"), (0, "fail")):
        found = judge(Fidelity(samples=samples, sample_rate=24_000, segment_snr_median_db=5.0), "fp16")
        assert found.tier == tier


@pytest.mark.parametrize(
    ("snr", "multiple", "tier"), [(80.0, 1.0, "pass"), (60.0, 10.0, "warn"), (56.9, 14.29, "fail")]
)
def test_an_error_is_a_multiple_of_eagers(snr: float, multiple: float, tier: str) -> None:
    """20 dB are a factor of ten; the SNR's own limit then says nothing."""
    eager = Fidelity(snr_db=80.0)
    assert error_multiple(Fidelity(snr_db=snr), eager) == pytest.approx(multiple, rel=1e-3)
    assert judge(Fidelity(snr_db=snr), "fp32", eager=eager).tier == tier
    assert error_multiple(Fidelity(), eager) is error_multiple(eager, Fidelity()) is None


def test_what_is_heard_is_said_by_the_limits_of_hearing() -> None:
    """At each limit the milder sentence; of the worst tenth of a second where that decided."""
    for value, words in ((0.077, "no audible"), (0.078, "a slight"), (1.67, "a slight"), (1.68, "an audible")):
        assert judge(Fidelity(heard_db=value), "fp16").heard.startswith(words)
    found = judge(Fidelity(heard_db=0.01, heard_peak_db=9.0), "fp16")
    assert found.heard == "an audible change in the worst tenth of a second: 9.00 dB"
    assert judge(Fidelity(), "fp16").heard == judge(Fidelity(heard_db=float("nan")), "fp16").heard == ""


def test_the_first_of_equally_bad_items_is_named() -> None:
    """Of a batch, by its number from 0."""
    items = (Fidelity(heard_db=0.0), Fidelity(heard_db=0.5), Fidelity(heard_db=1.0))
    found = judge(BatchFidelity(items=items), "fp16")
    assert found.tier == "warn"
    assert found.reason == "item 1: heard_db is 0.5 dB, over the 0.077 dB that fp16 allows"
