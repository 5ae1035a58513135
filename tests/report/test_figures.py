import itertools
import re
from collections.abc import Iterable
from dataclasses import fields, replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from bench.case import Case
from bench.quality import Fidelity
from bench.records.run import load_run
from bench.records.schema import Build, Record
from bench.report.figures import cost as plots_cost
from bench.report.figures import sound as plots_sound
from bench.report.figures import speed as plots_speed
from bench.report.figures.cost import inferences_to_break_even
from bench.report.figures.sections import Draw, Section, draw_all
from bench.report.figures.sound import _BAND, pareto_front
from bench.report.figures.style import INK, SERIES, house, marks
from bench.report.text import labels
from tests.synthetic_records import changed, known, quality_record, speed_of, speed_record, sweep_records, write_run

EAGER = Case("v3", "eager", "fp16", 1, 468)
FAST = Case("v3", "tensorrt", "fp16", 1, 468)


def same(items: Iterable) -> Iterable:
    return items


@pytest.fixture(scope="module")
def sections(tmp_path_factory: pytest.TempPathFactory) -> list[Section]:
    records = [*sweep_records(versions=("v3",)), *(ranged(frames, 0.8) for frames in (100, 500))]
    return draw_all(load_run(write_run(tmp_path_factory.mktemp("plots"), records)), same)


def ranged(frames: int, ratio: float) -> Record:
    """An engine for a range of shapes that has ``ratio`` of its static twin's speed."""
    case = Case("v3", "tensorrt-onnx", "fp16", 1, frames, (("shapes", "dynamic"),))
    record = speed_record(case)
    twin = replace(known(speed_of(record).speedup_fp32), baseline=case.without("shapes").id, ratio=ratio)
    return changed(record, speedup_static=twin)


def test_every_figure_is_drawn_where_there_are_data(sections: list[Section]):
    """A run with lengths, batches, sound, memory, builds and engines for ranges has all nine figures of records."""
    plots = [plot for section in sections for plot in section.plots]
    assert len(plots) == 9
    assert all(plot.svg and plot.caption for plot in plots)
    assert all("synthetic weights" in plot.weights for plot in plots)


def test_text_stays_text_and_has_an_accessible_name(sections: list[Section]):
    """Labels are SVG text, and every figure has a title and a description that its role points to."""
    for plot in (plot for section in sections for plot in section.plots):
        root = ET.fromstring(str(plot.svg))  # noqa: S314 - our own output
        space = {"svg": "http://www.w3.org/2000/svg"}
        assert len(root.findall(".//svg:text", space)) >= 3
        names = [root.find(f"svg:{tag}", space) for tag in ("title", "desc")]
        assert root.get("aria-labelledby") == " ".join(name.get("id") for name in names)
        assert plot.weights in names[0].text


def test_figures_share_no_id_and_refer_to_nothing_outside(sections: list[Section]):
    """All figures can stand in one page: ids are unique and every reference finds its own."""
    page = "".join(str(plot.svg) for section in sections for plot in section.plots)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    referred = set(re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', page))
    assert {first or second for first, second in referred} <= set(ids)
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]+"', "", page)


def test_colours_follow_the_page(sections: list[Section]):
    """House colours are CSS variables, so that dark mode reaches into the figures."""
    for plot in (plot for section in sections for plot in section.plots):
        style = " ".join(re.findall(r'style="([^"]*)"', str(plot.svg)))
        bare = re.sub(r"var\([^)]*\)", "", style)
        assert "var(--ink" in style
        assert not any(colour in bare for colour in (INK, *SERIES))


def test_a_backend_keeps_its_colour_and_mark():
    """Colour and mark depend on the backend's name alone, and six backends are told apart by both."""
    names = ["eager", "a", "b", "c", "d", "e", "f"]
    table = marks(names)
    assert marks(reversed(names)) == table
    assert len({colour for colour, _ in table.values()}) == len({mark for _, mark in table.values()}) == 7


