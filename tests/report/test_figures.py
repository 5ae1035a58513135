import itertools
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from bench.case import Case
from bench.records.run import load_run
from bench.records.schema import Build, Record, break_even_inferences
from bench.report.figures import cost as plots_cost
from bench.report.figures import sound as plots_sound
from bench.report.figures import speed as plots_speed
from bench.report.figures.cost import inferences_to_break_even
from bench.report.figures.draw import Draw, draw_all
from bench.report.figures.labels import labels
from bench.report.figures.plot import Plots
from bench.report.figures.sound import BANDS, pareto_front
from bench.report.figures.style import INK, SERIES, house, marks
from tests.synthetic_records import changed, given, quality_record, speed_of, speed_record, sweep_records, write_run

EAGER = Case("v3", "eager", "fp16", 1, 468)
FAST = Case("v3", "tensorrt", "fp16", 1, 468)


def same(items: Iterable[Any]) -> Iterable[Any]:
    return items


@pytest.fixture(scope="module")
def sections(tmp_path_factory: pytest.TempPathFactory) -> list[Plots]:
    records = [*sweep_records(versions=("v3",)), *(ranged(frames, 0.8) for frames in (100, 500))]
    return draw_all(load_run(write_run(tmp_path_factory.mktemp("plots"), records)), same)


def ranged(frames: int, ratio: float) -> Record:
    """An engine for a range of shapes that has ``ratio`` of its static twin's speed."""
    case = Case("v3", "tensorrt-onnx", "fp16", 1, frames, (("shapes", "dynamic"),))
    record = speed_record(case)
    twin = replace(given(speed_of(record).speedup_fp32), baseline=case.without("shapes").id, ratio=ratio)
    return changed(record, speedup_static=twin)


def test_every_figure_is_drawn_where_there_are_data(sections: list[Plots]) -> None:
    """A run with lengths, batches, sound, memory, builds and engines for ranges has all nine figures of records."""
    plots = [plot for section in sections for plot in section.plots]
    assert len(plots) == 9
    assert all(plot.svg and plot.caption for plot in plots)
    assert all("synthetic weights" in plot.weights for plot in plots)


def test_text_stays_text_and_has_an_accessible_name(sections: list[Plots]) -> None:
    """Labels are SVG text, and every figure has a title and a description that its role points to."""
    for plot in (plot for section in sections for plot in section.plots):
        root = ET.fromstring(str(plot.svg))  # noqa: S314 - our own output
        space = {"svg": "http://www.w3.org/2000/svg"}
        assert len(root.findall(".//svg:text", space)) >= 3
        names = [given(root.find(f"svg:{tag}", space)) for tag in ("title", "desc")]
        assert root.get("aria-labelledby") == " ".join(name.attrib["id"] for name in names)
        assert plot.weights in given(names[0].text)


def test_figures_share_no_id_and_refer_to_nothing_outside(sections: list[Plots]) -> None:
    """All figures can stand in one page: ids are unique and every reference finds its own."""
    page = "".join(str(plot.svg) for section in sections for plot in section.plots)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    referred = set(re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', page))
    assert {first or second for first, second in referred} <= set(ids)
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]+"', "", page)


def test_colours_follow_the_page(sections: list[Plots]) -> None:
    """House colours are CSS variables, so that dark mode reaches into the figures."""
    for plot in (plot for section in sections for plot in section.plots):
        style = " ".join(re.findall(r'style="([^"]*)"', str(plot.svg)))
        bare = re.sub(r"var\([^)]*\)", "", style)
        assert "var(--ink" in style
        assert not any(colour in bare for colour in (INK, *SERIES))


def test_a_backend_keeps_its_colour_and_mark() -> None:
    """Colour and mark depend on the backend's name alone, and six backends are told apart by both."""
    names = ["eager", "a", "b", "c", "d", "e", "f"]
    table = marks(names)
    assert marks(reversed(names)) == table
    assert len({colour for colour, _ in table.values()}) == len({mark for _, mark in table.values()}) == 7


def test_hostile_labels_stay_labels(tmp_path: Path) -> None:
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


def test_long_names_leave_room_for_the_figure(tmp_path: Path) -> None:
    """A configuration with many options is shortened in its middle, and no axes collapse."""
    options = tuple((f"option{index}", "value") for index in range(20))
    cases = [replace(FAST, options=options, frames=frames) for frames in (128, 468)]
    records = [replace(speed_record(replace(case, options=())), case=case) for case in cases]
    drawn = [plot for section in draw_all(load_run(write_run(tmp_path, records)), same) for plot in section.plots]
    assert sum(bool(plot.svg) for plot in drawn) >= 4
    assert "option19=value" in "".join(plot.svg for plot in drawn)


def test_what_cannot_be_drawn_is_a_sentence(tmp_path: Path) -> None:
    """One case at one shape gives no lines, and each missing figure says what it lacks."""
    record = changed(speed_record(EAGER), memory=None, speedup_fp32=None, speedup_same_precision=None)
    sections = draw_all(load_run(write_run(tmp_path, [record])), same)
    missing = {section.title: section.plots[0].missing for section in sections}
    drawn = [title for title, sentence in missing.items() if not sentence]
    assert drawn == ["Latency distributions"]
    assert all(sentence.startswith("Not drawn: ") for sentence in missing.values() if sentence)


