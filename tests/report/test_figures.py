"""Figures: what is drawn is what was recorded, and the library accepts it."""

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.case import Case
from bench.records.limits import Ceilings, Roofline
from bench.records.rows import Group
from bench.records.run import load_run
from bench.records.schema import Build, Record
from bench.report.figures import cost, sound, speed
from bench.report.figures.curves import ticks
from bench.report.figures.draw import FIGURES, draw_all, finish
from bench.report.figures.plot import Drawing, Plot
from bench.report.figures.series import SHOWN
from bench.report.figures.shapes import SHAPES
from bench.report.figures.sound import BANDS, heard_limits
from bench.report.names import style
from tests.synthetic_records import changed, given, quality_record, speed_of, speed_record, sweep_records, write_run

EAGER, FAST = Case("v3", "eager", "fp16", 1, 468), Case("v3", "tensorrt", "fp16", 1, 468)
LIMIT = Roofline(
    flops=858 * 10**9,
    least_bytes=429 * 10**6,
    ceilings=Ceilings(2e12, 8e14, "fp16", "2026-01-01T00:00:00+00:00"),
    floor_ms=1.0,
    layered_floor_ms=1.5,
    percent_of_limit=20.0,
    bound_by="compute",
)


def same(items: Iterable[Any]) -> Iterable[Any]:
    return items


def group_of(folder: Path, *records: Record) -> Group:
    [group] = load_run(write_run(folder, list(records))).groups
    return group


def values(found: Drawing | str) -> list[dict[str, Any]]:
    assert isinstance(found, Drawing)
    data: list[dict[str, Any]] = found.spec["data"]["values"]
    return data


@pytest.fixture(scope="module")
def plots(tmp_path_factory: pytest.TempPathFactory) -> list[Plot]:
    """Every figure of a run that has something for each."""
    dynamic = Case("v3", "tensorrt-onnx", "fp16", 1, 468, (("shapes", "dynamic"),))
    ranged = speed_record(dynamic)
    ranged = changed(ranged, speedup_static=replace(given(speed_of(ranged).speedup_fp32), ratio=0.8))
    records = [*sweep_records(versions=("v3",)), ranged]
    records = [changed(r, roofline=LIMIT) if r.case == FAST and r.kind == "speed" else r for r in records]
    run = load_run(write_run(tmp_path_factory.mktemp("plots"), records))
    return [plot for section in draw_all(run, same) for plot in section.plots]


def test_every_figure_is_drawn_where_there_are_data(plots: list[Plot]) -> None:
    """Each has a specification, a caption, its weights and a picture without scripts."""
    assert [plot.name.rsplit("-", 1)[0] for plot in plots] == [name for name, *_ in FIGURES]
    assert [plot.missing for plot in plots] == [""] * len(FIGURES)
    assert all(plot.svg and plot.caption and "synthetic weights" in plot.weights for plot in plots)


def test_pictures_share_no_id_and_refer_to_nothing_outside(plots: list[Plot]) -> None:
    """All can stand in one page: every id is unique and every reference finds its own."""
    page = "".join(plot.svg for plot in plots)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([^)]+)\)", page)) <= set(ids)
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]+"', "", page)
    assert all(f'aria-label="{plot.title}' in plot.svg for plot in plots)


def test_no_figure_has_a_colour_of_its_own(plots: list[Plot]) -> None:
    """All colours are the page's variables, so that dark mode reaches into the figures."""
    for plot in plots:
        bare = re.sub(r"var\(--[\w-]+, #[0-9a-f]{6}\)", "", plot.svg)
        assert "var(--ink" in plot.svg
        assert not re.search(r"#[0-9a-f]{6}\b", bare), plot.name


def test_a_configuration_looks_the_same_in_every_figure(plots: list[Plot]) -> None:
    """Colour and marker of a legend are those of its backend and precision."""
    seen: dict[str, set[tuple[str, str]]] = {}
    for key in (key for plot in plots for key in plot.keys):
        seen.setdefault(key.name, set()).add((key.colour, key.shape))
    assert seen["TorchScript fp16"] == {(style(Case("v3", "torchscript", "fp16", 1, 9)).colour, "diamond")}
    assert all(len(found) == 1 for found in seen.values())
    assert {shape for found in seen.values() for _, shape in found} <= set(SHAPES)


