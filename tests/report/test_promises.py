from dataclasses import replace
from pathlib import Path

import pytest

from bench.case import Case
from bench.records.run import load_run
from bench.records.schema import Record, Status, Throughput
from bench.report.notes import warnings_of
from bench.report.promises.checks import HELD, NOT_HELD, NOT_MEASURED, Check, check_promises
from bench.report.sections.promises import summary
from tests.synthetic_records import changed, failed_record, given, quality_record, speed_of, speed_record, write_run

EAGER = Case("v3", "eager", "fp32", 1, 468)
HALF = Case("v3", "eager", "fp16", 1, 468)
FAST = Case("v3", "tensorrt", "fp16", 1, 468)


def checks(directory: Path, records: list[Record], baseline: str = "eager fp32") -> dict[str, Check]:
    found = check_promises(load_run(write_run(directory, records)))
    return {check.key: check for check in found if check.baseline == baseline and check.backend == "tensorrt"}


def with_speedup(ratio: float, low: float | None, high: float | None) -> Record:
    record = speed_record(FAST)
    return changed(
        record, speedup_fp32=replace(given(speed_of(record).speedup_fp32), ratio=ratio, ci95_low=low, ci95_high=high)
    )


@pytest.mark.parametrize(
    ("ratio", "low", "high", "verdict"),
    [
        (3.0, 2.5, 3.5, HELD),
        (2.05, 1.95, 2.15, NOT_HELD),
        (1.2, 1.1, 1.3, NOT_HELD),
        (9.0, 8.5, 9.5, HELD),
        (2.0, None, None, HELD),
        (1.99, None, None, NOT_HELD),
    ],
)
def test_held_needs_the_whole_interval(
    tmp_path: Path, ratio: float, low: float | None, high: float | None, verdict: str
) -> None:
    """The promise is held when the interval's lower end reaches it; a single reading counts by its value."""
    check = checks(tmp_path, [speed_record(EAGER), with_speedup(ratio, low, high)])["speed"]
    assert check.verdict == verdict
    assert (given(check.measured).value, given(check.measured).low, given(check.measured).high) == (ratio, low, high)


def test_more_than_promised_and_nearly_held_are_said(tmp_path: Path) -> None:
    """The remark tells a promise beaten from one that only its interval reaches."""
    over = checks(tmp_path / "over", [speed_record(EAGER), with_speedup(9.0, 8.5, 9.5)])["speed"]
    near = checks(tmp_path / "near", [speed_record(EAGER), with_speedup(2.0, 1.9, 2.1)])["speed"]
    assert "more than the promised" in over.reason
    assert "the interval reaches" in near.reason


def test_the_two_cases_compared_are_named(tmp_path: Path) -> None:
    """Every figure names its case and its baseline case, of both baselines."""
    records = [speed_record(EAGER), speed_record(HALF), speed_record(FAST)]
    fp32 = given(checks(tmp_path / "a", records)["speed"].measured)
    fp16 = given(checks(tmp_path / "b", records, "eager fp16")["speed"].measured)
    assert (fp32.test, fp32.base) == (FAST.id, EAGER.id)
    assert (fp16.test, fp16.base) == (FAST.id, HALF.id)


def test_memory_is_the_reduction_of_the_process(tmp_path: Path) -> None:
    """600 of 1000 MiB is 40 % less, from the process's figure and not the allocator's."""
    records = []
    for case, size in ((EAGER, 1000), (FAST, 600)):
        record = speed_record(case)
        records.append(changed(record, memory=replace(given(speed_of(record).memory), process_gpu_bytes=size * 2**20)))
    check = checks(tmp_path, records)["memory"]
    assert given(check.measured).value == pytest.approx(40.0)
    assert check.verdict == HELD
    assert "GPU memory of the process" in check.reason
    assert check.figure == "\N{MINUS SIGN}40.0 %"


def test_latency_is_the_callers_wait(tmp_path: Path) -> None:
    """The reduction is of the host's clock: 2 ms instead of 8 ms is 75 %, whatever the device's clock says."""
    records = []
    for case, host_ms in ((EAGER, 8.0), (FAST, 2.0)):
        record = speed_record(case)
        timing = replace(speed_of(record).timing, host_samples_ms=(host_ms,) * 10, host_median_ms=host_ms)
        records.append(changed(record, timing=timing))
    measured = given(checks(tmp_path, records)["latency"].measured)
    assert (measured.value, measured.low, measured.high) == pytest.approx((75.0, 75.0, 75.0))


def test_throughput_compares_each_side_at_its_best(tmp_path: Path) -> None:
    """Batch 4 of the one against batch 1 of the other, when these are their best."""
    case = replace(FAST, batch=4)
    test = changed(speed_record(case), throughput=Throughput(10.0, 600.0, 0.002, 40, "back-to-back"))
    slow = changed(speed_record(FAST), throughput=Throughput(10.0, 300.0, 0.003, 40, "back-to-back"))
    base = changed(speed_record(EAGER), throughput=Throughput(10.0, 100.0, 0.01, 40, "back-to-back"))
    check = checks(tmp_path, [base, speed_record(replace(EAGER, batch=4)), test, slow])["throughput"]
    best = given(speed_of(speed_record(replace(EAGER, batch=4))).throughput).audio_s_per_s
    assert given(check.measured).test == case.id
    assert given(check.measured).value == pytest.approx(600 / max(100.0, best))
    assert given(check.measured).low is None
    assert "no interval" in check.reason


