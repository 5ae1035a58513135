"""From a move and its error to a verdict, each with the limits worked out by hand."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bench.compare.judging import judge
from bench.compare.levels import Side
from bench.compare.machine import Key
from bench.compare.noise import Rounds
from bench.compare.observation import Observation, Processes
from bench.compare.result import Change, Verdict
from bench.compare.thresholds import Metric, load_thresholds

KEY: Key = ("speed", "x")
TIME = Metric("speed", ("timing.median_ms",), "ratio", 0.03, night_sd=1e-6, process_sd=0.0)
# A machine that never changes, cases that stand alone.
ALONE = replace(
    load_thresholds(), alpha=0.004, floor_confidence=0.85, machine_sd=0.0, control_limit=0.04, pool_cases=20
)
LIMIT = math.log1p(0.03)
SQUARES = 2 * 0.003**2
# Three processes a side, 3 per mille apart: pooled over four degrees of freedom.
ERROR = math.sqrt(2 * (2 * SQUARES / 4) / 3)
ROUNDS = Rounds((0.0,) * 10, None, (0.0,) * 4)


def seen(run_id: str, level: float, control: float | None = None, **changes: Any) -> Observation:
    """Three processes at and around a level of ``ln(ms)``, and their baselines at one."""
    around = (level - 0.003, level, level + 0.003)
    item = Observation(
        run_id,
        run_id,
        "speed",
        "x",
        "ok",
        "",
        {},
        {},
        values={"time": math.exp(level)},
        # Far apart, so that no change passes for a mode.
        rounds=replace(ROUNDS, quantiles=(level,) * 4),
        processes=Processes(around, None if control is None else (control,) * 3, builds=(0, 0, 0)),
    )
    return replace(item, **changes)


def change(base: Side, new: Side, metric: Metric = TIME, past: Side = (), **thresholds: Any) -> Change:
    """The only change of a comparison of one case in one metric."""
    name = "time" if metric is TIME or metric.source == TIME.source else "other"
    chosen = replace(ALONE, metrics={name: metric}, **thresholds)
    changes, _, tests = judge({KEY: (base, new)}, {KEY: past}, chosen)
    assert tests <= 1
    [found] = changes[KEY]
    return found


def moved(move: float, **changes: Any) -> Change:
    return change([seen("base", 1.0)], [seen("new", 1.0 + move, **changes)])


@pytest.mark.parametrize("direction", [1, -1])
def test_a_change_is_said_where_it_is_surely_over_the_floor(direction: int) -> None:
    """The estimate less its one-sided 85 % error against the floor; far from chance on either side of that."""
    sure = float(stats.t.ppf(0.85, 4)) * ERROR
    over, under = moved(direction * (LIMIT + 1.02 * sure)), moved(direction * (LIMIT + 0.98 * sure))
    assert max(over.p_adjusted or 1, under.p_adjusted or 1) < 0.004
    assert over.verdict is (Verdict.SLOW if direction > 0 else Verdict.FAST)
    assert over.reason == ""
    assert under.verdict is Verdict.UNCLEAR
    assert under.reason == "a change, but not surely a large one: the interval reaches past the floor"


def test_a_change_is_shown_with_its_interval_and_chance() -> None:
    """Student's t on the four degrees of freedom of six processes on two sides."""
    found, move = moved(0.05), 0.05
    reach = float(stats.t.ppf(0.975, 4)) * ERROR
    assert found.change == pytest.approx(math.exp(move))
    assert found.ci95_low == pytest.approx(math.exp(move - reach), rel=1e-6)
    assert found.ci95_high == pytest.approx(math.exp(move + reach), rel=1e-6)
    assert found.p_adjusted == pytest.approx(2 * stats.t.sf(move / ERROR, 4), rel=1e-3)
    assert (found.floor, found.base, found.new) == (0.03, math.exp(1.0), math.exp(1.05))


def test_same_is_an_interval_within_the_floor() -> None:
    """Its upper end just within, and just beyond."""
    reach = float(stats.t.ppf(0.975, 4)) * ERROR
    for direction in (1, -1):
        assert moved(direction * (LIMIT - 1.01 * reach)).verdict is Verdict.SAME
        found = moved(direction * (LIMIT - 0.99 * reach))
        assert found.verdict is Verdict.UNCLEAR
        assert found.reason.endswith("the interval reaches past the floor")