def test_hostile_labels_stay_labels(tmp_path: Path):
    """Markup, entities and mathtext in a name come out as the same text."""
    hostile = "</text><script>&amp; $\\pi$ #0072b2"
    cases = [replace(FAST, backend=hostile, frames=frames) for frames in (128, 468)]
    run = load_run(write_run(tmp_path, [replace(speed_record(replace(c, backend="eager")), case=c) for c in cases]))
    for plot in (plot for section in draw_all(run, same) for plot in section.plots):
        if plot.svg:
            root = ET.fromstring(str(plot.svg))  # noqa: S314 - our own output
            texts = [node.text for node in root.iter() if node.tag.endswith("}text")]
            assert "<script" not in str(plot.svg)
            assert any(hostile in (text or "") for text in texts)


def test_long_names_leave_room_for_the_figure(tmp_path: Path):
    """A configuration with many options is shortened in its middle, and no axes collapse."""
    options = tuple((f"option{index}", "value") for index in range(20))
    cases = [replace(FAST, options=options, frames=frames) for frames in (128, 468)]
    records = [replace(speed_record(replace(case, options=())), case=case) for case in cases]
    drawn = [plot for section in draw_all(load_run(write_run(tmp_path, records)), same) for plot in section.plots]
    assert sum(bool(plot.svg) for plot in drawn) >= 4
    assert "option19=value" in "".join(plot.svg for plot in drawn)


def test_what_cannot_be_drawn_is_a_sentence(tmp_path: Path):
    """One case at one shape gives no lines, and each missing figure says what it lacks."""
    record = changed(speed_record(EAGER), memory=None, speedup_fp32=None, speedup_same_precision=None)
    sections = draw_all(load_run(write_run(tmp_path, [record])), same)
    missing = {section.title: section.plots[0].missing for section in sections}
    drawn = [title for title, sentence in missing.items() if not sentence]
    assert drawn == ["Latency distributions"]
    assert all(sentence.startswith("Not drawn: ") for sentence in missing.values() if sentence)


def test_the_highest_throughput_is_inside_its_figure(tmp_path: Path):
    """Also where throughputs differ little, so that a margin of their range is next to nothing."""
    records = [
        changed(record, throughput=replace(known(speed_of(record).throughput), audio_s_per_s=per_s))
        for per_s, record in ((430.0, speed_record(EAGER)), (434.0, speed_record(replace(EAGER, batch=4))))
        if speed_of(record).throughput is not None
    ]
    group = load_run(write_run(tmp_path, records)).groups[0]
    drawn = plots_speed.batch(group, marks(["eager"]))
    assert not isinstance(drawn, str)
    low, high = drawn[0].axes[0].get_ylim()
    assert low == 0
    assert high > 1.04 * 434


@pytest.mark.parametrize("draw", [plots_speed.length, plots_speed.batch, plots_sound.bands, plots_cost.memory])
def test_no_point_lies_outside_its_axes(tmp_path: Path, draw: Draw):
    """Panels that share a scale show all of each, whichever was drawn first."""
    records = [speed_record(Case("v3", backend, "fp32", 1, t)) for backend in ("eager", "tensorrt") for t in (23, 468)]
    records += [replace(r, case=replace(r.case, precision="tf32")) for r in many_times(records)]
    records += [replace(r, case=replace(r.case, batch=4)) for r in records]
    records += [quality_record(record.case) for record in records]
    (group,) = load_run(write_run(tmp_path, records)).groups
    with house():
        drawing, _ = draw(group, marks(["tensorrt"]))
        for axes in drawing.axes:
            ends = np.sort([axes.get_xlim(), axes.get_ylim()], axis=1)
            for line in axes.get_lines():
                points = np.asarray(line.get_xydata(), float)
                if line.get_transform() == axes.transData:
                    assert (points >= ends[:, 0]).all()
                    assert (points <= ends[:, 1]).all()


