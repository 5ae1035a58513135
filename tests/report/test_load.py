"""The report's section of load."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.case import Case
from bench.records.jsonl import dump_record, load_record
from bench.records.kinds.load import Load, LoadPoint, MemoryPoint
from bench.records.run import load_run
from bench.records.schema import Record
from bench.report.figures.draw import draw_kind
from bench.report.figures.plot import Plot
from bench.report.figures.serving import FIGURES, ONE_BY_ONE
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


RATES = (20.0, 5.0, 10.0, 10.0)
CLOSED = replace(POINT, loop="closed", offered_per_s=None, clients=4, audio_throughput=33.0)
CURVES = replace(
    LOAD,
    points=(
        *(replace(POINT, offered_per_s=rate, latency_p50_ms=rate + place) for place, rate in enumerate(RATES)),
        replace(POINT, offered_per_s=5.0, batching=False, latency_p50_ms=77.0, latency_p90_ms=88.0),
        CLOSED,
        replace(CLOSED, loop="speakers", audio_ttfp_p50_ms=21.0, audio_ttfp_p99_ms=99.5),
    ),
    saturation_per_s=10.0,
    memory=tuple(MemoryPoint(5.0 * place, (1000 + place) * 2**20) for place in range(500)),
    memory_growth_bytes_per_h=3 * 2**20,
)


@pytest.fixture(scope="module")
def curves(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Plot]:
    """The figures of one load, of a case that was not timed."""
    run = load_run(write_run(tmp_path_factory.mktemp("curves"), [replace(record(), result=CURVES)]))
    return {plot.name: plot for question in draw_kind(run, Load, FIGURES) for plot in question.plots}


def points(plot: Plot) -> list[dict[str, Any]]:
    assert plot.spec is not None
    found: list[dict[str, Any]] = plot.spec["data"]["values"]
    return found


def test_latency_over_the_rate(curves: dict[str, Plot]) -> None:
    """Points stand in the order of rates, the later of two at one; without batches is an entry of its own."""
    found = points(curves["load-latency-0"])
    batched = [(one["x"], one["y"]) for one in found if not one["name"].endswith(ONE_BY_ONE)]
    assert batched == [(5.0, 6.0), (10.0, 13.0), (20.0, 20.0)]
    [alone] = [one for one in found if one["name"].endswith(ONE_BY_ONE)]
    assert (alone["y"], alone["p90"], alone["p99"]) == (77.0, 88.0, None)
    assert [key.name for key in curves["load-latency-0"].keys] == [
        "PyTorch eager fp16",
        f"PyTorch eager fp16{ONE_BY_ONE}",
    ]


def test_saturation_is_marked(curves: dict[str, Plot]) -> None:
    """An upright stands at the rate, which the caption gives; what has none has no upright."""
    for name in ("load-latency-0", "load-answers-0"):
        spec = curves[name].spec
        assert spec is not None
        uprights = [layer["data"]["values"] for layer in spec["layer"] if "strokeDash" in layer["mark"]]
        assert [{"name": "PyTorch eager fp16", "x": 10.0}] in uprights
        assert "(PyTorch eager fp16 10.0/s)" in curves[name].caption


def test_throughput_and_first_audio_over_clients(curves: dict[str, Plot]) -> None:
    """Closed loops give seconds of audio a second, speakers the time until they hear something."""
    [client] = points(curves["load-throughput-0"])
    assert (client["x"], client["y"]) == (4, 33.0)
    [speaker] = points(curves["load-speakers-0"])
    assert (speaker["x"], speaker["y"], speaker["p99"]) == (4, 21.0, 99.5)


def test_memory_over_time(curves: dict[str, Plot]) -> None:
    """MiB at the seconds of their reading, thinned evenly; the soak's growth in words; no GPU, no figure of it."""
    found = points(curves["load-rss-0"])
    assert len(found) == 120
    assert (found[0]["x"], found[-1]["x"]) == (0.0, 2495.0)
    assert all(one["y"] == 1000 + one["x"] / 5 for one in found)
    assert "3.00 MiB an hour" in curves["load-rss-0"].caption
    assert curves["load-gpu-0"].missing.startswith("Not drawn: ")