def test_chance_is_corrected_for_the_questions_asked() -> None:
    """A change at p = 0.003 counts alone, and not as one of three questions."""
    move = float(stats.t.isf(0.0015, 4)) * ERROR
    far = replace(TIME, floor=0.0001)
    alone = change([seen("base", 1.0)], [seen("new", 1.0 + move)], far)
    assert alone.verdict is Verdict.SLOW
    assert alone.p_adjusted == pytest.approx(0.003, rel=0.01)
    keys: list[Key] = [("speed", name) for name in "xyz"]
    pairs = {
        key: ([seen("base", 1.0, id=key[1])], [seen("new", 1.0 + move * (key[1] == "x"), id=key[1])]) for key in keys
    }
    changes, _, tests = judge(pairs, {}, replace(ALONE, metrics={"time": far}))
    [found] = changes[keys[0]]
    assert tests == 3
    assert found.p_adjusted == pytest.approx(0.009, rel=0.02)
    assert found.verdict is Verdict.UNCLEAR


def test_the_machine_without_a_baseline_adds_its_own_error() -> None:
    """Two nights of a machine that differs by ``machine_sd``."""
    found = change([seen("base", 1.0)], [seen("new", 1.05)], machine_sd=0.01)
    nights, runs = 2 * 0.01**2, ERROR**2
    freedom = (nights + runs) ** 2 / (nights**2 / ALONE.prior_nights + runs**2 / 4)
    assert found.p_adjusted == pytest.approx(2 * stats.t.sf(0.05 / math.sqrt(nights + runs), freedom), rel=1e-3)


def test_memory_is_no_matter_of_the_machine() -> None:
    """What no slower machine changes has no error for it."""
    memory = Metric("speed", ("memory.allocated_peak_bytes",), "ratio", 0.02, night_sd=0.002)
    sides = [replace(seen(name, 1.0), values={"other": value}) for name, value in (("base", 100.0), ("new", 105.0))]
    found = change(sides[:1], sides[1:], memory, machine_sd=0.5)
    freedom = ALONE.prior_nights
    assert found.p_adjusted == pytest.approx(2 * stats.t.sf(math.log(1.05) / math.sqrt(2 * 0.002**2), freedom))
    assert found.verdict is Verdict.SLOW


def test_a_difference_under_its_floor_in_the_values_unit_is_no_question() -> None:
    """One megabyte more of one is twice as much, and nothing."""
    memory = Metric("speed", ("memory.allocated_peak_bytes",), "ratio", 0.02, night_sd=0.002, absolute_floor=4.0)
    for value, verdict in ((4.9, Verdict.SAME), (5.0, Verdict.SLOW)):
        sides = [replace(seen(name, 1.0), values={"other": given}) for name, given in (("base", 1.0), ("new", value))]
        found = change(sides[:1], sides[1:], memory)
        assert (found.verdict, found.p_adjusted is None) == (verdict, verdict is Verdict.SAME)


def test_the_machines_move_is_taken_out() -> None:
    """A baseline that became 3 % slower explains 3 % of 10."""
    found = change([seen("base", 1.0, 2.0)], [seen("new", 1.1, 2.03)])
    assert found.change == pytest.approx(math.exp(0.07))
    assert found.verdict is Verdict.SLOW


def test_throughput_falls_where_the_machine_slows_down() -> None:
    """The same of audio a second, whose loss is what is worse."""
    throughput = Metric("speed", ("throughput.audio_s_per_s",), "ratio", 0.03, night_sd=1e-6)
    sides = [
        replace(
            seen(name, 1.0, control),
            values={"throughput": math.exp(level)},
            processes=Processes((1.0,) * 3, (control,) * 3, (level - 0.003, level, level + 0.003), (0, 0, 0)),
        )
        for name, level, control in (("base", 1.0, 2.0), ("new", 0.9, 2.03))
    ]
    chosen = replace(ALONE, metrics={"throughput": throughput})
    changes, _, _ = judge({KEY: (sides[:1], sides[1:])}, {}, chosen)
    [found] = changes[KEY]
    assert found.change == pytest.approx(math.exp(-0.07))
    assert found.verdict is Verdict.SLOW


def test_a_baseline_that_moved_far_may_have_changed_itself() -> None:
    """Only what shows with and without it counts; where the two disagree there is no verdict."""
    found = change([seen("base", 1.0, 2.0)], [seen("new", 1.2, 2.05)])
    assert found.change == pytest.approx(math.exp(0.15))
    assert found.verdict is Verdict.SLOW
    # Faster baseline: the plain move is the smaller one.
    found = change([seen("base", 1.0, 2.0)], [seen("new", 1.2, 1.9)])
    assert found.change == pytest.approx(math.exp(0.2))
    assert found.verdict is Verdict.SLOW
    found = change([seen("base", 1.0, 2.0)], [seen("new", 1.2, 2.3)])
    assert found.change == pytest.approx(math.exp(-0.1))
    assert found.verdict is Verdict.UNCLEAR
    assert "the other direction" in found.reason
    # At the limit it is trusted.
    found = change([seen("base", 1.0, 2.0)], [seen("new", 1.06, 2.0399)])
    assert found.change == pytest.approx(math.exp(0.0201))


