import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench.case import Case
from bench.errors import InputError
from bench.records.jsonl import dump_record
from bench.records.rows import FAIL, NOT_JUDGED, PASS, REFERENCE
from bench.records.run import load_run
from bench.records.schema import Status
from tests.synthetic_records import RUN_ID, failed_record, quality_record, speed_record, weights, write_run

EAGER = Case("v3", "eager", "fp32", 1, 468)
FAST = Case("v3", "tensorrt", "fp16", 1, 468)


def write_lines(directory: Path, *lines: str) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / "records.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return directory


def test_a_torn_last_line_is_left_out_and_said(tmp_path: Path) -> None:
    """A run that died while writing is read, and the reader is told which line is missing."""
    whole = dump_record(speed_record(EAGER))
    run = load_run(write_lines(tmp_path / "run", whole, whole[: len(whole) // 2]))
    assert len(run.rows) == 1
    assert any("Line 2" in notice and "cut off" in notice for notice in run.notices)


def test_an_unknown_field_is_named(tmp_path: Path) -> None:
    """A field from another version does not stop the report and is named."""
    data = json.loads(dump_record(speed_record(EAGER)))
    run = load_run(write_lines(tmp_path / "run", json.dumps({**data, "phase_of_moon": 3})))
    assert len(run.rows) == 1
    assert any("'phase_of_moon'" in notice for notice in run.notices)


def test_lines_that_cannot_be_read_do_not_take_the_others_with_them(tmp_path: Path) -> None:
    """A newer schema and a record without its case are left out, each with its line and the reason."""
    data = json.loads(dump_record(speed_record(EAGER)))
    newer = json.dumps({**data, "schema_version": 999})
    broken = json.dumps({name: value for name, value in data.items() if name != "case"})
    run = load_run(write_lines(tmp_path / "run", newer, dump_record(speed_record(FAST)), broken))
    assert [row.case for row in run.rows] == [FAST]
    assert [row.line for row in run.rows] == [2]
    assert any(notice.startswith("Line 1") and "schema" in notice for notice in run.notices)
    assert any(notice.startswith("Line 3") and "case" in notice for notice in run.notices)


@pytest.mark.parametrize("content", ["", "\n\n", '{"schema_version": 999}', "{torn"])
def test_a_file_without_any_record_is_an_error(tmp_path: Path, content: str) -> None:
    """There is nothing to report on, and one sentence says so."""
    with pytest.raises(InputError, match=r"record"):
        load_run(write_lines(tmp_path / "run", content))


def test_a_run_without_an_ok_row_is_read(tmp_path: Path) -> None:
    """Failures alone make a run whose rows give their reasons."""
    run = load_run(write_run(tmp_path / "run", [failed_record(FAST, Status.UNAVAILABLE, "no GPU here")]))
    assert run.groups == ()
    assert run.rows[0].record.reason == "no GPU here"
    assert any("No case ended with a speed figure" in notice for notice in run.notices)


def test_speed_and_sound_are_joined_by_case(tmp_path: Path) -> None:
    """One row holds both, with the judge's verdict; eager fp32 without one is the reference."""
    records = [speed_record(EAGER), speed_record(FAST), quality_record(FAST)]
    run = load_run(write_run(tmp_path / "run", records))
    assert [row.judgement.verdict for row in run.rows] == [REFERENCE, PASS]
    assert run.rows[1].quality is not None


def test_sound_of_other_weights_is_not_joined(tmp_path: Path) -> None:
    """A verdict on other weights says nothing about these."""
    other = replace(weights("v3"), sha256="f" * 64)
    records = [speed_record(FAST), quality_record(FAST, weights=other)]
    run = load_run(write_run(tmp_path / "run", records))
    speed = next(row for row in run.rows if row.timed)
    assert speed.judgement.verdict == NOT_JUDGED
    assert "other weights" in speed.judgement.reason


def test_a_wrong_output_while_judging_is_a_failed_verdict(tmp_path: Path) -> None:
    """A configuration whose output was wrong cannot be recommended."""
    wrong = quality_record(FAST, status=Status.WRONG_OUTPUT, reason="NaN in the waveform", result=None)
    run = load_run(write_run(tmp_path / "run", [speed_record(FAST), wrong]))
    assert run.rows[0].judgement.verdict == FAIL
    assert "NaN" in run.rows[0].judgement.reason


def test_a_judge_that_crashed_has_not_judged(tmp_path: Path) -> None:
    """A crash while judging is neither a pass nor a fail."""
    crashed = quality_record(FAST, status=Status.CRASHED, reason="signal 11", result=None)
    run = load_run(write_run(tmp_path / "run", [speed_record(FAST), crashed]))
    assert run.rows[0].judgement.verdict == NOT_JUDGED


def test_the_worst_shape_decides_for_a_configuration(tmp_path: Path) -> None:
    """One failing length fails the configuration at every length, and is named."""
    short = replace(FAST, frames=23)
    records = [speed_record(FAST), speed_record(short), quality_record(FAST), quality_record(short, "fail")]
    (group,) = load_run(write_run(tmp_path / "run", records)).groups
    gate = group.gate("tensorrt fp16")
    assert gate.verdict == FAIL
    assert short.id in gate.reason


def test_a_shape_that_was_judged_but_not_timed_counts_too(tmp_path: Path) -> None:
    """The verdict on a configuration includes the lengths at which only its sound was looked at."""
    records = [speed_record(FAST), quality_record(replace(FAST, frames=999), "fail")]
    run = load_run(write_run(tmp_path / "run", records))
    assert run.groups[0].gate("tensorrt fp16").verdict == FAIL
    assert [row.timed for row in run.rows] == [True, False]


def test_the_last_record_of_a_case_counts(tmp_path: Path) -> None:
    """A case that was run again is one row with the newer figures, and the reader is told."""
    again = speed_record(EAGER, seed=1)
    run = load_run(write_run(tmp_path / "run", [speed_record(EAGER), again]))
    assert [row.record for row in run.rows] == [again]
    assert any("more than once" in notice for notice in run.notices)


def test_devices_and_weights_are_kept_apart(tmp_path: Path) -> None:
    """Figures of a CPU and a GPU, or of two sets of weights, are never put into one ranking."""
    other = replace(weights("v3"), sha256="f" * 64, name="trained", synthetic=False)
    records = [speed_record(EAGER), speed_record(EAGER, device="cpu"), speed_record(EAGER, weights=other)]
    run = load_run(write_run(tmp_path / "run", records))
    assert sorted((group.device, "trained" in group.weights) for group in run.groups) == [
        ("cpu", False),
        ("cuda:0", False),
        ("cuda:0", True),
    ]
    assert run.name == RUN_ID


def test_a_cuda_graph_sounds_as_its_engine(tmp_path: Path) -> None:
    """A case that was judged with a graph and timed without has that verdict; other options are other engines."""
    graph = Case("v3", "tensorrt-onnx", "fp16", 1, 468, (("cuda_graph", "on"), ("level", "1")))
    other = Case("v3", "tensorrt-onnx", "fp16", 1, 468, (("level", "2"),))
    records = [quality_record(graph, "fail"), speed_record(graph.without("cuda_graph")), speed_record(other)]
    run = load_run(write_run(tmp_path, records))
    verdicts = {row.case: row.judgement.verdict for row in run.rows if row.timed}
    assert verdicts == {graph.without("cuda_graph"): FAIL, other: NOT_JUDGED}
    # The judged case itself is in the table, too.
    assert [row.case for row in run.rows if not row.timed] == [graph]
