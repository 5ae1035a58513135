"""The report's section on the nights, against histories whose steps are known."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from bench.cli import main
from bench.compare.history import append_history
from bench.errors import InputError
from bench.records.run import Run, load_run
from bench.report.nights import nights
from bench.report.render import write_report
from tests.comparing import ENVIRONMENT, failed, record
from tests.synthetic_records import write_run


def told(directory: Path, count: int, step: int | None = None, factor: float = 1.2) -> tuple[Run, Path]:
    """The newest run of ``count`` nights, and their history; from night ``step`` on 468 frames are slower."""
    for night in range(count):
        slower = factor if step is not None and night >= step else 1.0
        torch = "2.14.0" if step is not None and night >= step else "2.13.0"
        environment = {**ENVIRONMENT, "versions": {"torch": torch}}
        records = [record(468, night=night, factor=slower, environment=environment), record(23, night=night)]
        if night == 1:
            records[1] = failed(23, night=night)
        run = write_run(directory / f"run-{night}", records)
        append_history(run, directory / "history")
    return load_run(run), directory / "history"


def test_a_step_is_a_row_with_its_night_and_what_changed_with_it(tmp_path: Path) -> None:
    """A slow-down of 20 % from the fifth night on is found there, with the version that came with it."""
    found = nights(*told(tmp_path, 8, step=4))
    [time] = [row for row in found.steps if row.metric == "time"]
    assert (time.case, time.worse) == ("v3-tensorrt-fp16-b1-t468", True)
    assert time.night == "2026-01-05 run-4"
    assert time.versions == "torch 2.13.0 -> 2.14.0"
    assert float(time.change.removesuffix(" %")) == pytest.approx(20, abs=1.5)
    assert time.before.endswith(" ms")
    assert "8 nights" in found.headline
    plot = next(plot for plot in found.plots if plot.title.endswith("468 frames: time"))
    assert f"{time.change} worse" in re.findall(r"<text[^>]*>([^<]*)</text>", plot.svg)
    assert plot.title.startswith("v3 Torch-TensorRT fp16")


def test_a_faster_case_is_better_and_the_other_way_for_throughput(tmp_path: Path) -> None:
    """A speed-up is a change for the better in time and in throughput, whose signs differ."""
    found = nights(*told(tmp_path, 8, step=4, factor=0.8))
    changes = {row.metric: (row.worse, row.change[0]) for row in found.steps}
    assert changes == {"time": (False, "\N{MINUS SIGN}"), "throughput": (False, "+")}


def test_a_case_of_one_night_is_not_drawn(tmp_path: Path) -> None:
    """A figure that has one night only is counted, and no panel is spent on it."""
    _, history = told(tmp_path, 4)
    run = load_run(write_run(tmp_path / "run-9", [record(468, night=9), record(99, night=9)]))
    titles = [plot.title for plot in nights(run, history).plots]
    assert any("468 frames" in title for title in titles)
    assert not any(" 99 frames" in title for title in titles)


def test_what_became_worse_stands_first(tmp_path: Path) -> None:
    """Of a slow-down and a later recovery the slow-down leads the list."""
    for night, factor in enumerate((1.0,) * 4 + (1.3,) * 4 + (1.1,) * 4):
        run = write_run(tmp_path / f"run-{night}", [record(468, night=night, factor=factor)])
        append_history(run, tmp_path / "history")
    times = [row for row in nights(load_run(run), tmp_path / "history").steps if row.metric == "time"]
    assert [(row.night.split()[1], row.worse) for row in times] == [("run-4", True), ("run-8", False)]


def test_the_command_line_shows_the_nights(tmp_path: Path) -> None:
    """`report --history` brings the section, and a report without it has none."""
    run, history = told(tmp_path, 8, step=4)
    page = run.directory / "report.html"
    assert main(["report", str(run.directory)]) == 0
    assert "Over the nights" not in page.read_text(encoding="utf-8")
    assert main(["report", str(run.directory), "--history", str(history)]) == 0
    assert "Over the nights" in page.read_text(encoding="utf-8")


def test_a_night_s_report_shows_what_it_was_compared_with(tmp_path: Path) -> None:
    """`nightly --report` holds the nights, and both comparisons that its verdict came from."""
    run, history = told(tmp_path, 6, step=5, factor=1.3)
    page, baseline = tmp_path / "night.html", str(tmp_path / "run-0")
    arguments = ["nightly", str(run.directory), "--history", str(history), "--baseline", baseline]
    assert main([*arguments, "--report", str(page)]) == 1
    text = page.read_text(encoding="utf-8")
    assert "Over the nights" in text
    assert "<h3>Since run-0</h3>" in text
    assert "<h3>Since 5 runs, run-0 to run-4</h3>" in text
    assert text.count("SLOW</span>") >= 2


def test_nights_without_a_step_say_so(tmp_path: Path) -> None:
    """Noise is drawn and is no row."""
    found = nights(*told(tmp_path, 8))
    assert found.steps == ()
    assert "0 lasting changes" in found.headline
    assert all(plot.svg for plot in found.plots)
    assert found.plots


def test_the_run_itself_is_counted_once_and_later_nights_never(tmp_path: Path) -> None:
    """A report of an older run shows the nights up to it, whether it was added to the history or not."""
    _, history = told(tmp_path, 8, step=4)
    older = nights(load_run(tmp_path / "run-3"), history)
    assert "4 nights" in older.headline
    assert older.steps == ()
    next(history.glob("*run-3.jsonl")).unlink()
    assert nights(load_run(tmp_path / "run-3"), history).headline == older.headline


def test_one_night_is_no_trend(tmp_path: Path) -> None:
    """The first night has nothing to draw and says so."""
    found = nights(*told(tmp_path, 1))
    assert found.headline == "Tonight is the first night of the history."
    assert found.plots == ()


def test_nights_on_another_card_are_left_out_and_counted(tmp_path: Path) -> None:
    """A trend does not jump because the card was changed."""
    run, history = told(tmp_path, 6)
    other = {**ENVIRONMENT, "gpu": {**ENVIRONMENT["gpu"], "name": "GPU B"}}
    records = [record(468, night=7, factor=2.0, environment=other)]
    newest = load_run(write_run(tmp_path / "run-7", records))
    found = nights(newest, history)
    assert found.steps == ()
    assert any("6 nights" in note for note in found.notes)
    assert run.name == "run-5"


def test_the_page_shows_hostile_names_as_text(tmp_path: Path) -> None:
    """A run id from a history file is text in the page."""
    evil = "<script>alert(1)</script>"
    for night in range(8):
        slower = 1.3 if night >= 4 else 1.0
        run_id = evil if night == 4 else f"run-{night}"
        made = replace(record(468, night=night, factor=slower), run_id=run_id)
        run = write_run(tmp_path / f"run-{night}", [made])
        append_history(run, tmp_path / "history")
    page = write_report(run, history=tmp_path / "history").html.read_text(encoding="utf-8")
    assert evil not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "## What changed" in (run / "summary.md").read_text(encoding="utf-8")


def test_a_history_that_is_not_there_is_an_input_error(tmp_path: Path) -> None:
    """One sentence names the folder."""
    run = write_run(tmp_path / "run", [record()])
    with pytest.raises(InputError, match="there is no history at"):
        write_report(run, history=tmp_path / "nowhere")