@pytest.mark.parametrize(("clock", "doubted"), [(1930.0, True), (1945.0, False), (2070.0, True), (None, False)])
def test_a_clock_speaks_where_no_baseline_does(clock: float | None, doubted: bool) -> None:
    """3 % of 2 GHz, of the logarithm, on either side."""
    base = [seen("base", 1.0, clock_mhz=2000.0)]
    found = change(base, [seen("new", 1.1, clock_mhz=clock)])
    assert found.verdict is (Verdict.UNCLEAR if doubted else Verdict.SLOW)
    assert ("clock moved" in found.reason) is doubted
    # A change that is none is not doubted.
    assert change(base, [seen("new", 1.0, clock_mhz=clock)]).verdict is Verdict.SAME


def test_a_disturbed_side_gives_no_verdict() -> None:
    """Whichever side it is, with its reason, and for times only."""
    for base, new in (
        (seen("base", 1.0, unstable="hot."), seen("new", 1.1)),
        (seen("base", 1.0), seen("new", 1.1, unstable="hot.")),
    ):
        found = change([base], [new])
        assert (found.verdict, found.reason) == (Verdict.UNCLEAR, "disturbed: hot.")


def test_levels_that_earlier_nights_had_are_no_news() -> None:
    """Two visits to the new level make it one of the case's own."""
    past = [seen(f"night-{number}", level) for number, level in enumerate([1.0, 1.1, 1.0, 1.1, 1.0])]
    found = change([seen("base", 1.0)], [seen("new", 1.1)], past=past)
    assert found.verdict is Verdict.UNCLEAR
    assert found.reason == "earlier nights had this level too, and left it again"


BUILT = replace(TIME, build_sd=0.05)


def built(run_id: str, level: float, engines: str | None, builds: tuple[int, ...] = (0, 0, 0)) -> Observation:
    item = seen(run_id, level)
    assert item.processes is not None
    return replace(item, engines=engines, processes=replace(item.processes, builds=builds))


def test_another_build_may_lie_elsewhere() -> None:
    """Where the sides ran different builds, how far builds lie apart is part of the error; of one build it is not."""
    found = change([built("base", 1.0, "a")], [built("new", 1.1, "b")], BUILT)
    error = math.sqrt(ERROR**2 + 2 * 0.05**2)
    assert found.verdict is Verdict.UNCLEAR
    assert found.p_adjusted == pytest.approx(2 * stats.t.sf(0.1 / error, 4), rel=1e-3)
    for engines in ("a", None):
        assert change([built("base", 1.0, engines)], [built("new", 1.1, engines)], BUILT).verdict is Verdict.SLOW


def test_several_builds_on_both_sides_show_it_themselves() -> None:
    """On one side only they do not."""
    for base, new, verdict in (
        ((0, 1, 2), (0, 1, 2), Verdict.SLOW),
        ((0, 1, 2), (0, 0, 0), Verdict.UNCLEAR),
        ((0, 0, 0), (0, 1, 2), Verdict.UNCLEAR),
    ):
        found = change([built("base", 1.0, "a", base)], [built("new", 1.1, "b", new)], BUILT)
        assert found.verdict is verdict


@pytest.mark.parametrize(("builds", "verdict"), [(3, Verdict.SLOW), (2, Verdict.UNCLEAR)])
def test_nights_of_three_builds_know_how_far_builds_lie_apart(builds: int, verdict: Verdict) -> None:
    """Ten nights alike of as many builds leave no room for a change of ten per cent."""

    def single(run_id: str, level: float, engines: str) -> Observation:
        rounds = Rounds((level,) * 10, None, (level,) * 4)
        return replace(built(run_id, level, engines), processes=None, rounds=rounds)

    past = [single(f"night-{number}", 1.0, f"engine {number % builds}") for number in range(10)]
    found = change([single("base", 1.0, "a")], [single("new", 1.1, "b")], BUILT, past)
    assert found.verdict is verdict


def test_the_newest_run_of_a_side_has_its_tier() -> None:
    """What an older run's sound was is no change of tonight."""
    key = ("quality", "x")
    base, new = ([sound(f"{side}-{tier}", 60.0, tier) for tier in ("fail", "pass")] for side in ("base", "new"))
    changes, _, _ = judge({key: (base, new)}, {}, replace(ALONE, metrics={}))
    assert [item.reason for item in changes[key]] == ["pass"]


def test_one_process_says_what_is_missing() -> None:
    """Without replicates or history an unclear time points to both; a known one does not."""
    single = replace(TIME, process_sd=0.03)
    sides = [replace(seen(name, level), processes=None) for name, level in (("base", 1.0), ("new", 1.01))]
    found = change(sides[:1], sides[1:], single)
    assert found.verdict is Verdict.UNCLEAR
    assert found.reason.startswith("one process: ")
    assert moved(LIMIT).reason == "a change, but not surely a large one: the interval reaches past the floor"


