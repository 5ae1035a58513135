"""Published runs: what the index and the pages say of them is so."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bench.cli import main
from tests.docs import ROOT

REPORTS = ROOT / "reports"
FLAGSHIP = "2026-11-26-h200-tensorrt"
RUNS = sorted(path for path in REPORTS.iterdir() if path.is_dir())


def lines(run: Path) -> list[dict[str, Any]]:
    """The records of a published run, as JSON has them."""
    return [json.loads(line) for line in (run / "records.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("run", RUNS, ids=lambda run: str(run.name))
def test_a_folder_is_named_after_its_records(run: Path) -> None:
    """Date and GPU of the name are the records', and the folder holds what the index says."""
    day, gpu, question = re.fullmatch(r"(\d{4}-\d\d-\d\d)-(\w+)-([\w-]+)", run.name).groups()  # type: ignore[union-attr]
    records = lines(run)
    assert min(record["recorded_at"] for record in records)[:10] == day
    assert all(gpu.upper() in record["environment"]["gpu"]["name"] for record in records)
    assert question
    assert {"README.md", "summary.md", "records.jsonl", "sweep.toml"} <= {file.name for file in run.iterdir()}


@pytest.mark.parametrize("run", RUNS, ids=lambda run: str(run.name))
def test_records_are_cleaned_as_the_index_says(run: Path) -> None:
    """No path of a machine and no sound file that is not there; commands and commits are kept."""
    text = (run / "records.jsonl").read_text(encoding="utf-8")
    assert not re.search(r"/(?:root|home|work|tmp|Users)/", text)
    for record in lines(run):
        assert record["files"] == {}
        assert record["environment"]["git"]["commit"]
        assert "suites/" in record["environment"]["command"]


def test_the_index_names_every_run_once_and_the_current_figure_first() -> None:
    """Every folder has its row; the first is the flagship; superseded ones say so on their own page."""
    text = (REPORTS / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\|.*\]\(([\w-]+)/README\.md\) \|$", text, re.MULTILINE)
    assert rows[0] == FLAGSHIP
    assert sorted(rows) == [run.name for run in RUNS]
    border = text.index("## Superseded")
    for run in RUNS:
        page = (run / "README.md").read_text(encoding="utf-8")
        current = text.index(f"({run.name}/README.md) |") < border
        assert ("**Current**" in page, "**Superseded" in page) == (current, not current)


def test_one_report_and_no_sound_is_in_the_tree() -> None:
    """What can be made anew from the records is not kept, but for one page and the figure that README shows."""
    assert [file.parent.name for file in REPORTS.rglob("*.html")] == [FLAGSHIP]
    assert [file.name for file in REPORTS.rglob("*.svg")] == ["ladder.svg"]
    allowed = {".md", ".jsonl", ".toml", ".html", ".svg"}
    assert {file.suffix for file in REPORTS.rglob("*") if file.is_file()} <= allowed
    assert "](reports/ladder.svg)" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_a_report_is_made_of_published_records(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command of the index gives the page with its figures and tables, and the summary that is published."""
    run = REPORTS / "2026-11-26-h100-tensorrt"
    out = tmp_path / "report.html"
    assert main(["report", str(run), "--out", str(out)]) == 0
    page = out.read_text(encoding="utf-8")
    assert "15.62 ms" in page
    assert page.count("<svg") >= 4
    assert page.count("<table") >= 3
    assert (tmp_path / "summary.md").read_text(encoding="utf-8") == (run / "summary.md").read_text(encoding="utf-8")
    assert (tmp_path / "cases.csv").read_text(encoding="utf-8").count("\n") == len(lines(run)) + 1
    assert str(out) in capsys.readouterr().out
