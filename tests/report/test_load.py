"""The report's section of load."""

from dataclasses import replace
from pathlib import Path

from bench.case import Case
from bench.records.jsonl import dump_record, load_record
from bench.records.kinds.load import Load, LoadPoint, MemoryPoint
from bench.records.schema import Record
from bench.report.render import write_report
from tests.synthetic_records import speed_record, write_run

POINT = LoadPoint(
    "open", True, None, 12.5, 10.0, 125, 124, 1, 0, 0, 12.4, 80.6, latency_p50_ms=41.5, batch_items_mean=2.25
)
LOAD = Load(
    utterances="one length",
    plan="smoke",
    workers=1,
    points=(POINT, replace(POINT, loop="speakers", batching=False, clients=7, audio_ttfp_p99_ms=99.5)),
    saturation_per_s=12.5,
    batching_gain=1.75,
    speakers=7,
    checked=124,
    memory=(MemoryPoint(1.0, 10**9),),
)


def record() -> Record:
    """A record of load."""
    return replace(speed_record(Case("v3", "eager", "fp16", 1, 468)), kind="load", result=LOAD)


def test_the_record_survives_the_disk() -> None:
    """Points, memory and blanks come back as they were."""
    assert load_record(dump_record(record())) == record()


def test_the_section(tmp_path: Path) -> None:
    """Figures with their units, blanks where nothing was measured, and every point; no section without load."""
    folder = write_run(tmp_path / "run", [speed_record(Case("v3", "eager", "fp16", 1, 468)), record()])
    report = write_report(folder)
    html = report.html.read_text(encoding="utf-8")
    section = html[html.index('<section id="load"') :]
    section = section[: section.index("</section>")]
    assert "Saturation, 1/s" in section
    assert (
        '<th scope="row">v3 eager fp16</th><td class="n">12.5</td><td class="n"></td><td class="n">1.75</td>' in section
    )
    assert "open, 12.5/s" in section
    assert "7 speakers, no batches" in section
    assert "124 of 125" in section
    summary = (folder / "summary.md").read_text(encoding="utf-8")
    assert "| v3 eager fp16 | 12.5 |  | 1.75 |  | 7 | 0 |" in summary
    other = write_run(tmp_path / "other", [speed_record(Case("v3", "eager", "fp16", 1, 468))])
    assert 'id="load"' not in write_report(other).html.read_text(encoding="utf-8")