def test_the_highest_throughput_is_inside_its_figure(tmp_path: Path) -> None:
    """Also where throughputs differ little, so that a margin of their range is next to nothing."""
    records = [
        changed(record, throughput=replace(given(speed_of(record).throughput), audio_s_per_s=per_s))
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
def test_no_point_lies_outside_its_axes(tmp_path: Path, draw: Draw) -> None:
    """Panels that share a scale show all of each, whichever was drawn first."""
    records = [speed_record(Case("v3", backend, "fp32", 1, t)) for backend in ("eager", "tensorrt") for t in (23, 468)]
    records += [replace(r, case=replace(r.case, precision="tf32")) for r in many_times(records)]
    records += [replace(r, case=replace(r.case, batch=4)) for r in records]
    records += [quality_record(record.case) for record in records]
    (group,) = load_run(write_run(tmp_path, records)).groups
    with house():
        drawn = draw(group, marks(["tensorrt"]))
        assert not isinstance(drawn, str)
        for axes in drawn[0].axes:
            ends = np.sort([axes.get_xlim(), axes.get_ylim()], axis=1)
            for line in axes.get_lines():
                points = np.asarray(line.get_xydata(), float)
                if line.get_transform() == axes.transData:
                    assert (points >= ends[:, 0]).all()
                    assert (points <= ends[:, 1]).all()


def many_times(records: list[Record]) -> list[Record]:
    """The same records with 50 times the throughput and 50 times the latency."""
    slower = []
    for record in records:
        throughput = replace(
            given(speed_of(record).throughput), audio_s_per_s=50 * given(speed_of(record).throughput).audio_s_per_s
        )
        timing = replace(speed_of(record).timing, median_ms=50 * speed_of(record).timing.median_ms)
        slower.append(changed(record, throughput=throughput, timing=timing))
    return slower


def test_the_pareto_front_is_what_nothing_dominates() -> None:
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


def test_break_even_is_drawn_as_it_was_recorded(tmp_path: Path) -> None:
    """The figure shows what the speed suite recorded: 31 s of build and 8 ms saved pay off after 3875 inferences."""
    base, fast = speed_record(EAGER), speed_record(FAST)
    timing = replace(speed_of(fast).timing, median_ms=2.0)
    speedup = replace(given(speed_of(fast).speedup_same_precision), ratio=5.0, baseline_median_ms=10.0)
    build = Build(31.0, break_even_inferences=break_even_inferences(31.0, 10.0, 2.0))
    fast = changed(fast, timing=timing, speedup_same_precision=speedup, build=build)
    (group,) = load_run(write_run(tmp_path, [replace(base, build=Build(1.0)), fast])).groups
    row = next(row for row in group.rows if row.case == FAST)
    assert inferences_to_break_even(row) == build.break_even_inferences == pytest.approx(3875)
    with house():
        found = plots_cost.break_even(group, marks(["tensorrt"]))
    assert not isinstance(found, str)
    [inferences] = [float(np.asarray(line.get_xdata())[0]) for line in found[0].axes[1].lines]
    assert inferences == pytest.approx(3875)


def test_what_saves_nothing_never_breaks_even(tmp_path: Path) -> None:
    """A configuration slower than eager has no break-even, and the figure says which."""
    fast = speed_record(FAST)
    slow = replace(
        given(speed_of(fast).speedup_same_precision), baseline_median_ms=0.9 * speed_of(fast).timing.median_ms
    )
    run = load_run(write_run(tmp_path, [speed_record(EAGER), changed(fast, speedup_same_precision=slow)]))
    assert inferences_to_break_even(run.groups[0].rows[1]) is None
    found = plots_cost.break_even(run.groups[0], marks(["tensorrt"]))
    assert isinstance(found, str)
    assert found.startswith("Not drawn: no build has a break-even. Never")
    assert "tensorrt fp16" in found


def test_a_range_of_shapes_is_drawn_by_what_it_costs(tmp_path: Path) -> None:
    """Points lie at the static engine's speed over the range's: 1.25 for an engine with 0.8 of its twin's speed."""
    records = [ranged(100, 0.8), ranged(500, 1.0)]
    [group] = load_run(write_run(tmp_path, records)).groups
    with house():
        found = plots_cost.ranges(group, marks(["tensorrt-onnx"]))
    assert not isinstance(found, str)
    [axes] = found[0].axes
    [line] = [line for line in axes.lines if str(line.get_label()).startswith("tensorrt")]
    assert np.asarray(line.get_xydata()).ravel().tolist() == pytest.approx([100, 1.25, 500, 1.0])


def test_a_figure_names_what_tells_configurations_apart() -> None:
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


def test_the_error_by_band_is_drawn_of_what_the_judge_files() -> None:
    """The figure asks for the fields of the suite's own fidelity, by their names."""
    assert BANDS == ("lsd_0_4_db", "lsd_4_8_db", "lsd_8_16_db", "lsd_16_24_db")
