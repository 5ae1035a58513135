import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from bench.case import Case
from bench.cli import main
from bench.records.jsonl import dump_record
from bench.records.run import load_run
from bench.records.schema import SCHEMA_VERSION, Build, Status
from bench.report.render import Written, write_report
from bench.report.sections.cases import table
from bench.report.text import MIB
from tests.synthetic_records import (
    ENVIRONMENT,
    changed,
    failed_record,
    given,
    speed_of,
    speed_record,
    sweep_records,
    with_audio,
    write_run,
)

EAGER = Case("v3", "eager", "fp32", 1, 468)
FAST = Case("v3", "tensorrt", "fp16", 1, 468)
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;"


class Page(HTMLParser):
    """Collects the tags, ids and texts of a page."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keeps a tag with its attributes."""
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_data(self, data: str) -> None:
        """Keeps text that a reader sees."""
        if self.open and self.open[-1] not in ("script", "style"):
            self.texts.append(data)

    @property
    def text(self) -> str:
        """All text, in one line."""
        return " ".join(" ".join(self.texts).split())


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Written:
    directory = tmp_path_factory.mktemp("run")
    records = sweep_records(versions=("v3",))
    records = [with_audio(directory, r, 0.1) if r.case == FAST and r.kind == "quality" else r for r in records]
    return write_report(write_run(directory, records))


def test_engine_figures_have_columns(tmp_path: Path) -> None:
    """Context, engine, load and build of an engine, and its speed over its static twin, stand under their names."""
    build = Build(900.0, 3 * MIB, {"context_bytes": 5 * MIB, "layers": 7}, build_s=295.0, load_s=1.5, from_cache=True)
    record = speed_record(FAST)
    twin = replace(given(speed_of(record).speedup_fp32), ratio=0.93, ci95_low=0.92, ci95_high=0.94)
    run = load_run(write_run(tmp_path, [changed(record, build=build, speedup_static=twin)]))
    found = table(run)
    cells = dict(zip([column.name for column in found.columns], found.lines[0].cells, strict=True))
    assert cells["Context, MiB"] == "5.00"
    assert cells["Engine, MiB"] == "3.00"
    assert cells["Load, s"] == "1.50"
    assert cells["Build, s"] == "295"
    assert cells["Over its static baseline"] == "0.930 [0.920, 0.940]"


def test_the_page_needs_nothing_else(report: Written) -> None:
    """No address but anchors, data and files beside the report; no import; no event attribute."""
    html = report.html.read_text(encoding="utf-8")
    page = Page(report.html)
    for tag, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "action", "data", "poster"):
            address = attributes.get(name) or ""
            assert not re.match(r"[a-z]+:", address) or address.startswith("data:"), (tag, address)
        assert not any(name.startswith("on") for name in attributes)
    assert "@import" not in html
    own = re.sub(r'<script type="module">.*?</script>', "", html, flags=re.DOTALL)
    assert "://" not in re.sub(r'xmlns(:\w+)?="[^"]+"', "", own)


def test_ids_are_unique_and_every_anchor_lands(report: Written) -> None:
    """Each link inside the page has its target."""
    tags = Page(report.html).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    anchors = {
        href[1:] for tag, attributes in tags if tag == "a" and (href := attributes["href"] or "").startswith("#")
    }
    assert len(anchors) > 40
    assert anchors <= set(ids)


def test_the_answer_comes_first_with_figures_and_weights(report: Written) -> None:
    """The page's first sentences name the configuration, its figures with intervals, and the weights."""
    text = Page(report.html).text
    start = text.index("The answer")
    first = text[start : start + 700]
    assert "Run v3 with Torch-TensorRT fp16" in first
    assert re.search(r"\d+\.\d+ ms \[\d+\.\d+, \d+\.\d+\]", first)
    assert "synthetic weights (seed 0)" in first


def test_every_case_is_a_row_and_failures_give_their_reason(report: Written) -> None:
    """The table has one row a case, and the reason of each that failed."""
    page = Page(report.html)
    rows = [attributes["id"] for tag, attributes in page.tags if tag == "tr" and "id" in attributes]
    cases = {record.case for record in sweep_records(versions=("v3",))}
    assert len(rows) == len(cases)
    assert "the worker ended with signal 11" in page.text
    assert "the package tensorrt is not installed" in page.text


