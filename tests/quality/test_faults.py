"""Faults by their figures: none at a limit, one just beyond it, and a sentence with the right number."""

import pytest

from bench.quality.faults import Faults, faults
from bench.records.fidelity import Fidelity

LIMITS = Faults(
    silence_db=60.0,
    unlike_snr_db=2.0,
    gain_db=0.5,
    gain_swing_db=0.2,
    band_loss_db=3.0,
    click_crest=14.0,
    tone_db=9.0,
    image_db=-60.0,
    hole_db=14.0,
    still_s=0.004,
    dc_db=-34.0,
)


# Where a figure is best; 0 for the others.
BEST = {"image_db": -200.0, "dc_db": -200.0, "snr_db": 200.0}


def found(**figures: object) -> list[tuple[str, str]]:
    return list(faults(Fidelity(**figures), LIMITS))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("figure", "within", "beyond", "reason"),
    [
        ("gain_db", 0.5, 0.51, "the level changed by +0.51 dB"),
        ("gain_db", -0.5, -0.51, "the level changed by -0.51 dB"),
        ("gain_swing_db", 0.2, 0.21, "the gain swings by 0.21 dB either way"),
        ("snr_db", 2.0, 1.9, "the output is another sound: its SNR is 1.9 dB"),
        ("level_change_0_4_db", -3.0, -3.1, "the band from 0 to 4 kHz lost 3.1 dB"),
        ("level_change_4_8_db", -3.0, -3.1, "the band from 4 to 8 kHz lost 3.1 dB"),
        ("level_change_8_16_db", -3.0, -3.1, "the band from 8 to 16 kHz lost 3.1 dB"),
        ("level_change_16_24_db", -3.0, -3.1, "the band from 16 to 24 kHz lost 3.1 dB"),
        ("level_change_0_4_db", 30.0, -4.0, "the band from 0 to 4 kHz lost 4.0 dB"),
        ("hole_db", -14.0, -15.0, "5 ms lost 15 dB: a hole"),
        ("hole_db", 0.0, -200.0, "5 ms lost 99 dB: a hole"),
        ("still_s", 0.004, 0.006, "the output stands still for 6 ms: a hole"),
        ("band_loss_db", -3.0, -3.1, "a band of the ear's width lost 3.1 dB"),
        ("click_crest", 14.0, 15.0, "one sample of the error is 15 times its surroundings: a click"),
        ("click_train", 0.0, 0.25, "clicks of 0.25 come back at a constant distance"),
        ("tone_db", 9.0, 10.0, "a steady tone stands 10 dB out of the error"),
        ("image_db", -60.0, -50.0, "a copy of the signal elsewhere in the spectrum lies at -50 dB"),
        ("dc_db", -34.0, -30.0, "the output has a DC offset of -30 dB"),
        ("polarity_flipped", False, True, "the polarity is flipped"),
        ("lag_samples", 0, 1, "the output is 1 samples late"),
        ("lag_samples", 0, -2, "the output is 2 samples early"),
        ("slip_samples", 0, 1, "a part of the output is 1 samples late"),
        ("slip_samples", 0, -2, "a part of the output is 2 samples early"),
    ],
)
def test_a_figure_beyond_its_limit_is_a_fault(figure: str, within: object, beyond: object, reason: str) -> None:
    """At the limit, at its best and without the figure there is none; beyond, the figure is named with its number."""
    assert found(**{figure: within}) == []
    assert found(**{figure: BEST.get(figure, 0)}) == []
    assert found(**{figure: None}) == []
    assert found(**{figure: beyond}) == [(figure, reason)]


@pytest.mark.parametrize(("count", "name"), [("nan_count", "NaN in"), ("inf_count", "infinite in")])
def test_samples_that_are_no_numbers(count: str, name: str) -> None:
    """One is enough, and said of how many."""
    assert found(samples=100, **{count: 1}) == [
        (count, f"the output {'has NaN in' if name == 'NaN in' else 'is infinite in'} 1 of 100 samples")
    ]


@pytest.mark.parametrize(
    ("reference", "level", "silent"),
    [(-20.0, -80.0, False), (-20.0, -81.0, True), (-50.0, -81.0, False), (None, -200.0, False), (-20.0, None, False)],
)
def test_silence_is_a_level_under_the_references(reference: float | None, level: float | None, silent: bool) -> None:
    """By 60 dB and no less; where either level is unknown nothing is said."""
    expected = [("silence", "the output is silent: its level is 61 dB under the reference's")] if silent else []
    assert found(reference_level_db=reference, level_db=level) == expected


@pytest.mark.parametrize(("gain_db", "lost"), [(-0.4, False), (0.0, True), (0.4, True), (None, True)])
def test_what_the_whole_signal_lost_is_no_missing_part(gain_db: float | None, lost: bool) -> None:
    """A loss of gain explains as much of a band's, a hole's and a narrow band's loss; a gain explains nothing."""
    figures = {"level_change_0_4_db": -3.3, "hole_db": -14.3, "band_loss_db": -3.3}
    assert [name for name, _ in found(gain_db=gain_db, **figures)] == (list(figures) if lost else [])


def test_the_most_specific_comes_first() -> None:
    """What decided is the first of them."""
    figures = {
        "samples": 9, "nan_count": 1, "inf_count": 1, "reference_level_db": 0.0, "level_db": -99.0,
        "polarity_flipped": True, "lag_samples": 1, "slip_samples": 1, "hole_db": -99.0, "click_crest": 99.0,
        "gain_db": 9.0, "gain_swing_db": 9.0, "snr_db": 0.0,
    }  # fmt: skip
    assert [name for name, _ in found(**figures)] == [
        "nan_count", "inf_count", "silence", "polarity_flipped", "lag_samples", "slip_samples", "hole_db",
        "click_crest", "gain_db", "gain_swing_db", "snr_db",
    ]  # fmt: skip