def many_times(records: list[Record]) -> list[Record]:
    """The same records with 50 times the throughput and 50 times the latency."""
    changed = []
    for record in records:
        throughput = replace(
            known(speed_of(record).throughput), audio_s_per_s=50 * known(speed_of(record).throughput).audio_s_per_s
        )
        timing = replace(speed_of(record).timing, median_ms=50 * speed_of(record).timing.median_ms)
        changed.append(changed(record, throughput=throughput, timing=timing))
    return changed


def test_the_pareto_front_is_what_nothing_dominates():
    """Against the definition, on random points with ties."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        points = [tuple(point) for point in rng.integers(0, 6, size=(12, 2)).tolist()]
        dominated = {
            i
            for (i, a), (j, b) in itertools.product(enumerate(points), repeat=2)
            if i != j and b[0] >= a[0] and b[1] >= a[1] and b != a
        }
        assert pareto_front(points) == sorted(set(range(12)) - dominated)


def test_break_even_counts_the_extra_build_against_the_saving(tmp_path: Path):
    """30 s of extra build and 8 ms saved an inference pay off after 3750 inferences."""
    base, fast = speed_record(EAGER), speed_record(FAST)
    speedup = replace(known(speed_of(fast).speedup_same_precision), ratio=5.0, baseline_median_ms=10.0)
    fast = changed(fast, speedup_same_precision=speedup, build=Build(31.0))
    base = replace(base, build=Build(1.0))
    (group,) = load_run(write_run(tmp_path, [base, fast])).groups
    row = next(row for row in group.rows if row.case == FAST)
    assert inferences_to_break_even(group, row) == pytest.approx(3750)


def test_what_saves_nothing_never_breaks_even(tmp_path: Path):
    """A configuration slower than eager has no break-even."""
    fast = speed_record(FAST)
    fast = changed(fast, speedup_same_precision=replace(known(speed_of(fast).speedup_same_precision), ratio=0.9))
    (group,) = load_run(write_run(tmp_path, [speed_record(EAGER), fast])).groups
    assert inferences_to_break_even(group, group.rows[1]) is None


def test_a_range_of_shapes_is_drawn_by_what_it_costs(tmp_path: Path):
    """Points lie at the static engine's speed over the range's: 1.25 for an engine with 0.8 of its twin's speed."""
    records = [ranged(100, 0.8), ranged(500, 1.0)]
    [group] = load_run(write_run(tmp_path, records)).groups
    with house():
        found = plots_cost.ranges(group, marks(["tensorrt-onnx"]))
    assert not isinstance(found, str)
    [axes] = found[0].axes
    [line] = [line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_label().startswith("tensorrt")]
    assert list(line.get_xdata()) == [100, 500]
    assert list(line.get_ydata()) == pytest.approx([1.25, 1.0])


def test_a_figure_names_what_tells_configurations_apart():
    """Options that all share are left out; names that would meet then, or when cut, stay whole."""
    long = "tensorrt-onnx fp16 cuda_graph=on float32=ups level=1 {}tactics=edge_mask_convolutions"
    found = labels(["eager fp16", long.format(""), long.format("shapes=dynamic ")])
    assert found["eager fp16"] == "eager fp16"
    assert list(found.values())[1:] == ["tensorrt-onnx fp16", "tensorrt-onnx fp16 shapes=dynamic"]
    meeting = ["tensorrt fp16", "tensorrt fp16 level=1", "tensorrt fp16 level=1 streams=0"]
    assert list(labels(meeting).values()) == meeting
    middles = [f"tensorrt fp16 a={'b' * 12}{level}{'c' * 30}" for level in (1, 2)]
    assert list(labels(middles).values()) == middles
    assert labels(["tensorrt fp16 level=1"]) == {"tensorrt fp16 level=1": "tensorrt fp16 level=1"}


def test_the_error_by_band_is_drawn_of_what_the_judge_files():
    """The figure asks for the fields of the suite's own fidelity, by their names."""
    names = {field.name for field in fields(Fidelity)}
    bands = {"lsd_0_4_db", "lsd_4_8_db", "lsd_8_16_db", "lsd_16_24_db"}
    assert {name for name in names if _BAND.fullmatch(name)} == bands
