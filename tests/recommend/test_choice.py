"""A recommendation is the best of what may be shipped, with the runner-up, and everything else has its reason."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bench.case import Case
from bench.errors import InputError
from bench.recommend import code, recommend
from bench.records.limits import Energy
from bench.records.schema import Build, Record, Status
from tests.synthetic_records import changed, failed_record, given, quality_record, speed_of, speed_record, write_run

EAGER, REFERENCE = Case("v3", "eager", "fp16", 1, 468), Case("v3", "eager", "fp32", 1, 468)
TENSORRT, COMPILE = Case("v3", "tensorrt", "fp16", 1, 468), Case("v3", "compile", "fp16", 1, 468)
ALL = (REFERENCE, EAGER, TENSORRT, COMPILE)


def _judged(*cases: Case) -> list[Record]:
    return [record for case in cases for record in (speed_record(case), quality_record(case))]


def _run(folder: Path, records: list[Record]) -> Path:
    return write_run(folder, records)


def _timed(case: Case, **timing: object) -> Record:
    record = speed_record(case)
    return changed(record, timing=replace(speed_of(record).timing, **timing))  # type: ignore[arg-type]


def test_the_fastest_within_its_tier(tmp_path: Path) -> None:
    """TensorRT is fastest, compile second at 0.5 / 0.3 of its time, and nothing is ruled out."""
    answer = recommend(_run(tmp_path, _judged(*ALL)), "v3")
    assert answer.chosen.case == TENSORRT
    assert answer.unit == "ms"
    runner_up = given(answer.runner_up)
    assert runner_up.case == COMPILE
    assert runner_up.value / answer.chosen.value == pytest.approx(5 / 3, rel=0.02)
    assert "median is 1.6" in runner_up.why
    assert answer.ruled_out == ()
    assert answer.synthetic


def _failed(case: Case) -> list[Record]:
    return [speed_record(case), quality_record(case, "fail")]


def _warned(case: Case) -> list[Record]:
    return [speed_record(case), quality_record(case, "warn")]


def _not_judged(case: Case) -> list[Record]:
    return [speed_record(case)]


def _fails_elsewhere(case: Case) -> list[Record]:
    return [*_judged(case), quality_record(replace(case, frames=23), "fail")]


def _throttled(case: Case) -> list[Record]:
    record = speed_record(case)
    state = replace(given(speed_of(record).gpu_state), throttle_reasons=("hw_thermal", "sw_power_cap"))
    return [changed(record, gpu_state=state), quality_record(case)]


def _unstable(case: Case) -> list[Record]:
    median = speed_of(speed_record(case)).timing.median_ms
    return [_timed(case, ci95_low_ms=0.9 * median, ci95_high_ms=1.1 * median), quality_record(case)]


def _few_rounds(case: Case) -> list[Record]:
    return [_timed(case, ci95_low_ms=None, ci95_high_ms=None), quality_record(case)]


def _zero(case: Case) -> list[Record]:
    return [_timed(case, median_ms=0.0), quality_record(case)]


def _crashed(case: Case) -> list[Record]:
    return [failed_record(case, Status.CRASHED, "signal 11"), quality_record(case)]


@pytest.mark.parametrize(
    ("records_of", "reason"),
    [
        (_failed, "its sound fails"),
        (_warned, "at the edge of its tier"),
        (_not_judged, "its sound was not judged"),
        (_fails_elsewhere, "its sound fails (v3-tensorrt-fp16-b1-t23"),
        (_throttled, "throttled while it was timed (hw_thermal)"),
        (_unstable, "not stable"),
        (_few_rounds, "too few"),
        (_zero, "no numbers"),
        (_crashed, "crashed: signal 11"),
    ],
)
def test_what_may_not_be_shipped_is_no_answer(
    tmp_path: Path, records_of: Callable[[Case], list[Record]], reason: str
) -> None:
    """The fastest row loses with its reason, and the second takes its place."""
    answer = recommend(_run(tmp_path, [*_judged(REFERENCE, EAGER, COMPILE), *records_of(TENSORRT)]), "v3")
    assert answer.chosen.case == COMPILE
    [(name, why)] = answer.ruled_out
    assert name == "tensorrt fp16"
    assert reason in why


def test_a_power_cap_is_no_fault(tmp_path: Path) -> None:
    """A card at its power limit is at work."""
    record = speed_record(TENSORRT)
    state = replace(given(speed_of(record).gpu_state), throttle_reasons=("sw_power_cap",))
    records = [*_judged(EAGER), changed(record, gpu_state=state), quality_record(TENSORRT)]
    assert recommend(_run(tmp_path, records), "v3").chosen.case == TENSORRT


def test_the_build_s_limit(tmp_path: Path) -> None:
    """90 s of build are too long for a minute, and eager, which is not built, is left."""
    run = _run(tmp_path, _judged(REFERENCE, EAGER, TENSORRT))
    assert recommend(run, "v3", max_build_s=100).chosen.case == TENSORRT
    answer = recommend(run, "v3", max_build_s=60)
    assert answer.chosen.case == EAGER
    assert answer.ruled_out == (("tensorrt fp16", "its build takes 90 s"),)


def test_a_build_found_in_the_cache_counts_in_full(tmp_path: Path) -> None:
    """A user without this machine's cache waits for the build."""
    kept = changed(speed_record(TENSORRT), build=Build(0.5, build_s=382.0, from_cache=True))
    run = _run(tmp_path, [*_judged(EAGER), kept, quality_record(TENSORRT)])
    assert recommend(run, "v3", max_build_s=60).chosen.case == EAGER


