import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import signal, stats

from bench.cli import main
from bench.compare.noise import (
    batch_means,
    clipped,
    half_scale,
    holm,
    only_modes_moved,
    reduce_rounds,
    relative_variance_of_mean,
    variance_of_mean,
)
from bench.compare.render import to_json, to_markdown, to_text
from bench.compare.result import Comparison, Pairing, Verdict
from bench.compare.runs import compare_runs
from bench.compare.thresholds import load_thresholds
from bench.errors import InputError
from bench.records.jsonl import append_record
from bench.records.schema import Build, GpuState, Marked, Record, Status
from tests.comparing import ENVIRONMENT, FP16, WEIGHTS, failed, processes, quality, record, timing
from tests.synthetic_records import changed, given, speed_of


def write(directory: Path, *records: Record) -> Path:
    for item in records:
        append_record(directory, item)
    return directory


def change_of(comparison: Comparison, metric: str, case: int = 0) -> Any:
    return next(change for change in comparison.cases[case].changes if change.metric == metric)


def many(night: int, count: int = 40, **changes: Any) -> list[Record]:
    return [record(frames, night=night, **changes) for frames in range(1, count + 1)]


# Noise


def test_clipped_moves_only_what_lies_beyond_three_scaled_mads() -> None:
    """Clipping holds outliers at three scaled MADs, as SciPy scales them, and leaves the rest alone."""
    values = np.random.default_rng(0).standard_t(2, 500)
    reach = 3 * stats.median_abs_deviation(values, scale="normal")
    expected = np.clip(values, np.median(values) - reach, np.median(values) + reach)
    np.testing.assert_allclose(clipped(values), expected, rtol=1e-4)


def test_variance_of_mean_is_the_batch_means_variance_without_correlation() -> None:
    """Batches that alternate have no positive correlation left, so the plain squared standard error remains."""
    batches = np.array([1.0, -1.0] * 5)
    assert variance_of_mean(batches) == pytest.approx(stats.sem(batches) ** 2)


def test_variance_of_mean_widens_with_correlation_as_the_spread_of_repeated_runs_does() -> None:
    """For rounds that remember each other the estimated error is close to the true one; the plain one is not."""
    rng = np.random.default_rng(1)
    shocks = rng.normal(size=(2000, 400))
    runs = signal.lfilter([1.0], [1.0, -0.8], shocks, axis=1)[:, 200:]
    true = runs.mean(axis=1).std()
    estimated = math.sqrt(np.mean([variance_of_mean(batch_means(run)) for run in runs]))
    plain = math.sqrt(np.mean([stats.sem(run) ** 2 for run in runs]))
    assert estimated == pytest.approx(true, rel=0.25)
    assert plain < 0.5 * true


def test_variance_of_mean_of_constant_batches_is_zero() -> None:
    """A case without any noise has none, whatever the size of its level."""
    assert variance_of_mean(np.full(10, 1e9 + 0.1)) == 0.0


def test_batches_cover_every_round_once() -> None:
    """The mean of batches weighted by their lengths is the mean of the rounds."""
    values = np.random.default_rng(2).normal(size=97)
    lengths = [len(part) for part in np.split(values, np.linspace(0, 97, 11).astype(int)[1:-1])]
    assert np.average(batch_means(values), weights=lengths) == pytest.approx(values.mean())


def test_reduce_rounds_needs_six_positive_finite_rounds() -> None:
    """Too few rounds, or durations that cannot be, give no level at all."""
    assert reduce_rounds([1.0] * 5) is None
    assert reduce_rounds([1.0] * 5 + [0.0]) is None
    assert reduce_rounds([1.0] * 5 + [math.inf]) is None
    assert reduce_rounds([1.0] * 6) is not None


def test_reduce_rounds_leaves_out_a_control_of_another_length() -> None:
    """A baseline that was not measured round by round is no control."""
    rounds = reduce_rounds([1.0] * 10, [2.0] * 9)
    assert rounds is not None
    assert rounds.control is None


def test_level_and_variance_of_a_ratio_cancel_what_case_and_control_share() -> None:
    """Drift that the case shares with its control leaves neither its level nor its error."""
    drift = np.exp(np.linspace(0, 0.5, 50))
    rounds = reduce_rounds((2 * drift).tolist(), (8 * drift).tolist())
    assert rounds is not None
    assert rounds.level(1.0) == pytest.approx(math.log(2 / 8))
    assert rounds.variance(1.0) == pytest.approx(0.0, abs=1e-20)
    assert rounds.variance(0.0) > 1e-3