def test_throughput_of_an_eager_that_ran_its_best_shape_in_turn_only(tmp_path: Path) -> None:
    """A run without eager alone at its best shape does not make its worse ones the measure."""
    eager, fast, batched = speed_record(EAGER), speed_record(FAST), speed_record(replace(FAST, batch=4))
    audio_s = given(speed_of(batched).throughput).audio_s_per_s / given(speed_of(batched).throughput).inferences_per_s
    for eager_s_per_s, in_turn in ((2 * given(speed_of(eager).throughput).audio_s_per_s, True), (1.0, False)):
        speedup = replace(given(speed_of(batched).speedup_fp32), baseline_median_ms=1000 * audio_s / eager_s_per_s)
        slower = speed_record(replace(FAST, batch=2), rounds=20)
        slower = changed(slower, speedup_fp32=replace(given(speed_of(slower).speedup_fp32), baseline_median_ms=1e6))
        records = [eager, fast, changed(batched, speedup_fp32=speedup), slower]
        check = checks(tmp_path / str(in_turn), records)["throughput"]
        assert check.measured is not None
        best = eager_s_per_s if in_turn else given(speed_of(eager).throughput).audio_s_per_s
        ours = max(
            given(speed_of(record).throughput).audio_s_per_s for record in records[1:] if speed_of(record).throughput
        )
        assert given(check.measured).value == pytest.approx(ours / best)
        assert given(check.measured).base == (replace(EAGER, batch=4) if in_turn else EAGER).id
        assert ("in turn with others only" in check.reason) == in_turn
    known = changed(speed_record(replace(EAGER, batch=4)), throughput=Throughput(1.0, 1.0, 1.0, 40, "back-to-back"))
    speedup = replace(given(speed_of(batched).speedup_fp32), baseline_median_ms=0.001)
    check = checks(tmp_path / "known", [eager, fast, known, changed(batched, speedup_fp32=speedup)])["throughput"]
    assert given(check.measured).base == EAGER.id


def test_the_interval_of_throughput_holds_the_ratio_of_the_rounds(tmp_path: Path) -> None:
    """Where both sides counted their rounds, the interval is of the ratio of mean times."""
    records = [speed_record(EAGER), speed_record(FAST)]
    measured = given(checks(tmp_path, records)["throughput"].measured)
    expected = speed_of(records[0]).timing.mean_ms / speed_of(records[1]).timing.mean_ms
    low, high = given(measured.low), given(measured.high)
    assert low < expected < high
    assert high / low < 1.05


def test_what_did_not_run_is_not_measured_with_its_reason(tmp_path: Path) -> None:
    """A backend that could not run has one row that says why, and the summary repeats it."""
    failed = failed_record(FAST, Status.UNAVAILABLE, "tensorrt is not installed")
    found = check_promises(load_run(write_run(tmp_path, [speed_record(EAGER), failed])))
    assert [(check.verdict, check.measured) for check in found] == [(NOT_MEASURED, None)]
    assert "tensorrt is not installed" in found[0].reason
    assert all("tensorrt is not installed" in sentence for *_, sentence in summary(found))


def test_eight_bits_are_held_against_fp32_alone(tmp_path: Path) -> None:
    """Where PyTorch has no eager of a precision, nothing is said about one; where it was left out, that is said."""
    ran = changed(speed_record(FAST), speedup_same_precision=None)
    eight = replace(ran, case=replace(FAST, precision="int8"))
    assert checks(tmp_path / "eight", [speed_record(EAGER), eight])["speed"].verdict == HELD
    assert not checks(tmp_path / "eight", [speed_record(EAGER), eight], "eager int8")
    neither = changed(ran, speedup_fp32=None)
    found = checks(tmp_path / "half", [speed_record(EAGER), speed_record(HALF), neither], "eager fp16")["speed"]
    assert (found.verdict, found.reason) == (NOT_MEASURED, "eager fp16 was not run in turn with it")


def test_eager_in_turn_is_enough_for_speed(tmp_path: Path) -> None:
    """A sweep of TensorRT alone has eager's rounds; what needs a case of eager's own stays without a figure."""
    batched, short = speed_record(replace(FAST, batch=4)), speed_record(replace(FAST, frames=100))
    run = tmp_path / "run"
    found = checks(run, [batched, short, with_speedup(3.0, 2.9, 3.1)])
    speed = found["speed"]
    assert speed.measured is not None
    assert (speed.verdict, given(speed.measured).value, given(speed.measured).base) == (HELD, 3.0, EAGER.id)
    assert given(speed.measured).test == FAST.id
    assert {key: check.reason for key, check in found.items() if key != "speed"} == {
        "throughput": "no throughput of eager fp32",
        "latency": "eager fp32 has no case of its own at any of its shapes",
        "memory": "eager fp32 has no case of its own at any of its shapes",
    }
    half = checks(run, [batched, short, speed_record(FAST)], "eager fp16")["speed"]
    assert half.measured is not None
    assert given(half.measured).base == HALF.id


