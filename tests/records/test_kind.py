"""A new kind of record is one class and its section of the report; what was there before does not notice."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import pytest
from markupsafe import Markup

from bench.case import Case
from bench.compare.history import append_history, read_history
from bench.compare.runs import compare_runs
from bench.compare.thresholds import Metric, Thresholds, load_thresholds
from bench.records import read_records, records_frame
from bench.records.facts import HIGHER, Facts
from bench.records.jsonl import dump_record, load_record
from bench.records.kind import KINDS, Result
from bench.records.run import load_run
from bench.records.schema import Record, Speed, Status
from bench.report.render import write_report
from bench.report.section import SECTIONS, Section, find_sections
from bench.report.sections.cases import table
from tests.synthetic_records import quality_record, speed_of, speed_record, weights, write_run

FAST = Case("v3", "tensorrt", "fp16", 1, 468)
LOADED_ONLY = Case("v3", "tensorrt", "bf16", 1, 468)


@pytest.fixture(autouse=True)
def _registries() -> Iterator[None]:
    """The registries as they were before."""
    find_sections()
    kinds, sections = dict(KINDS), dict(SECTIONS)
    yield
    KINDS.clear()
    KINDS.update(kinds)
    SECTIONS.clear()
    SECTIONS.update(sections)


def a_new_kind() -> type[Result]:
    """Everything that a kind needs: its class, and its section of the report."""

    @dataclass(frozen=True)
    class Taste(Result, kind="taste", title="taste"):
        """How a case tastes."""

        sweetness: Annotated[float, Facts("Sweetness", "g", HIGHER)]

    class Tastes(Section, anchor="tastes", nav="Tastes", order=45):
        """What was tasted."""

        def html(self) -> Markup:
            """A line for each case."""
            found = [(row.case.id, row.answer(Taste)) for row in self.page.run.rows]
            lines = [Markup("<p>{} has {} g</p>").format(name, taste.sweetness) for name, taste in found if taste]
            return Markup('<section id="tastes">{}</section>').format(Markup("").join(lines))

        def markdown(self) -> list[str]:
            """One sentence."""
            return ["## Tastes", "", "It is sweet."]

    return Taste


def tasted(kind: type[Result], case: Case, sweetness: float, night: str = "synthetic-run") -> Record:
    """A record of the new kind."""
    result = kind(sweetness)  # type: ignore[call-arg]
    return replace(speed_record(case), run_id=night, kind="taste", build=None, precision=None, result=result)


def sides() -> list[Record]:
    """The records that were there before the new kind."""
    return [speed_record(FAST), quality_record(FAST)]


def test_a_record_of_a_new_kind_survives_the_disk() -> None:
    """It is written, read and flattened as any other, under its own name."""
    record = tasted(a_new_kind(), FAST, 3.5)
    assert load_record(dump_record(record)) == record
    frame = records_frame([speed_record(FAST), record])
    assert frame["taste.sweetness"].tolist()[1] == 3.5
    assert frame["timing.median_ms"].tolist()[0] == speed_of(speed_record(FAST)).timing.median_ms


def test_a_new_kind_leaves_the_rows_of_speed_and_sound_as_they_are(tmp_path: Path) -> None:
    """The third record of a case, whenever it was written, hides neither of the others."""
    before = load_run(write_run(tmp_path / "before", sides()))
    kind = a_new_kind()
    third = tasted(kind, FAST, 3.5)
    for place in range(3):
        records = sides()
        records.insert(place, third)
        after = load_run(write_run(tmp_path / str(place), records))
        [row], [old] = after.rows, before.rows
        assert (row.timed, row.speed, row.judgement) == (True, old.speed, old.judgement)
        assert row.answer(kind) == third.result
        assert table(after).lines[0].cells == table(before).lines[0].cells
        assert len(after.groups[0].rows) == 1


def test_a_case_of_the_new_kind_alone_is_a_row(tmp_path: Path) -> None:
    """It says what was asked, and is no timed row."""
    kind = a_new_kind()
    run = load_run(write_run(tmp_path, [*sides(), tasted(kind, LOADED_ONLY, 1.0)]))
    assert [line.outcome for line in table(run).lines] == ["ok", "ok, taste only"]
    assert [row.timed for row in run.rows] == [True, False]


def test_other_weights_are_another_case(tmp_path: Path) -> None:
    """The new kind joins the row of the same weights only."""
    kind = a_new_kind()
    other = replace(tasted(kind, FAST, 1.0), weights=replace(weights("v3"), sha256="f" * 64))
    run = load_run(write_run(tmp_path, [*sides(), other]))
    assert [row.answer(kind) for row in run.rows] == [None, other.result]


def test_a_new_kind_brings_its_section_to_the_report(tmp_path: Path) -> None:
    """Page, navigation and summary have it, between the others, and all else is as before."""
    before = write_report(write_run(tmp_path / "before", sides()))
    kind = a_new_kind()
    after = write_report(write_run(tmp_path / "after", [*sides(), tasted(kind, FAST, 3.5)]))
    html, summary = after.html.read_text(encoding="utf-8"), after.summary.read_text(encoding="utf-8")
    assert f"<p>{FAST.id} has 3.5 g</p>" in html
    assert html.index('id="plots"') < html.index('id="tastes"') < html.index('id="sounds"')
    assert '<a href="#inside">Inside</a><a href="#tastes">Tastes</a><a href="#sounds">Listen</a>' in html
    assert summary.startswith(before.summary.read_text(encoding="utf-8").rstrip())
    assert summary.endswith("## Tastes\n\nIt is sweet.\n")


def test_a_new_kind_changes_no_comparison_of_speed_and_sound(tmp_path: Path) -> None:
    """Cases of speed and sound are compared as without it; the new one has the metrics that name its kind."""
    kind = a_new_kind()
    old, new = ([replace(record, run_id=run) for record in sides()] for run in ("a", "b"))
    without = {(case.kind, case.id): case for case in compare_runs(old, new).cases}
    old += [tasted(kind, FAST, 5.0, "a")]
    new += [tasted(kind, FAST, 1.0, "b")]
    found = {(case.kind, case.id): case for case in compare_runs(old, new).cases}
    assert {key: case for key, case in found.items() if key[0] != "taste"} == without
    assert found["taste", FAST.id].changes == ()
    thresholds = with_metric(load_thresholds())
    found = {(case.kind, case.id): case for case in compare_runs(old, new, thresholds=thresholds).cases}
    [change] = found["taste", FAST.id].changes
    assert (change.metric, change.unit) == ("sweetness", "g")
    assert change.change == pytest.approx(0.2)
    assert [change.metric for change in found["speed", FAST.id].changes] == [
        change.metric for change in without["speed", FAST.id].changes
    ]
    append_history(write_run(tmp_path / "run", new), tmp_path / "history", thresholds)
    night = {item.kind: item.values for item in read_history(tmp_path / "history")}
    assert night["taste"] == {"sweetness": 1.0}
    assert "time" in night["speed"]


def with_metric(thresholds: Thresholds) -> Thresholds:
    """The thresholds with a metric of the new kind."""
    metric = Metric("taste", ("sweetness",), "ratio", floor=0.1, night_sd=0.01)
    return replace(thresholds, metrics={**thresholds.metrics, "sweetness": metric})


def test_a_report_compares_every_kind(tmp_path: Path) -> None:
    """The report's comparison has the speed of a case that has a record of a third kind too."""
    kind = a_new_kind()
    base = write_run(tmp_path / "base", [replace(record, run_id="base") for record in sides()])
    run = load_run(write_run(tmp_path / "new", [*sides(), tasted(kind, FAST, 1.0)]))
    cases = {case.kind: case for case in compare_runs(base, run.records).cases}
    assert {change.metric for change in cases["speed"].changes} >= {"time", "throughput"}
    assert set(cases) == {"speed", "quality", "taste"}


