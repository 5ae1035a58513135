"""The ladder holds every backend against the best plain PyTorch and the machine's limit."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.case import Case
from bench.records.limits import Ceilings, Roofline
from bench.records.rows import Group
from bench.records.run import load_run
from bench.records.schema import Record
from bench.report.section import Page
from bench.report.sections.ladder import LadderSection, ladders, over_plain
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


def _group(folder: Path, records: list[Record]) -> Group:
    [group] = load_run(write_run(folder, records)).groups
    return group


def _all() -> list[Record]:
    fast = changed(speed_record(TENSORRT), roofline=LIMIT)
    return [*map(speed_record, (REFERENCE, EAGER, COMPILE)), fast, quality_record(TENSORRT)]


def test_the_best_pytorch_is_named_and_stood_against(tmp_path: Path) -> None:
    """Compile at half of eager's time is the baseline, and TensorRT's 0.3 are 1.67 times as fast as it, not 3.3."""
    group = _group(tmp_path, _all())
    assert given(group.best_plain(TENSORRT)).case == COMPILE
    row = next(row for row in group.rows if row.case == TENSORRT)
    value = speed_of(speed_record(COMPILE)).timing.median_ms / row.median_ms
    assert value == pytest.approx(5 / 3, rel=0.02)
    assert over_plain(group, row).startswith("1.6")
    plain = next(row for row in group.rows if row.case == COMPILE)
    assert over_plain(group, plain) == ""


def test_a_baseline_is_of_the_same_shape_and_precision_and_sounds(tmp_path: Path) -> None:
    """Another batch, another precision and a sound that fails are no baseline; eight bits are held against float16."""
    records = [*_all(), quality_record(COMPILE, "fail")]
    group = _group(tmp_path, records)
    assert given(group.best_plain(TENSORRT)).case == EAGER
    assert given(group.best_plain(replace(TENSORRT, precision="fp8"))).case == EAGER
    assert group.best_plain(replace(TENSORRT, batch=4)) is None
    assert group.best_plain(replace(TENSORRT, precision="bf16")) is None


def test_rungs_lead_from_eager_to_the_limit(tmp_path: Path) -> None:
    """Each backend stands once with its best, eager fp32 first, the machine's limit last."""
    [ladder] = ladders(_group(tmp_path, _all()))
    assert [rung[0] for rung in ladder.rungs] == [
        "eager fp32",
        "eager fp16",
        "compile fp16",
        "tensorrt fp16",
        "the machine's limit in fp16",
    ]
    assert ladder.rungs[3][4:] == ("55.0", "compute", "pass")
    assert ladder.rungs[-1][1] == "1.073"
    assert ladder.plain.startswith("compile fp16, 9.4")


def test_the_section_is_shown_where_there_is_something_to_compare(tmp_path: Path) -> None:
    """HTML and Markdown have every rung; one backend alone is no ladder."""
    section = LadderSection(Page(load_run(write_run(tmp_path / "all", _all())), str))
    assert section.shown
    html, markdown = str(section.html()), "\n".join(section.markdown())
    for text in ("tensorrt fp16", "Over the best PyTorch", "55.0"):
        assert text in html
        assert text in markdown
    alone = LadderSection(Page(load_run(write_run(tmp_path / "alone", [speed_record(EAGER)])), str))
    assert not alone.shown