def test_the_summary_does_not_mix_baselines(tmp_path: Path) -> None:
    """What a lower precision gains over fp32 is not what TensorRT gains over eager of that precision."""
    fast = with_speedup(6.0, 5.9, 6.1)
    same = replace(given(speed_of(fast).speedup_same_precision), ratio=1.5, ci95_low=1.4, ci95_high=1.6)
    records = [speed_record(EAGER), speed_record(HALF), changed(fast, speedup_same_precision=same)]
    every = check_promises(load_run(write_run(tmp_path, records)))
    [sentence] = [words for title, _, words in summary(every) if "speed" in title]
    own, _, single = sentence.partition("; ")
    assert own.startswith("against eager of its own precision held in 0 of 1 comparisons, 1.50\N{MULTIPLICATION SIGN}")
    assert single.startswith("against eager fp32 held in 1 of 1 comparisons, 6.00\N{MULTIPLICATION SIGN}")


def test_a_speedup_that_was_not_interleaved_is_not_made_up(tmp_path: Path) -> None:
    """Without rounds run in turn there is no speedup, even where both medians are known."""
    record = changed(speed_record(FAST), speedup_fp32=None, speedup_same_precision=None)
    check = checks(tmp_path, [speed_record(EAGER), record])["speed"]
    assert check.verdict == NOT_MEASURED
    assert "not run in turn" in check.reason


def test_the_verdict_on_the_sound_stands_beside_the_promise(tmp_path: Path) -> None:
    """A promise that is held by a configuration that fails its tier shows both."""
    records = [speed_record(EAGER), with_speedup(4.0, 3.9, 4.1), quality_record(FAST, "fail")]
    check = checks(tmp_path, records)["speed"]
    assert (check.verdict, check.fidelity) == (HELD, "fail")


@pytest.mark.parametrize(("launch_ms", "waited"), [(7.2, True), (7.19, False), (None, False)])
def test_a_launch_bound_eager_is_named(tmp_path: Path, launch_ms: float | None, waited: bool) -> None:
    """From launches that took nine tenths of the time on; speed by its own rounds, latency by eager's own case."""
    eager, fast, batched = speed_record(EAGER), speed_record(FAST), speed_record(replace(FAST, batch=4))
    eager = changed(eager, timing=replace(speed_of(eager).timing, median_ms=8.0, launch_median_ms=launch_ms))
    turn = replace(given(speed_of(fast).speedup_fp32), baseline_median_ms=8.0, baseline_launch_median_ms=launch_ms)
    batched = changed(batched, speedup_fp32=replace(given(speed_of(batched).speedup_fp32), baseline_median_ms=8.0))
    records = [eager, changed(fast, speedup_fp32=turn), batched]
    found = checks(tmp_path / "run", records)
    words = "eager is launch-bound here: 7.20 ms by the host's clock until launched, 8.00 ms in all by the device's"
    assert [key for key, check in found.items() if words in check.reason] == (["speed", "latency"] if waited else [])
    otherwise = "it does not fill the device" if launch_ms else "it is launch-bound, or does not fill the device"
    for key in ("speed", "latency"):
        assert found[key].reason.endswith(words if waited else otherwise)
    run = load_run(tmp_path / "run")
    sentences = [sentence for _, _, sentence in summary(check_promises(run)) if "launch-bound in 1" in sentence]
    assert len(sentences) == (2 if waited else 0)
    warned = [text for text in warnings_of(run) if "launch-bound" in text]
    assert len(warned) == waited
    assert all(text.startswith("In 1 of 4 comparisons with eager in turn") for text in warned)


@pytest.mark.parametrize(("factor", "told"), [(3.0, "3.0"), (1.4, "")])
def test_eager_that_is_not_at_its_best_is_told(tmp_path: Path, factor: float, told: str) -> None:
    """A promise held against an eager that waits for its host says so; memory has nothing to do with that."""
    eager, fast, batched = speed_record(EAGER), speed_record(FAST), speed_record(replace(FAST, batch=4))
    best = 4 * speed_of(eager).timing.median_ms / factor
    batched = changed(batched, speedup_fp32=replace(given(speed_of(batched).speedup_fp32), baseline_median_ms=best))
    records = [eager, fast, batched]
    found = checks(tmp_path / "run", records)
    words = f"eager takes {told}\N{MULTIPLICATION SIGN} as long for a frame here as at its best shape"
    assert [key for key, check in found.items() if words in check.reason] == (["speed", "latency"] if told else [])
    every = check_promises(load_run(tmp_path / "run"))
    sentences = [sentence for _, _, sentence in summary(every) if "eager took up to" in sentence]
    assert len(sentences) == (2 if told else 0)
    assert all(f"up to {told}" in sentence for sentence in sentences)