def test_a_result_stands_under_its_own_kind() -> None:
    """A speed cannot be filed as a sound, and no two kinds share a name."""
    with pytest.raises(ValueError, match="kind 'quality' cannot hold a result of kind 'speed'"):
        replace(speed_record(FAST), kind="quality")
    with pytest.raises(ValueError, match="there is a kind 'speed' already"):

        class _Other(Result, kind="speed", title="other"):
            pass


def test_an_answer_is_of_the_kind_asked_for() -> None:
    """What has no result, or one of another kind, has no answer."""
    assert speed_record(FAST).answer(Speed) == speed_record(FAST).result
    assert quality_record(FAST).answer(Speed) is None
    assert replace(speed_record(FAST), status=Status.CRASHED, result=None).answer(Speed) is None


def test_without_the_kind_its_records_are_said_to_be_unknown(tmp_path: Path) -> None:
    """A reader that lacks the kind names it, and the report goes on without."""
    kind = a_new_kind()
    run = write_run(tmp_path, [*sides(), tasted(kind, FAST, 1.0)])
    assert len(read_records(run)) == 3
    del KINDS["taste"]
    loaded = load_run(run)
    assert len(loaded.rows) == 1
    assert loaded.notices[0].startswith("Line 3 is left out: record kind 'taste'")
