"""Ratios come from one sweep and rounds in turn, or are not there."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.case import Case
from bench.records.rows import Group
from bench.records.run import load_run
from bench.records.schema import Build, Record
from bench.report.pairs import Ratio, best_plain, eager_of, over_eager, over_plain, without_context
from tests.synthetic_records import changed, given, quality_record, speed_of, speed_record, write_run

EAGER, HALF = Case("v3", "eager", "fp32", 1, 468), Case("v3", "eager", "fp16", 1, 468)
COMPILE, FAST = Case("v3", "compile", "fp16", 1, 468), Case("v3", "tensorrt", "fp16", 1, 468)


def over(record: Record, ratio: float, launch_ms: float | None = None, spread: float = 0.02) -> Record:
    """The record with this ratio over eager fp32, and none over its own precision."""
    turn = replace(
        given(speed_of(record).speedup_fp32),
        ratio=ratio,
        ci95_low=ratio * (1 - spread),
        ci95_high=ratio * (1 + spread),
        baseline_launch_median_ms=launch_ms,
    )
    return changed(record, speedup_fp32=turn, speedup_same_precision=None)


def group_of(folder: Path, *records: Record) -> Group:
    [group] = load_run(write_run(folder, list(records))).groups
    return group


def test_two_cases_are_compared_through_the_eager_that_both_ran_with(tmp_path: Path) -> None:
    """12 times and 4 times the same eager is 3 times one another, with the bounds that both intervals leave."""
    group = group_of(tmp_path, over(speed_record(FAST), 12.0), over(speed_record(COMPILE), 4.0))
    row = next(row for row in group.rows if row.case == FAST)
    found = over_plain(group, row)
    assert isinstance(found, Ratio)
    assert found.base == COMPILE.id
    assert found.value == pytest.approx(3.0)
    assert (found.low, found.high) == pytest.approx((3 * 0.98 / 1.02, 3 * 1.02 / 0.98))


def test_an_eager_that_waits_for_its_host_links_nothing(tmp_path: Path) -> None:
    """Its time is the host's, which may have moved between the two."""
    launch_ms = 0.08 * 468
    group = group_of(tmp_path, over(speed_record(FAST), 12.0), over(speed_record(COMPILE), 4.0, launch_ms))
    assert "did not run in turn" in str(over_plain(group, group.rows[0]))
    assert over_eager(given(next(row for row in group.rows if row.case == COMPILE)), "fp32") is not None


def test_another_sweep_s_baseline_is_no_baseline(tmp_path: Path) -> None:
    """Neither the best plain PyTorch nor eager's memory comes from another sweep of the same file."""
    others = [replace(speed_record(case), run_id="another") for case in (COMPILE, EAGER)]
    group = group_of(tmp_path, speed_record(FAST), *others)
    row = next(row for row in group.rows if row.case == FAST)
    assert best_plain(group, row) is None
    assert eager_of(group, row, "fp32") is None
    assert "in this sweep" in str(over_plain(group, row))


def test_a_plain_that_fails_or_is_plain_itself_is_none(tmp_path: Path) -> None:
    """A sound that fails is no baseline, eight bits are held against float16, and PyTorch against itself is nothing."""
    records = [speed_record(case) for case in (EAGER, HALF, COMPILE, FAST)]
    group = group_of(tmp_path, *records, quality_record(COMPILE, "fail"))
    fast, compiled = (next(row for row in group.rows if row.case == case) for case in (FAST, COMPILE))
    assert given(best_plain(group, fast)).case == HALF
    assert best_plain(group, compiled) is None
    found = over_plain(group, fast)
    assert isinstance(found, Ratio)
    assert found.value == given(speed_of(records[3]).speedup_same_precision).ratio


def test_memory_without_context_counts_the_engine(tmp_path: Path) -> None:
    """An engine lies outside torch's allocator: 100 bytes of the one and 40 of the other are 140."""
    record = changed(speed_record(FAST), build=Build(9.0, 40))
    memory = replace(given(speed_of(record).memory), reserved_peak_bytes=100)
    [row] = group_of(tmp_path, changed(record, memory=memory)).rows
    assert without_context(row) == 140


def test_a_reduction_is_the_ratio_in_per_cent() -> None:
    """Four times as fast takes 75 % less."""
    assert Ratio(4.0, 2.0, 5.0, "").reduction == pytest.approx((75.0, 50.0, 80.0))