def test_throughput_error_includes_interruptions() -> None:
    """The plain mean keeps the outliers that the level of the time clips."""
    samples = [10.0] * 99 + [1000.0]
    variance = relative_variance_of_mean(samples)
    assert variance is not None
    assert math.sqrt(variance) > 0.3


def test_half_scale_is_the_standard_deviation_of_normal_values_and_ignores_a_third_that_moved() -> None:
    """The shortest half gives the spread of the majority."""
    rng = np.random.default_rng(3)
    values = rng.normal(0, 2, 20_000)
    assert half_scale(values) == pytest.approx(2, rel=0.05)
    values[:6000] += rng.uniform(30, 90, 6000)
    assert half_scale(values) < 3.2


def test_the_correction_equals_its_definition() -> None:
    """Holm's adjusted p-values are the textbook's."""
    p = np.random.default_rng(4).uniform(size=50) ** 3
    order = np.argsort(p)
    expected = np.empty(50)
    for rank, index in enumerate(order):
        expected[index] = min(1.0, max((50 - earlier) * p[order[earlier]] for earlier in range(rank + 1)))
    np.testing.assert_allclose(np.array(holm(p.tolist())), expected)
    assert holm([]) == []


@pytest.mark.parametrize(
    ("base_slow", "new_slow", "shift", "expected"),
    [(0.3, 0.7, 0.0, True), (0.3, 0.3, 0.1, False), (0.0, 0.4, 0.0, False), (0.7, 0.3, 0.0, True)],
)
def test_only_modes_moved_tells_a_change_of_share_from_a_change(
    base_slow: float, new_slow: float, shift: float, expected: bool
) -> None:
    """More rounds in a mode that both sides know is no change; a shift, or a mode that is new, is one."""

    def run(share: float, shift: float) -> list[float]:
        slow = np.arange(200) % 10 < 10 * share
        rounds: list[float] = (
            10 * np.exp(0.1 * slow + shift + np.random.default_rng(5).normal(0, 0.005, 200))
        ).tolist()
        return rounds

    base, new = reduce_rounds(run(base_slow, 0.0)), reduce_rounds(run(new_slow, shift))
    assert base is not None
    assert new is not None
    move = new.level() - base.level()
    found = only_modes_moved(np.array(base.quantiles), np.array(new.quantiles), move, 0.0)
    assert found is expected


# Verdicts


def test_a_slower_case_is_slow_with_its_ratio_inside_the_interval() -> None:
    """A 10 % slow-down of one case is found, and of that case only."""
    base, new = many(0), many(1)
    new[7] = record(8, night=1, factor=1.1)
    comparison = compare_runs(base, new)
    assert [case.id for case in comparison.worse] == [new[7].id]
    change = change_of(comparison, "time", 7)
    assert change.verdict is Verdict.SLOW
    assert change.change == pytest.approx(1.1, abs=0.02)
    assert change.ci95_low < change.change < change.ci95_high
    assert change_of(comparison, "throughput", 7).change == pytest.approx(1 / 1.1, abs=0.02)
    assert comparison.exit_code == 1


def test_a_faster_case_is_fast_and_nothing_is_worse() -> None:
    """A speed-up is a verdict of its own and no alarm."""
    comparison = compare_runs([record()], [record(night=1, factor=0.5)])
    assert change_of(comparison, "time").verdict is Verdict.FAST
    assert comparison.exit_code == 0


def test_the_same_again_is_the_same() -> None:
    """Two runs of the same thing with little noise are SAME in every metric."""
    comparison = compare_runs(many(0, noise=0.002), many(1, noise=0.002))
    assert {change.verdict for case in comparison.cases for change in case.changes} == {Verdict.SAME}
    assert comparison.exit_code == 0


def test_noise_that_hides_a_change_is_unclear_not_same() -> None:
    """Where the interval reaches past the floor nothing is claimed."""
    comparison = compare_runs([record(noise=0.3, rounds=20)], [record(night=1, noise=0.3, rounds=20)])
    change = change_of(comparison, "time")
    assert change.verdict is Verdict.UNCLEAR
    assert change.reason