def test_latency_is_asked_at_one_shape(tmp_path: Path) -> None:
    """The measured length nearest to what matters, at the smallest batch; a faster row elsewhere is no answer there."""
    short = replace(COMPILE, frames=23)
    run = _run(tmp_path, [*_judged(EAGER, TENSORRT, short), *_judged(replace(TENSORRT, batch=4))])
    assert recommend(run, "v3", frames=30).chosen.case == short
    assert recommend(run, "v3", frames=900).chosen.case == TENSORRT
    assert recommend(run, "v3").chosen.case == TENSORRT


def test_throughput_takes_any_shape(tmp_path: Path) -> None:
    """Each configuration stands with its best batch; of a length that matters only rows of that length count."""
    large = replace(EAGER, batch=8)
    fast = speed_record(large)
    fast = changed(fast, throughput=replace(given(speed_of(fast).throughput), audio_s_per_s=1e6))
    run = _run(tmp_path, [*_judged(EAGER, TENSORRT), fast, *_judged(replace(COMPILE, frames=23))])
    answer = recommend(run, "v3", "throughput")
    assert (answer.chosen.case, answer.chosen.value) == (large, 1e6)
    assert "1/" in given(answer.runner_up).why
    assert recommend(run, "v3", "throughput", frames=23).chosen.case.frames == 23


def test_memory_is_the_figure_that_all_have(tmp_path: Path) -> None:
    """Where one row lacks the GPU's growth, all are compared by the process's memory."""
    records = _judged(EAGER, TENSORRT)
    memory = given(speed_of(records[0]).memory)
    records[0] = changed(records[0], memory=replace(memory, process_gpu_bytes=5, device_delta_bytes=10**12))
    answer = recommend(_run(tmp_path, records), "v3", "memory")
    assert (answer.path, answer.chosen.case, answer.chosen.value) == ("memory.process_gpu_bytes", EAGER, 5)