def test_too_few_rounds_have_no_interval() -> None:
    """A time without rounds is shown, and judged by nothing."""
    found = change([seen("base", 1.0)], [seen("new", 1.5, rounds=None)])
    assert (found.verdict, found.reason) == (Verdict.UNCLEAR, "too few rounds for an interval")
    assert found.change == pytest.approx(math.exp(0.5))
    assert found.p_adjusted is None


def test_a_metric_that_one_side_lacks_is_no_change() -> None:
    """Neither a question nor a row."""
    chosen = replace(ALONE, metrics={"time": TIME})
    changes, _, tests = judge({KEY: ([seen("base", 1.0)], [seen("new", 1.0, values={})])}, {}, chosen)
    assert (changes, tests) == ({KEY: []}, 0)


SNR = Metric("quality", ("snr_db",), "difference", 1.0, night_sd=0.3, ceiling=120.0, far=90.0, far_floor=10.0)


def sound(run_id: str, snr_db: float, tier: str | None = None) -> Observation:
    return Observation(run_id, "", "quality", "x", "ok", "", {}, {}, values={"snr_db": snr_db}, tier=tier)


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        (60.0, 55.0, Verdict.WORSE),
        (55.0, 60.0, Verdict.BETTER),
        # Over the floor, and not surely: its error is 0.42 dB.
        (60.0, 58.7, Verdict.SAME),
        # Both beyond 90 dB: ten are wanted.
        (110.0, 102.0, Verdict.SAME),
        (110.0, 95.0, Verdict.WORSE),
        # One of them within.
        (95.0, 89.0, Verdict.WORSE),
        # Beyond 120 all are equal.
        (200.0, 121.0, Verdict.SAME),
    ],
)
def test_fidelity_has_its_own_words_and_floors(before: float, after: float, verdict: Verdict) -> None:
    """Better, worse and same on the scale of differences."""
    key = ("quality", "x")
    chosen = replace(ALONE, metrics={"snr_db": SNR})
    changes, _, _ = judge({key: ([sound("base", before)], [sound("new", after)])}, {}, chosen)
    [found] = changes[key]
    assert found.verdict is verdict
    assert found.change == pytest.approx(min(after, 120.0) - min(before, 120.0))
    error = math.sqrt(2 * 0.3**2)
    assert found.ci95_high is not None
    assert found.change is not None
    assert found.ci95_high - found.change == pytest.approx(stats.t.ppf(0.975, ALONE.prior_nights) * error, rel=0.01)


@pytest.mark.parametrize(
    ("before", "after", "verdict", "reason"),
    [
        ("pass", "fail", Verdict.WORSE, "pass -> fail"),
        ("pass", "warn", Verdict.WORSE, "pass -> warn"),
        ("fail", "warn", Verdict.BETTER, "fail -> warn"),
        ("warn", "warn", Verdict.SAME, "warn"),
    ],
)
def test_tiers_are_ordered(before: str, after: str, verdict: Verdict, reason: str) -> None:
    """Pass, warn, fail; a tier that one side lacks is no row."""
    key = ("quality", "x")
    chosen = replace(ALONE, metrics={})
    changes, _, _ = judge({key: ([sound("base", 60.0, before)], [sound("new", 60.0, after)])}, {}, chosen)
    assert [(item.metric, item.verdict, item.reason) for item in changes[key]] == [("tier", verdict, reason)]
    for tiers in ((None, after), (before, None), ("x", after)):
        changes, _, _ = judge({key: ([sound("base", 60.0, tiers[0])], [sound("new", 60.0, tiers[1])])}, {}, chosen)
        assert changes[key] == []


def test_a_share_of_rounds_in_a_mode_is_unclear() -> None:
    """The base reaches the slow times too, the new side's fast rounds are as fast."""
    modes = (0.9, 0.9, 1.2, 1.2)
    base = replace(seen("base", 1.0), rounds=replace(ROUNDS, quantiles=modes))
    new = replace(seen("new", 1.1), rounds=replace(ROUNDS, quantiles=modes))
    found = change([base], [new])
    assert found.verdict is Verdict.UNCLEAR
    assert found.reason == "both sides reach the same times, only how often differs"


def test_several_runs_a_side_are_judged_by_their_medians() -> None:
    """One outlier of three is not the level."""
    base = [seen("a", 1.0), seen("b", 1.0), seen("c", 3.0)]
    new = [seen("d", 1.1), seen("e", 0.1), seen("f", 1.1)]
    found = change(base, new)
    assert found.change == pytest.approx(math.exp(0.1))
    assert (found.base, found.new) == pytest.approx((math.exp(1.0), math.exp(1.1)))
    assert np.isfinite(found.p_adjusted or math.nan)
