from dataclasses import replace
from pathlib import Path

import pytest

from bench.case import Case
from bench.errors import InputError
from bench.records.run import load_run
from bench.records.schema import Record
from bench.report.sections.changes import compare
from tests.synthetic_records import changed, given, speed_of, speed_record, write_run

CASE = Case("v3", "torchscript", "fp16", 1, 468)


def slower(record: Record, factor: float) -> Record:
    timing, speedup = speed_of(record).timing, given(speed_of(record).speedup_same_precision)
    samples = tuple(factor * sample for sample in timing.samples_ms)
    timing = replace(
        timing,
        samples_ms=samples,
        host_samples_ms=samples,
        median_ms=factor * timing.median_ms,
        mean_ms=factor * timing.mean_ms,
        ci95_low_ms=factor * given(timing.ci95_low_ms),
        ci95_high_ms=factor * given(timing.ci95_high_ms),
    )
    speedup = replace(speedup, ratio=speedup.ratio / factor)
    return changed(record, run_id="new", timing=timing, speedup_same_precision=speedup)


def test_a_case_twice_as_slow_is_a_bad_row(tmp_path: Path) -> None:
    """The comparison's verdict reaches the report, with both figures and the change."""
    base = write_run(tmp_path / "base", [speed_record(CASE, rounds=60)])
    new = write_run(tmp_path / "new", [slower(speed_record(CASE, rounds=60, seed=1), 2.0)])
    found = compare(base, load_run(new))
    assert "1 case became worse" in found.headline
    row = next(row for row in found.rows if row.tone == "bad")
    assert (row.case, row.verdict) == (CASE.id, "SLOW")
    assert row.change.startswith(("2.0", "1.9"))
    assert row.name == "v3 TorchScript fp16, batch 1, 468 frames"
    assert found.rows[0].tone == "bad"
    drawn = next(row.strips for row in found.rows if row.metric == "time")
    assert drawn is not None
    assert drawn.high_ms / drawn.low_ms > 1.9


def test_a_run_against_itself_has_nothing_to_say(tmp_path: Path) -> None:
    """The same records on both sides give no bad and no good row."""
    run = write_run(tmp_path / "base", [speed_record(CASE, rounds=60)])
    other = write_run(tmp_path / "new", [replace(speed_record(CASE, rounds=60), run_id="new")])
    found = compare(run, load_run(other))
    assert found.headline.startswith("Nothing became worse")
    assert not any(row.tone for row in found.rows)


def test_a_baseline_that_is_not_there_is_an_input_error(tmp_path: Path) -> None:
    """One sentence names the path."""
    run = load_run(write_run(tmp_path / "run", [speed_record(CASE)]))
    with pytest.raises(InputError, match="nowhere"):
        compare(tmp_path / "nowhere", run)