def test_hostile_labels_stay_labels(tmp_path: Path) -> None:
    """Markup in a backend's name is text in the picture."""
    hostile = "</text><script>&amp;"
    cases = [replace(FAST, backend=hostile, frames=frames) for frames in (128, 468)]
    records = [replace(speed_record(replace(case, backend="eager")), case=case) for case in cases]
    for plot in (plot for part in draw_all(load_run(write_run(tmp_path, records)), same) for plot in part.plots):
        assert "<script" not in plot.svg


def test_what_cannot_be_drawn_is_a_sentence(tmp_path: Path) -> None:
    """One case at one shape gives no lines, and each missing figure says what it lacks."""
    record = changed(speed_record(EAGER), memory=None, speedup_fp32=None, speedup_same_precision=None)
    found = [plot for part in draw_all(load_run(write_run(tmp_path, [record])), same) for plot in part.plots]
    assert [plot.name for plot in found if not plot.missing] == ["rounds-0"]
    assert all(plot.missing.startswith("Not drawn: ") for plot in found if not plot.svg)


def test_latency_and_throughput_are_the_recorded_ones(tmp_path: Path) -> None:
    """Points carry medians with their intervals, the real-time factor and the throughput, each at its own place."""
    records = [speed_record(replace(FAST, frames=frames, batch=batch)) for frames in (128, 468) for batch in (1, 4)]
    group = group_of(tmp_path, *records)
    by_case = {record.case.id: speed_of(record) for record in records}
    for point in values(speed.latency_by_length(group)):
        timing = by_case[point["case"]].timing
        assert (point["y"], point["low"], point["high"]) == (
            timing.median_ms,
            timing.ci95_low_ms,
            timing.ci95_high_ms,
        )
    assert {point["x"] for point in values(speed.rtf_by_length(group))} == {128, 468}
    batches = values(speed.throughput_by_batch(group))
    assert {point["x"]: point["y"] for point in batches} == {
        record.case.batch: given(speed_of(record).throughput).audio_s_per_s
        for record in records
        if record.case.frames == 468
    }


def test_the_trade_is_milliseconds_against_what_is_heard(tmp_path: Path) -> None:
    """Heard changes count where there are some, with the tiers' limits shaded; SNR stands in for older records."""
    heard = group_of(tmp_path / "heard", speed_record(FAST), quality_record(FAST, heard_db=0.2))
    [point] = values(found := sound.trade(heard))
    assert (point["x"], point["y"]) == (speed_of(speed_record(FAST)).timing.median_ms, 0.2)
    assert isinstance(found, Drawing)
    shades = [layer["data"]["values"][0] for layer in found.spec["layer"] if layer["mark"].get("type") == "rect"]
    assert [shade["low"] for shade in shades] == [heard_limits()["warn"], heard_limits()["fail"]]
    older = sound.trade(group_of(tmp_path / "older", speed_record(FAST), quality_record(FAST)))
    assert values(older)[0]["y"] == 57.0
    assert isinstance(older, Drawing)
    assert "SNR stands in" in older.caption


def test_memory_is_allocator_and_engine(tmp_path: Path) -> None:
    """Parts of a bar begin where the one before ends; the process stands in words."""
    record = changed(speed_record(FAST), build=Build(1.0, 40 * 2**20))
    memory = replace(given(speed_of(record).memory), allocated_peak_bytes=100 * 2**20, process_gpu_bytes=700 * 2**20)
    parts = values(cost.memory(group_of(tmp_path, changed(record, memory=memory))))
    assert [(part["from"], part["to"]) for part in parts] == [(0, 100), (100, 140)]
    assert "140 (700 with CUDA)" in parts[0]["label"]


def test_time_is_split_at_the_machine_s_floors(tmp_path: Path) -> None:
    """Floor, what layers add to it, and the rest are the median together."""
    record = changed(speed_record(FAST), roofline=LIMIT)
    parts = values(cost.time_spent(group_of(tmp_path, record)))
    median_ms = speed_of(record).timing.median_ms
    assert [part["size"] for part in parts] == pytest.approx([1.0, 0.5, median_ms - 1.5])