def test_a_sure_change_below_the_floor_is_no_alarm() -> None:
    """Evidence alone does not make a verdict: 1 % is beyond doubt here and still too small to matter."""
    comparison = compare_runs(many(0, 2, noise=1e-4, factor=1.0), many(1, 2, noise=1e-4, factor=1.01))
    assert change_of(comparison, "time").verdict is Verdict.SAME


def test_too_few_rounds_are_unclear() -> None:
    """Without an interval there is no verdict, however large the change looks."""
    comparison = compare_runs([record(rounds=3)], [record(night=1, rounds=3, factor=2.0)])
    change = change_of(comparison, "time")
    assert change.verdict is Verdict.UNCLEAR
    assert change.ci95_low is None


def test_a_slower_machine_is_not_blamed_on_a_case() -> None:
    """When case and interleaved baseline slow down alike, the machine did it."""
    comparison = compare_runs(many(0), many(1, machine=1.03))
    assert comparison.machine is not None
    assert comparison.machine.change == pytest.approx(1.03, abs=0.005)
    assert not comparison.worse
    assert all(case.control_used for case in comparison.cases)


def test_a_slow_down_is_found_on_a_faster_machine() -> None:
    """A machine that gained what a case lost does not hide it."""
    base, new = many(0), many(1, machine=0.97)
    new[3] = record(4, night=1, machine=0.97, factor=1.08)
    assert [case.id for case in compare_runs(base, new).worse] == [new[3].id]


def test_a_machine_that_became_much_slower_is_a_verdict_of_its_own() -> None:
    """Eager baselines that all slow down by 10 % are worse, though no case is."""
    comparison = compare_runs(many(0), many(1, machine=1.1))
    assert comparison.machine is not None
    assert comparison.machine.verdict is Verdict.SLOW
    assert not comparison.worse
    assert comparison.exit_code == 1


def test_eager_becoming_slower_does_not_make_the_others_fast() -> None:
    """A baseline that slows down alone is no control, and the cases beside it stay as they are."""
    base = [record(frames) for frames in range(1, 41)]
    new = [record(frames, night=1, machine=1.1, factor=1 / 1.1) for frames in range(1, 41)]
    comparison = compare_runs(base, new)
    assert all(change_of(comparison, "time", case).verdict is not Verdict.FAST for case in range(40))


def test_a_share_of_rounds_in_a_known_mode_is_unclear() -> None:
    """A run that is more often in the slower of two known modes is not called slow."""
    pattern = np.where(np.arange(200) % 10 < 3, 1.12, 1.0)
    noise = np.exp(np.random.default_rng(6).normal(0, 0.003, 200))
    some = (10 * pattern * noise).tolist()
    base = record(timing=timing(some), speedup_fp32=None, processes=processes(some, 3))
    more = np.where(np.arange(200) % 10 < 8, 1.12, 1.0)
    often = (10 * more * noise).tolist()
    new = record(night=1, timing=timing(often), speedup_fp32=None, processes=processes(often, 3))
    change = change_of(compare_runs([base], [new]), "time")
    assert change.verdict is Verdict.UNCLEAR
    assert "how often" in change.reason


def test_history_that_jumps_makes_the_same_change_unclear() -> None:
    """A case whose nights differ by 8 % is not called slow for a night that is 8 % slower."""
    base, new = [record(night=20)], [record(night=21, factor=1.08)]
    assert change_of(compare_runs(base, new), "time").verdict is Verdict.SLOW
    from bench.compare.sources import observe_all

    metrics = load_thresholds().metrics
    jumps = [record(night=night, factor=1.08 if night % 3 == 0 else 1.0) for night in range(20)]
    jumpy = compare_runs(base, new, history=observe_all(jumps, metrics))
    assert change_of(jumpy, "time").verdict is Verdict.UNCLEAR
    calm = [record(night=night) for night in range(20)]
    steady = compare_runs(base, new, history=observe_all(calm, metrics))
    assert change_of(steady, "time").verdict is Verdict.SLOW
    assert steady.history_nights == 20


