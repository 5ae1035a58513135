"""The ladder shows eager, the best of every backend, and the machine's limit on one scale."""

from dataclasses import replace
from pathlib import Path

from bench.case import Case
from bench.records.limits import Ceilings, Roofline
from bench.records.run import load_run
from bench.records.schema import Record
from bench.report.ladder import Ladder, ladder
from tests.synthetic_records import changed, given, quality_record, speed_of, speed_record, write_run

REFERENCE, EAGER = Case("v3", "eager", "fp32", 1, 468), Case("v3", "eager", "fp16", 1, 468)
COMPILE, TENSORRT = Case("v3", "compile", "fp16", 1, 468), Case("v3", "tensorrt", "fp16", 1, 468)
LIMIT = Roofline(
    flops=858 * 10**9,
    least_bytes=225 * 10**6,
    ceilings=Ceilings(3e12, 8e14, "fp16", "2026-01-01T00:00:00+00:00"),
    floor_ms=1.0725,
    layered_floor_ms=1.9,
    percent_of_limit=55.0,
    bound_by="compute",
)


def made(folder: Path, *records: Record) -> Ladder:
    [group] = load_run(write_run(folder, list(records))).groups
    return ladder(group, next(row for row in group.rows if row.case == TENSORRT))


def test_rungs_lead_from_eager_to_the_limit(tmp_path: Path) -> None:
    """Each backend stands once with its best, eager from the winner's own rounds, the limit last."""
    fast = changed(speed_record(TENSORRT), roofline=LIMIT)
    found = made(tmp_path, *map(speed_record, (REFERENCE, EAGER, COMPILE)), fast)
    assert [rung.name for rung in found.rungs] == [
        "PyTorch eager fp32",
        "PyTorch eager fp16",
        "torch.compile fp16",
        "Torch-TensorRT fp16",
        "the GPU's limit, fp16",
    ]
    assert found.rungs[0].ms == given(speed_of(fast).speedup_fp32).baseline_median_ms == found.top_ms
    assert (found.rungs[-1].ms, found.rungs[-1].limit) == (1.0725, True)
    assert found.plain == "torch.compile fp16"
    assert found.rungs[3].over_plain.startswith("1.6")


def test_eager_in_turn_needs_no_case_of_its_own(tmp_path: Path) -> None:
    """A sweep of one engine has a ladder, and a launch-bound eager says so."""
    record = speed_record(TENSORRT)
    turn = given(speed_of(record).speedup_same_precision)
    turn = replace(turn, baseline_launch_median_ms=turn.baseline_median_ms)
    found = made(tmp_path, changed(record, speedup_same_precision=turn))
    assert [(rung.name, rung.remark) for rung in found.rungs] == [
        ("PyTorch eager fp32", ""),
        ("PyTorch eager fp16", "launch-bound"),
        ("Torch-TensorRT fp16", "sound: not judged"),
    ]


def test_a_backend_stands_with_a_sound_that_may_be_shipped(tmp_path: Path) -> None:
    """A faster precision that fails is no rung; one that warns gives way to one that passes."""
    fp32 = replace(COMPILE, precision="fp32")
    records = [speed_record(case) for case in (TENSORRT, COMPILE, fp32)]
    found = made(tmp_path, *records, quality_record(COMPILE, "warn"), quality_record(fp32), quality_record(TENSORRT))
    assert "torch.compile fp32" in [rung.name for rung in found.rungs]
    assert "torch.compile fp16" not in [rung.name for rung in found.rungs]