def test_the_roofline_has_its_corner_where_both_ceilings_meet(tmp_path: Path) -> None:
    """8e14 operations and 2e12 bytes a second meet at 400 operations a byte; the point lies at flops over bytes."""
    record = changed(speed_record(FAST), roofline=LIMIT)
    found = cost.roofline(group_of(tmp_path, record))
    [point] = values(found)
    assert point["x"] == 2000
    assert point["y"] == pytest.approx(858e9 / (speed_of(record).timing.median_ms / 1000) / 1e12)
    assert isinstance(found, Drawing)
    roof = found.spec["layer"][0]["data"]["values"]
    assert (roof[1]["x"], roof[1]["y"], roof[2]["y"]) == pytest.approx((400, 800, 800))


def test_break_even_is_the_build_over_what_is_saved(tmp_path: Path) -> None:
    """31 s of build and 8 ms saved pay off after 3875 inferences; what is slower than eager never does."""
    fast = speed_record(FAST)
    timing = replace(speed_of(fast).timing, median_ms=2.0)
    turn = replace(given(speed_of(fast).speedup_same_precision), baseline_median_ms=10.0)
    built = changed(fast, timing=timing, speedup_same_precision=turn, build=Build(31.0))
    [point] = values(cost.break_even(group_of(tmp_path / "fast", built)))
    assert (point["x"], point["y"]) == pytest.approx((31.0, 3875.0))
    slow = changed(built, speedup_same_precision=replace(turn, baseline_median_ms=1.9))
    assert "Never (not faster than eager" in str(cost.break_even(group_of(tmp_path / "slow", slow)))


def test_a_range_of_shapes_is_drawn_by_what_it_costs(tmp_path: Path) -> None:
    """1.25 for an engine with 0.8 of its static baseline's speed."""
    record = speed_record(replace(FAST, options=(("shapes", "dynamic"),)))
    record = changed(record, speedup_static=replace(given(speed_of(record).speedup_fp32), ratio=0.8))
    [point] = values(cost.ranges(group_of(tmp_path, record)))
    assert point["y"] == pytest.approx(1.25)


def test_many_configurations_are_cut_to_the_fastest(tmp_path: Path) -> None:
    """Fourteen are drawn, eager fp32 always among them, and the caption says that there are more."""
    reference = replace(EAGER, precision="fp32")
    cases = [replace(FAST, options=(("level", str(level)),)) for level in range(20)]
    records = [speed_record(replace(c, frames=t)) for c in (reference, *cases) for t in (128, 468)]
    found = speed.latency_by_length(group_of(tmp_path, *records))
    assert isinstance(found, Drawing)
    assert len(found.keys) == SHOWN
    assert "PyTorch eager fp32" in [key.name for key in found.keys]
    assert "the table has all" in found.caption


def test_ticks_are_measured_values() -> None:
    """At most six, the ends among them."""
    assert ticks([1, 2, 4]) == [1, 2, 4]
    found = ticks(range(10, 1000, 10))
    assert len(found) <= 6
    assert (found[0], found[-1]) == (10, 990)


def test_bands_are_those_that_the_judge_files() -> None:
    """The figure asks for the fields of the suite's own fidelity, by their names."""
    assert BANDS == ("lsd_0_4_db", "lsd_4_8_db", "lsd_8_16_db", "lsd_16_24_db")


def test_a_label_of_one_or_two_lines_ends_above_its_bar(tmp_path: Path) -> None:
    """The last line's foot stands a few pixels over the bar, however many lines there are."""
    long = replace(FAST, options=(("level", "1"), ("precision", "a_value_that_takes_many_characters")))
    group = group_of(tmp_path, speed_record(FAST), speed_record(long))
    svg = finish(Plot("memory", "Memory", "v3", "weights"), cost.memory(group)).svg
    groups = re.findall(r'<g class="mark-(rect|text) role-mark [^"]*">(.*?)</g>', svg)
    bars = "".join(inner for kind, inner in groups if kind == "rect")
    texts = "".join(inner for kind, inner in groups if kind == "text")
    tops = [float(top) for top in re.findall(r'd="M0,([\d.]+)h', bars)]
    labels = re.findall(r"translate\(0,([\d.]+)\)[^>]*>(.*?)</text>", texts)
    feet = [float(at) + sum(map(float, re.findall(r'dy="([\d.]+)"', inner))) for at, inner in labels]
    assert sorted(inner.count("<tspan") for _, inner in labels) == [0, 2]
    assert all(0 < top - foot < 10 for top, foot in zip(sorted(tops), sorted(feet), strict=True))