def test_several_runs_a_side_narrow_the_interval() -> None:
    """Five nights on either side tell a change apart that one night does not."""
    one = change_of(compare_runs([record()], [record(night=5, factor=1.04)]), "time")
    base = [record(night=night) for night in range(5)]
    new = [record(night=night, factor=1.04) for night in range(5, 10)]
    five = change_of(compare_runs(base, new), "time")
    assert five.ci95_high - five.ci95_low < 0.7 * (one.ci95_high - one.ci95_low)
    assert five.verdict is Verdict.SLOW


def test_memory_and_build_have_floors_in_their_own_units() -> None:
    """A larger peak or a longer build is SLOW; a few MiB or a tenth of a second are not, whatever the ratio."""
    base = record()
    memory = replace(given(speed_of(base).memory), allocated_peak_bytes=2**30)
    new = changed(record(night=1), memory=memory, build=replace(given(base.build), seconds=90.0))
    comparison = compare_runs([base], [new])
    assert change_of(comparison, "memory_allocated").verdict is Verdict.SLOW
    assert change_of(comparison, "memory_allocated").change == pytest.approx(2.0)
    assert change_of(comparison, "memory_process").verdict is Verdict.SAME
    assert change_of(comparison, "build").verdict is Verdict.SLOW
    tiny = [replace(base, build=replace(given(base.build), seconds=0.02))]
    small = [changed(new, memory=speed_of(base).memory, build=replace(given(base.build), seconds=0.2))]
    assert change_of(compare_runs(tiny, small), "build").verdict is Verdict.SAME


def test_a_busy_host_is_no_slower_build() -> None:
    """A build that took twice as long once, or half as long again on a long one, is no alarm; three times is."""
    base = record()
    for before, after, wrong in ((2.6, 5.3, False), (30.0, 42.0, False), (30.0, 100.0, True)):
        sides = [
            [replace(record(night=night), build=replace(given(base.build), seconds=seconds))]
            for night, seconds in enumerate((before, after))
        ]
        assert (change_of(compare_runs(*sides), "build").verdict is Verdict.SLOW) is wrong


def test_what_judging_cost_is_not_compared() -> None:
    """A quality record's build is no figure of the case; its sound is."""
    sides = [[replace(quality(night, snr_db=60.0), build=Build(seconds))] for night, seconds in ((0, 20.0), (1, 200.0))]
    [case] = compare_runs(*sides).cases
    assert {change.metric for change in case.changes} == {"snr_db", "tier"}


def test_fidelity_is_better_worse_or_same() -> None:
    """Fidelity has its own words and directions, and a tier that fell is worse by itself."""
    comparison = compare_runs(
        [quality(snr_db=60.0, lsd_db=1.0, stoi=0.99)], [quality(1, snr_db=50.0, lsd_db=0.5, stoi=0.99)]
    )
    assert change_of(comparison, "snr_db").verdict is Verdict.WORSE
    assert change_of(comparison, "snr_db").change == pytest.approx(-10.0)
    assert change_of(comparison, "lsd_db").verdict is Verdict.BETTER
    assert change_of(comparison, "stoi").verdict is Verdict.SAME
    tiers = compare_runs([quality(tier="pass")], [quality(1, tier="fail")])
    assert change_of(tiers, "tier").verdict is Verdict.WORSE
    assert tiers.exit_code == 1


def test_fidelity_that_nobody_hears_is_the_same() -> None:
    """Over 90 dB a few decibels are another order of sums; the loss of a precision is found there too."""
    for before, after, verdict in ((140.0, 112.0, Verdict.SAME), (118.0, 95.0, Verdict.WORSE)):
        change = change_of(compare_runs([quality(snr_db=before)], [quality(1, snr_db=after)]), "snr_db")
        assert change.verdict is verdict
        assert change.floor == 10.0


# Pairing


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"environment": {**ENVIRONMENT, "gpu": {**ENVIRONMENT["gpu"], "name": "GPU B"}}}, "different GPU"),
        ({"environment": {**ENVIRONMENT, "gpu": {**ENVIRONMENT["gpu"], "driver": "1"}}}, "different driver"),
        ({"weights": replace(WEIGHTS, sha256="b" * 64)}, "different weights"),
        ({"precision": replace(FP16, compute="float32")}, "different precision"),
        ({"device": "cpu"}, "different device"),
        ({"audio": "other speech"}, "different audio"),
        ({"environment": {**ENVIRONMENT, "gpu": {**ENVIRONMENT["gpu"], "power_limit_w": 350}}}, "power limit"),
    ],
)
def test_what_ran_elsewhere_is_not_compared_and_says_why(changes: dict[str, Any], reason: str) -> None:
    """Another machine, model or input gives no verdict but a reason, and nothing compared is exit code 2."""
    comparison = compare_runs([record()], [record(night=1, factor=3.0, **changes)])
    case = comparison.cases[0]
    assert case.pairing is Pairing.NOT_COMPARED
    assert reason in " ".join(case.reasons)
    assert not case.changes
    assert comparison.exit_code == 2


