"""The guide's promises, against pairs whose ratio is known."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.case import Case
from bench.records.run import load_run
from bench.records.schema import Build, Record, Status
from bench.report.promises import HELD, NOT_HELD, NOT_MEASURED, Line, lines, signed
from tests.synthetic_records import changed, failed_record, given, quality_record, speed_of, speed_record, write_run

EAGER, HALF = Case("v3", "eager", "fp32", 1, 468), Case("v3", "eager", "fp16", 1, 468)
FAST, COMPILE = Case("v3", "tensorrt", "fp16", 1, 468), Case("v3", "compile", "fp16", 1, 468)
SPEED, THROUGHPUT, LATENCY, MEMORY = range(4)


def promised(folder: Path, *records: Record) -> list[Line]:
    return lines(load_run(write_run(folder, list(records))))


def over(record: Record, ratio: float, low: float | None = None, high: float | None = None) -> Record:
    turn = replace(given(speed_of(record).speedup_fp32), ratio=ratio, ci95_low=low, ci95_high=high)
    return changed(record, speedup_fp32=turn)


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
    cell = promised(tmp_path, over(speed_record(FAST), ratio, low, high))[SPEED].cells[0]
    assert cell.verdict == verdict
    assert cell.figure.startswith(f"{ratio:.2f}")


def test_more_than_promised_and_nearly_held_are_said(tmp_path: Path) -> None:
    """The remark tells a promise beaten from one that only its interval reaches."""
    beaten = promised(tmp_path / "over", over(speed_record(FAST), 9.0, 8.5, 9.5))[SPEED].cells[0]
    near = promised(tmp_path / "near", over(speed_record(FAST), 2.0, 1.9, 2.1))[SPEED].cells[0]
    assert "more than the promised" in beaten.note
    assert "the interval reaches" in near.note


def test_eight_lines_for_two_vocoders_each_with_three_baselines(tmp_path: Path) -> None:
    """However many configurations there are, the table stays short and has the fastest that may be shipped."""
    bad = replace(FAST, precision="bf16")
    records = [
        speed_record(case) for case in (EAGER, HALF, FAST, bad, COMPILE, replace(FAST, version="v4", frames=500))
    ]
    found = promised(tmp_path, *records, quality_record(FAST), quality_record(bad, "fail"))
    assert len(found) == 8
    assert {line.subject for line in found if line.version == "v3"} == {"Torch-TensorRT fp16"}
    assert {line.title for line in found if line.version == "v3"} == {FAST.id}
    assert all(len(line.cells) == 3 for line in found)


def test_latency_is_the_same_rounds_as_a_reduction(tmp_path: Path) -> None:
    """Four times as fast is 75 % less, its interval in the order of its ends, and held."""
    cell = promised(tmp_path, over(speed_record(FAST), 4.0, 2.5, 5.0))[LATENCY].cells[0]
    minus = "\N{MINUS SIGN}"
    assert cell.figure == f"{minus}75.0 % [{minus}80.0, {minus}60.0]"
    assert cell.verdict == HELD


def test_a_baseline_of_another_sweep_is_no_baseline(tmp_path: Path) -> None:
    """Eager's memory and the best PyTorch from another sweep leave their cells blank."""
    others = [replace(speed_record(case), run_id="another") for case in (EAGER, HALF, COMPILE)]
    found = promised(tmp_path, speed_record(FAST), *others)
    assert [cell.verdict for cell in found[MEMORY].cells] == [NOT_MEASURED] * 3
    assert found[SPEED].cells[2].verdict == NOT_MEASURED
    assert found[SPEED].cells[0].verdict != NOT_MEASURED


def test_memory_is_told_with_and_without_the_context(tmp_path: Path) -> None:
    """60 + 20 of 100 MiB is a fifth less, though the process with CUDA's context has hardly less."""
    records = []
    for case, allocated, engine, process in ((EAGER, 100, 0, 700), (FAST, 60, 20, 680)):
        record = changed(speed_record(case), build=Build(1.0, engine * 2**20))
        memory = replace(
            given(speed_of(record).memory),
            reserved_peak_bytes=allocated * 2**20,
            process_gpu_bytes=process * 2**20,
        )
        records.append(changed(record, memory=memory))
    cell = promised(tmp_path, *records)[MEMORY].cells[0]
    minus = "\N{MINUS SIGN}"
    assert cell.figure == f"{minus}20.0 % (100 to 80.0 MiB); {minus}2.9 % with CUDA's context"
    assert cell.verdict == HELD


def test_throughput_counts_the_baseline_at_its_own_best_shape(tmp_path: Path) -> None:
    """Eager that makes twice the audio a second at batch 4 halves what the engine gains at batch 1."""
    one = over(speed_record(FAST), 4.0, 3.9, 4.1)
    batched = speed_record(replace(FAST, batch=4))
    alone = promised(tmp_path / "alone", one)[THROUGHPUT].cells[0]
    assert alone.figure.startswith("4.00")
    base_ms = 4 * speed_of(one).timing.median_ms
    timing = replace(speed_of(batched).timing, median_ms=1e4)
    turn = replace(given(speed_of(batched).speedup_fp32), baseline_median_ms=2 * base_ms)
    both = promised(tmp_path / "both", one, changed(batched, timing=timing, speedup_fp32=turn))[THROUGHPUT].cells[0]
    assert both.figure.startswith("2.00")
    assert "its own best shape" in both.note


def test_what_did_not_run_is_not_measured_with_its_reason(tmp_path: Path) -> None:
    """Where TensorRT is not there the lines say so."""
    failed = failed_record(FAST, Status.UNAVAILABLE, "tensorrt is not installed")
    found = promised(tmp_path, speed_record(EAGER), failed)
    assert [cell.verdict for line in found for cell in line.cells] == [NOT_MEASURED] * 12
    assert "tensorrt is not installed" in found[0].cells[0].note


def test_a_speedup_that_was_not_interleaved_is_not_made_up(tmp_path: Path) -> None:
    """Without rounds in turn there is no ratio, even where both medians are known."""
    record = changed(speed_record(FAST), speedup_fp32=None, speedup_same_precision=None)
    cells = promised(tmp_path, speed_record(EAGER), speed_record(HALF), record)[SPEED].cells
    assert [cell.verdict for cell in cells] == [NOT_MEASURED] * 3


def test_the_verdict_on_the_sound_stands_beside_the_promise(tmp_path: Path) -> None:
    """A promise that is held by a configuration that fails its tier shows both."""
    line = promised(tmp_path, over(speed_record(FAST), 4.0, 3.9, 4.1), quality_record(FAST, "fail"))[SPEED]
    assert (line.cells[0].verdict, line.fidelity) == (HELD, "fail")


def test_a_launch_bound_eager_is_named(tmp_path: Path) -> None:
    """Its ratio is the host's as much as the GPU's."""
    record = speed_record(FAST)
    turn = given(speed_of(record).speedup_fp32)
    record = changed(record, speedup_fp32=replace(turn, baseline_launch_median_ms=turn.baseline_median_ms))
    assert promised(tmp_path, record)[SPEED].cells[0].note.endswith("it is launch-bound; more than the promised 5.0")


def test_a_reduction_is_written_with_its_sign() -> None:
    """Less is minus, more is plus, and nothing has no sign."""
    assert (signed(50.0), signed(-3.0), signed(0.01)) == ("\N{MINUS SIGN}50.0", "+3.0", "0.0")