def test_how_it_was_measured_is_said(report: Written) -> None:
    """Machine, versions, clocks, commit, seed, command and what is missing all stand in the page."""
    text = Page(report.html).text
    for fact in ("Synthetic GPU 80GB", "580.00", "2.13.0", "0123456789abcdef", "1755 MHz", "pytest suites/"):
        assert fact in text
    assert "uncommitted changes" in text
    assert "p99: blank for" in text


def test_the_companions_stand_beside_the_page(report: Written) -> None:
    """summary.md has the answer, the weights and the promises; the CSV has a line a record."""
    summary = report.summary.read_text(encoding="utf-8")
    assert "Run v3 with Torch-TensorRT fp16" in summary
    assert "synthetic weights" in summary
    assert "held" in summary
    assert len(report.csv.read_text(encoding="utf-8").splitlines()) == 1 + len(sweep_records(versions=("v3",)))


def test_hostile_text_is_shown_and_not_run(tmp_path: Path) -> None:
    """Markup in a reason, a version, weights, a file name and an environment is text in the page."""
    environment = {**ENVIRONMENT, "command": HOSTILE, HOSTILE: HOSTILE}
    record = speed_record(EAGER)
    weights = replace(given(record.weights), name=HOSTILE)
    records = [
        replace(record, weights=weights, environment=environment, run_id=HOSTILE, audio=HOSTILE),
        failed_record(replace(FAST, options=((HOSTILE, HOSTILE),)), Status.CRASHED, HOSTILE),
    ]
    written = write_report(write_run(tmp_path, records))
    page = Page(written.html)
    kinds = [attributes.get("type") for tag, attributes in page.tags if tag == "script"]
    assert kinds.count(None) == kinds.count("module") == 1
    assert set(kinds) <= {None, "module", "application/json"}
    assert not any(tag == "img" for tag, _ in page.tags)
    assert page.text.count("<script>alert(1)</script>") > 5
    assert "<script" not in written.summary.read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["torn", "unknown field", "newer schema", "no ok row"])
def test_a_damaged_or_foreign_file_still_gives_a_report_that_says_so(tmp_path: Path, kind: str) -> None:
    """Whatever state the records are in, the page exists and names it."""
    line = dump_record(speed_record(EAGER))
    text, words = {
        "torn": (f"{line}\n{line[:50]}", "Line 2 was cut off"),
        "unknown field": (line[:-1] + ',"moon":1}', "carried the field 'moon'"),
        "newer schema": (
            f"{line}\n" + line.replace(f'"schema_version":{SCHEMA_VERSION}', '"schema_version":99'),
            "Line 2 is left out: record schema 99",
        ),
        "no ok row": (dump_record(failed_record(FAST, Status.TIMEOUT, "60 s")), "nothing to recommend"),
    }[kind]
    (tmp_path / "records.jsonl").write_text(text, encoding="utf-8")
    written = write_report(tmp_path)
    assert words in Page(written.html).text


def test_the_command_writes_where_it_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--out names the page, its companions lie beside it, links reach back, figures go to their folder."""
    run = write_run(tmp_path / "results" / "run", [speed_record(EAGER)])
    out = tmp_path / "published" / "page.html"
    assert main(["report", str(run), "--out", str(out), "--figures", str(tmp_path / "svg")]) == 0
    assert capsys.readouterr().out.split() == [str(out), str(out.parent / "summary.md"), str(out.parent / "cases.csv")]
    hrefs = [attributes.get("href") for tag, attributes in Page(out).tags if tag == "a"]
    assert "../results/run/records.jsonl" in hrefs
    assert (tmp_path / "svg" / "rounds-0.svg").read_text(encoding="utf-8").startswith("<svg")


def test_the_baseline_brings_its_section(tmp_path: Path) -> None:
    """With a baseline the page says what changed, and without it has no such section."""
    base = write_run(tmp_path / "base", [speed_record(EAGER)])
    new = write_run(tmp_path / "new", [replace(speed_record(EAGER), run_id="new")])
    assert "Since synthetic-run" in Page(write_report(new, baseline=base).html).text
    assert "What changed" not in Page(write_report(new).html).text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "does not exist"),
        (["run", "--baseline", "nowhere"], "nowhere"),
        (["run", "--out", "."], "not a file name"),
    ],
)
def test_an_unusable_path_is_one_sentence_and_exit_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    """No traceback: the sentence names what is wrong."""
    write_run(tmp_path / "run", [speed_record(EAGER)])
    monkeypatch.chdir(tmp_path)
    assert main(["report", *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_reports_import_no_torch() -> None:
    """Rendering works on a machine that has the records and no torch."""
    code = "import sys, bench.report.render, bench.report.sections.changes; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])
