import re
from dataclasses import replace
from pathlib import Path

import pytest

from bench.case import Case
from bench.cli import main
from bench.compare.history import append_history
from bench.errors import InputError
from bench.records.run import load_run
from bench.records.schema import Record
from bench.report.section import Page
from bench.report.sections.changes import Changes, compare
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
    assert drawn.high / drawn.low > 1.9


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


def night(folder: Path, number: int, factor: float, size: int) -> Path:
    """The run of a night, with times and memory of its own."""
    record = slower(speed_record(CASE, rounds=60, seed=number), factor)
    memory = replace(given(speed_of(record).memory), allocated_peak_bytes=size * 2**20)
    at = f"2026-01-{number + 1:02}T00:00:00+00:00"
    return write_run(folder / str(number), [changed(record, memory=memory, run_id=f"night-{number}", recorded_at=at)])


def test_the_nightly_page_draws_the_nights_beside_what_changed(tmp_path: Path) -> None:
    """Batches of every night's rounds stand before those of tonight, and one value a night for memory."""
    history, page = tmp_path / "history", tmp_path / "report.html"
    for number in range(5):
        append_history(night(tmp_path, number, 1.0, 400), history)
    tonight = night(tmp_path, 5, 2.0, 800)
    assert main(["nightly", str(tonight), "--history", str(history), "--report", str(page)]) == 1
    html = page.read_text(encoding="utf-8")
    rows = html[html.index('id="changes-table-1"') :].split("<tr>")
    time = next(row for row in rows if "<td>time</td>" in row)
    assert "batches of rounds, of 5 nights and of tonight" in time
    before, after = (re.findall(r"M[\d.]+ ([\d.]+)h0", svg) for svg in time.split("</svg>")[:2])
    assert (len(before), len(after)) == (50, 10)
    assert min(map(float, before)) > max(map(float, after))  # heights count from the top
    memory = next(row for row in rows if "memory" in row and "MiB" in row)
    assert "400 to 800 MiB, 5 nights and tonight" in memory
    assert html.index("<td>time</td>") < html.index("Over the nights")


def test_what_is_unclear_says_what_settles_it(tmp_path: Path) -> None:
    """The row has the remedy of its reason, and the command that times the case again."""
    base = write_run(tmp_path / "base", [speed_record(CASE, rounds=60)])
    found = compare(base, load_run(write_run(tmp_path / "new", [slower(speed_record(CASE, rounds=60, seed=1), 1.03)])))
    row = next(row for row in found.rows if row.verdict == "UNCLEAR")
    assert row.remedy is not None
    assert row.reason
    assert row.remedy.command.startswith("pytest suites/test_speed.py --versions v3 --backends torchscript")
    section = str(Changes(Page(load_run(base), str, baseline=tmp_path / "new")).html())
    assert f"To settle it: {row.remedy.words}" in section
    assert row.remedy.command in section