def test_another_torch_is_compared_and_noted() -> None:
    """Versions may differ, for that is what nights are compared for, and the reader is told."""
    environment = {**ENVIRONMENT, "versions": {"torch": "2.14.0"}}
    comparison = compare_runs([record()], [record(night=1, environment=environment)])
    assert comparison.cases[0].pairing is Pairing.COMPARED
    assert comparison.notes == ("torch 2.13.0 -> 2.14.0",)


def test_a_case_that_fails_now_is_worse_and_one_that_works_now_is_better() -> None:
    """A status is compared too, though a failed record knows neither weights nor precision."""
    crashed = compare_runs([record()], [failed(night=1, reason="illegal memory access")])
    assert crashed.cases[0].status_verdict is Verdict.WORSE
    assert "illegal memory access" in crashed.cases[0].reasons[0]
    assert crashed.exit_code == 1
    repaired = compare_runs([failed()], [record(night=1)])
    assert repaired.cases[0].status_verdict is Verdict.BETTER
    assert repaired.exit_code == 0
    still = compare_runs([failed()], [failed(night=1)])
    assert still.cases[0].status_verdict is Verdict.SAME


def test_an_output_that_became_wrong_is_worse_than_an_unavailable_backend() -> None:
    """Between two failures only a wrong output is a step down."""
    base = failed(status=Status.UNAVAILABLE)
    assert compare_runs([base], [failed(night=1, status=Status.WRONG_OUTPUT)]).exit_code == 1
    assert compare_runs([base], [failed(night=1, status=Status.UNSUPPORTED)]).exit_code == 0


def test_missing_and_new_cases_are_reported() -> None:
    """A case that was ok and has no row any more is worse; a new one is only named."""
    comparison = compare_runs([record(1), record(2), failed(3)], [record(1, night=1), record(4, night=1)])
    pairings = {case.id[-2:]: (case.pairing, case.status_verdict) for case in comparison.cases}
    assert pairings == {
        "t1": (Pairing.COMPARED, Verdict.SAME),
        "t4": (Pairing.NEW, Verdict.SAME),
        "t2": (Pairing.VANISHED, Verdict.WORSE),
        "t3": (Pairing.VANISHED, Verdict.SAME),
    }


def test_the_last_record_of_a_repeated_case_counts() -> None:
    """A resumed run may hold a case twice."""
    comparison = compare_runs([record()], [failed(night=1), record(night=1)])
    assert comparison.cases[0].status_new == "ok"


def test_an_interleaved_baseline_is_no_control_of_itself() -> None:
    """Eager float32 has no control even when its record names itself as its baseline."""
    own = record()
    speedup = replace(given(speed_of(own).speedup_fp32), baseline=own.id)
    comparison = compare_runs([changed(own, speedup_fp32=speedup)], [record(night=1)])
    assert comparison.cases[0].control is None


# Thresholds


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("alpha = 0.004", "alpha = 2", "alpha must lie between 0 and 1"),
        ('kind = "speed"', 'kind = "taste"', "kind must be one of"),
        ('source = ["timing.median_ms"]', 'source = ["timing.mood"]', "no record has a figure 'timing.mood'"),
        ('source = ["mcd_db"]', 'source = ["gain_db"]', "neither the lower nor the higher"),
        ("alpha = 0.004", "alpah = 0.004", "does not hold thresholds"),
        ("alpha = 0.004", "alpha =", "is not TOML"),
        ("floor = 0.03", "floor = 0.0", "a floor"),
        ('scale = "ratio"', 'scale = "log"', "scale must be"),
    ],
)
def test_wrong_thresholds_are_one_clear_error(tmp_path: Path, old: str, new: str, message: str) -> None:
    """Every mistake in a thresholds file is named, with the file."""
    text = Path("bench/compare/thresholds.toml").read_text(encoding="utf-8")
    file = tmp_path / "mine.toml"
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError, match=message) as caught:
        load_thresholds(file)
    assert str(file) in str(caught.value)