def test_energy(tmp_path: Path) -> None:
    """Joules a second of audio decide; rows without a counter take no part."""
    records = [
        changed(speed_record(EAGER), energy=Energy(2.0, 500.0, 1.0, 10)),
        changed(speed_record(COMPILE), energy=Energy(3.0, 400.0, 1.0, 10)),
        speed_record(TENSORRT),
        *(quality_record(case) for case in (EAGER, COMPILE, TENSORRT)),
    ]
    answer = recommend(_run(tmp_path, records), "v3", "energy")
    assert (answer.chosen.case, answer.unit) == (EAGER, "J/audio s")
    assert given(answer.runner_up).why == "energy is 1.5 times the chosen one's"


def test_rows_that_overlap_are_said_to(tmp_path: Path) -> None:
    """Two medians within each other's interval are told as such."""
    median = speed_of(speed_record(TENSORRT)).timing.median_ms
    near = _timed(COMPILE, median_ms=1.01 * median, ci95_low_ms=0.99 * median, ci95_high_ms=1.03 * median)
    records = [*_judged(EAGER, TENSORRT), near, quality_record(COMPILE)]
    assert "intervals overlap" in given(recommend(_run(tmp_path, records), "v3").runner_up).why


def test_nothing_to_recommend(tmp_path: Path) -> None:
    """A run in which nothing was judged has no answer, and the reasons are given."""
    run = _run(tmp_path, [speed_record(TENSORRT)])
    with pytest.raises(InputError, match=r"nothing in the run may be recommended.*tensorrt fp16: its sound was not"):
        recommend(run, "v3")
    with pytest.raises(InputError, match="no timed case of v4"):
        recommend(run, "v4")
    with pytest.raises(InputError, match="unknown objective 'speed'"):
        recommend(run, "v3", "speed")
    with pytest.raises(InputError, match="nothing in the run may be recommended for v3 by energy"):
        recommend(_run(tmp_path / "judged", _judged(EAGER)), "v3", "energy")


def test_what_ran_is_told_before_what_does_not_run_here(tmp_path: Path) -> None:
    """Five backends that are not there do not hide why the case that was measured is no answer."""
    missing = [
        replace(
            speed_record(EAGER),
            case=Case("v3", name, "fp16", 1, 468),
            status=Status.UNAVAILABLE,
            reason="no GPU.",
            result=None,
        )
        for name in ("cuda-graph", "fused", "tensorrt-onnx", "tensorrt-rtx", "torchscript")
    ]
    with pytest.raises(
        InputError, match=r"by latency: tensorrt fp16: its sound was not judged.*; cuda-graph fp16: una"
    ):
        recommend(_run(tmp_path, [*missing, speed_record(TENSORRT)]), "v3")


def test_two_devices_have_to_be_told_apart(tmp_path: Path) -> None:
    """A run on a GPU and a CPU has two answers, and says how to ask for one."""
    cpu = [speed_record(EAGER, device="cpu"), quality_record(EAGER, device="cpu")]
    run = _run(tmp_path, [*_judged(EAGER), *cpu])
    with pytest.raises(InputError, match="give one device"):
        recommend(run, "v3")
    assert recommend(run, "v3", device="cpu").device == "cpu"


def test_the_lines_run_the_answer(tmp_path: Path) -> None:
    """They are Python, with the shape and the rate beside them."""
    answer = recommend(_run(tmp_path, _judged(*ALL)), "v3")
    lines = code(answer, "results/run", "weights")
    compile(lines, "lines", "exec")
    assert "load('results/run', 'v3', weights='weights', objective='latency', frames=468, device='cuda:0')" in lines
    assert "(1, 100, 468) to samples (1, 1, 119808) at 24000 Hz" in lines


def test_infinity_is_no_figure() -> None:
    """A figure that is not finite is never the best one."""
    from bench.recommend.choice import OBJECTIVES, _has
    from bench.records.rows import Judgement, Row

    record = _timed(EAGER, median_ms=math.inf)
    row = Row(record, {"speed": record}, 1, Judgement("pass"))
    assert not _has(row, OBJECTIVES["latency"].paths[0])