# Command and output


def test_the_command_ends_with_0_1_or_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0 nothing worse, 1 something worse, 2 an error of one sentence."""
    base = write(tmp_path / "a", record())
    same = write(tmp_path / "b", record(night=1))
    slow = write(tmp_path / "c", record(night=2, factor=1.2))
    assert main(["compare", str(base), str(same)]) == 0
    assert main(["compare", str(base / "records.jsonl"), str(slow)]) == 1
    out = capsys.readouterr().out
    assert "SLOW" in out
    assert "synthetic weights" in out
    assert main(["compare", str(base), str(tmp_path / "missing")]) == 2
    assert main(["compare", str(base)]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2
    assert all(line.startswith("error: ") for line in errors)


def test_folders_of_runs_are_sides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder of runs is read as several nights; the same run twice, or no run at all, is an error."""
    for night in range(3):
        write(tmp_path / "base" / str(night), record(night=night))
    new = write(tmp_path / "new" / "x", record(night=9, factor=1.3)).parent
    assert main(["compare", str(tmp_path / "base"), str(new)]) == 1
    assert "run-0 to run-2 (3 runs)" in capsys.readouterr().out
    write(tmp_path / "base" / "copy", record(night=0))
    assert main(["compare", str(tmp_path / "base"), str(new)]) == 2
    assert "both hold run run-0" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["compare", str(tmp_path / "empty"), str(new)]) == 2


def test_json_holds_everything_and_the_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The JSON form is complete and valid, to a file or to standard output."""
    base, new = write(tmp_path / "a", record()), write(tmp_path / "b", record(night=1, factor=1.2))
    assert main(["compare", str(base), str(new), "--json", "-"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert data["exit_code"] == 1
    assert data["cases"][0]["changes"][0]["verdict"] == "SLOW"
    file = tmp_path / "deep" / "out.json"
    assert main(["compare", str(base), str(new), "--json", str(file)]) == 1
    assert json.loads(file.read_text(encoding="utf-8")) == data


def test_hostile_names_are_shown_not_run() -> None:
    """Markup, table cells, links and terminal codes in names and reasons are only text."""
    evil = "<script>alert(1)</script>|![x](http://e)`\x1b[31m\n# big"
    base = record(weights=replace(WEIGHTS, name=evil))
    comparison = compare_runs([base], [failed(night=1, reason=evil)])
    markdown = to_markdown(comparison)
    assert "<script>" not in markdown
    assert "\x1b" not in markdown
    assert "\n# big" not in markdown
    assert "](http" not in markdown
    cells = [line for line in markdown.splitlines() if line.startswith("| v3")]
    assert len(cells) == 1
    assert cells[0].replace("\\|", "").count("|") == 10
    assert "\x1b" not in to_text(comparison)
    assert json.loads(to_json(comparison))["weights"] == [
        evil,
    ]


def test_comparing_imports_no_torch() -> None:
    """Comparing works where torch is not installed."""
    code = "import sys, bench.commands.compare, bench.compare.history; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Processes and builds


def levels(night: int, sd: float, count: int = 40, **changes: Any) -> list[Record]:
    """Quiet rounds whose level changes from process to process."""
    rng = np.random.default_rng(night)
    records = []
    for frames in range(1, count + 1):
        factors = np.repeat(np.exp(rng.normal(0, sd, 3)), 40)
        samples = (10 * factors * np.exp(rng.normal(0, 0.002, 120))).tolist()
        own: dict[str, Any] = {"timing": timing(samples), "speedup_fp32": None, "throughput": None}
        records.append(record(frames, night=night, **own, processes=processes(samples, 3), **changes))
    return records


def test_levels_that_differ_between_processes_raise_no_alarm() -> None:
    """Of ten pairs of runs with process levels of 3 % none alarms; by their rounds alone every one would."""
    for night in range(0, 20, 2):
        base, new = levels(night, 0.03), levels(night + 1, 0.03)
        assert not any(case.worse or case.better for case in compare_runs(base, new).cases)
    moves = [
        abs(math.log(speed_of(after).timing.median_ms / speed_of(before).timing.median_ms))
        for before, after in zip(base, new, strict=True)
    ]
    assert max(moves) > 20 * 0.002 / math.sqrt(120)


def test_quiet_processes_find_what_loud_ones_hide() -> None:
    """A slow-down of 9 % is found at once where processes agree, and UNCLEAR where they differ by 3 %."""
    for sd, verdict in ((0.002, Verdict.SLOW), (0.03, Verdict.UNCLEAR)):
        base, new = levels(0, sd), levels(1, sd)
        # Exactly 9 %, whatever its processes drew.
        level = 1.09 * speed_of(base[5]).timing.median_ms / speed_of(new[5]).timing.median_ms
        samples = [level * sample for sample in speed_of(new[5]).timing.samples_ms]
        new[5] = changed(new[5], timing=timing(samples), processes=processes(samples, 3))
        assert change_of(compare_runs(base, new), "time", 5).verdict is verdict


def test_one_process_is_unclear_unless_the_change_is_beyond_what_is_known() -> None:
    """A tenth more in one process is no verdict, and why is said; twice the time is one."""
    base, new = record(shared=1), record(night=1, shared=1, factor=1.1)
    comparison = compare_runs([base], [new])
    change = change_of(comparison, "time")
    assert change.verdict is Verdict.UNCLEAR
    assert "one process" in change.reason
    assert comparison.one_process == 1
    assert "one process: 1 of 1 cases" in to_text(comparison)
    twice = compare_runs([base], [record(night=1, shared=1, factor=2.0)])
    assert change_of(twice, "time").verdict is Verdict.SLOW
    assert compare_runs([record()], [record(night=1)]).one_process == 0


def test_one_process_with_a_calm_history_is_enough() -> None:
    """Twenty nights that agree show that processes of this case lie close together."""
    from bench.compare.sources import observe_all

    nights = [record(night=night, shared=1) for night in range(20)]
    history = observe_all(nights, load_thresholds().metrics)
    comparison = compare_runs(nights[-5:], [record(night=21, shared=1, factor=1.1)], history=history)
    assert change_of(comparison, "time").verdict is Verdict.SLOW


def test_another_build_is_another_level() -> None:
    """A move of 10 % with another engine is UNCLEAR from one build a side, and a slow-down with the same engine."""
    for seconds, verdict in ((30.0, Verdict.SLOW), (31.0, Verdict.UNCLEAR)):
        sides = []
        for night, factor, took in ((0, 1.0, 30.0), (1, 1.1, seconds)):
            one = record(night=night, factor=factor)
            parts = tuple(replace(part, build_s=took) for part in speed_of(one).processes)
            sides.append([changed(one, processes=parts)])
        assert change_of(compare_runs(*sides), "time").verdict is verdict


def test_several_builds_show_their_own_spread() -> None:
    """With three builds a side that agree the same move is found."""
    sides = []
    for night, factor in ((0, 1.0), (1, 1.1)):
        one = record(night=night, factor=factor, noise=0.003)
        samples = speed_of(one).timing.samples_ms
        parts = processes(samples, 3, builds=(0, 1, 2))
        sides.append([changed(one, processes=tuple(replace(part, build_s=30.0 + night) for part in parts))])
    assert change_of(compare_runs(*sides), "time").verdict is Verdict.SLOW


def test_a_change_under_the_floor_is_not_slow() -> None:
    """A true 2.8 % is called SLOW in few of 200 cases, though most are surely slower; 8 % in all."""
    base = many(0, 200, noise=0.004, rounds=200)
    for factor, least, most in ((1.028, 0, 20), (1.08, 200, 200)):
        new = many(1, 200, noise=0.004, rounds=200, factor=factor)
        slow = sum(
            change.verdict is Verdict.SLOW
            for case in compare_runs(base, new).cases
            for change in case.changes
            if change.metric == "time"
        )
        assert least <= slow <= most


def test_a_clock_step_in_a_tenth_of_the_cases_blames_nobody() -> None:
    """Where a case's own baseline slowed down alike it was the machine, also where the other cases saw none of it."""
    base = many(0, noise=0.005)
    new = many(1, noise=0.005)
    for place in range(10, 14):
        new[place] = record(place + 1, night=1, noise=0.005, machine=1.08)
    comparison = compare_runs(base, new)
    assert not comparison.worse
    assert comparison.cases[11].control == pytest.approx(1.08, abs=0.01)
    # The baseline itself, which has none, ran between them.
    new[12] = record(13, night=1, noise=0.005, factor=1.08, controlled=False)
    base[12] = record(13, noise=0.005, controlled=False)
    assert not compare_runs(base, new).worse
    # Far from any step the same slow-down is one.
    new[30] = record(31, night=1, noise=0.005, factor=1.08, controlled=False)
    base[30] = record(31, noise=0.005, controlled=False)
    assert [case.id for case in compare_runs(base, new).worse] == [new[30].id]


def test_a_case_that_drifts_alone_is_no_machine() -> None:
    """A baseline that stayed where it was takes nothing out of a case that did not."""
    base, new = many(0, noise=0.005), many(1, noise=0.005)
    new[3] = record(4, night=1, noise=0.005, factor=1.08)
    assert [case.id for case in compare_runs(base, new).worse] == [new[3].id]


def test_the_error_without_a_baseline_holds_the_machines_own() -> None:
    """A case that no baseline corrects has a wider interval than one whose machine is known."""
    known = change_of(compare_runs(many(0, noise=0.003), many(1, noise=0.003)), "time")
    bare = change_of(
        compare_runs(many(0, noise=0.003, controlled=False), many(1, noise=0.003, controlled=False)), "time"
    )
    assert bare.ci95_high - bare.ci95_low > 2 * (known.ci95_high - known.ci95_low)


def test_a_clock_that_fell_speaks_for_a_case_without_a_baseline() -> None:
    """At 10 % less clock a case that is 10 % slower is UNCLEAR, and the clock is named."""
    state = GpuState(1980, 1900, 2619, 60, 400.0, (), 5)
    base = record(controlled=False, gpu_state=state, noise=0.003)
    low = replace(state, sm_clock_median_mhz=1780)
    new = record(night=1, controlled=False, gpu_state=low, noise=0.003, factor=1.3)
    change = change_of(compare_runs([base], [new]), "time")
    assert change.verdict is Verdict.UNCLEAR
    assert "clock" in change.reason
    same = record(night=1, controlled=False, gpu_state=state, noise=0.003, factor=1.3)
    assert change_of(compare_runs([base], [same]), "time").verdict is Verdict.SLOW


def test_a_disturbed_case_is_unclear() -> None:
    """A case that lost most of its rounds to heat is not called slow for it."""
    hot = Marked(90, 100, {"hot": 90}, unstable="90 of 100 rounds were disturbed: hot.")
    change = change_of(compare_runs([record()], [record(night=1, factor=1.5, marked=hot)]), "time")
    assert change.verdict is Verdict.UNCLEAR
    assert change.reason.startswith("disturbed: 90 of 100")


def test_an_snr_that_moves_with_the_build_is_the_same() -> None:
    """Of 40 rows whose SNR moves by 0.3 dB from build to build none alarms; one that fell by 6 dB is found."""
    rng = np.random.default_rng(0)
    sides = [
        [replace(quality(night, snr_db=50 + rng.normal(0, 0.3)), case=record(frames).case) for frames in range(1, 41)]
        for night in (0, 1)
    ]
    assert not compare_runs(*sides).worse
    sides[1][7] = replace(quality(1, snr_db=44.0), case=record(8).case)
    assert [case.id for case in compare_runs(*sides).worse] == [record(8).id]


def test_memory_and_builds_of_a_whole_sweep() -> None:
    """Among 40 cases 8 % more memory of the process and a build of three times the seconds are found."""
    base, new = many(0), many(1)
    memory = given(speed_of(new[3]).memory)
    new[3] = changed(new[3], memory=replace(memory, process_gpu_bytes=int(1.08 * given(memory.process_gpu_bytes))))
    new[9] = replace(new[9], build=Build(90.0))
    comparison = compare_runs(base, new)
    assert [case.id for case in comparison.worse] == [new[3].id, new[9].id]
    assert change_of(comparison, "memory_process", 3).verdict is Verdict.SLOW
    assert change_of(comparison, "build", 9).verdict is Verdict.SLOW
