"""The report shows every stream beside its configuration, and nothing where nothing was streamed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.case import Case
from bench.records.kinds.streaming import Stream, Streaming
from bench.records.run import load_run
from bench.records.schema import Record
from bench.report.figures.draw import draw_kind
from bench.report.figures.plot import Plot
from bench.report.figures.streams import FIGURES
from bench.report.names import style
from bench.report.render import write_report
from bench.report.section import Page
from bench.report.sections.streaming import HEADINGS, StreamingSection, tables
from tests.synthetic_records import speed_record, write_run

EAGER, FUSED = Case("v3", "eager", "fp16", 1, 468), Case("v4", "tensorrt", "fp16", 1, 500)


def stream(join: str, **changes: object) -> Stream:
    """Invented figures."""
    values: dict[str, object] = {
        "join": join,
        "chunk_frames": 23,
        "chunk_s": 0.2453,
        "context_frames": 12,
        "window_frames": 47,
        "first_window_frames": 35,
        "chunks": 21,
        "trials": 80,
        "audio_ttfp_ms": 3.25,
        "audio_ttfp_p90_ms": 3.5,
        "audio_ttfp_p99_ms": None,
        "audio_ttfp_samples_ms": (3.25,),
        "steady_rtf": 0.0125,
        "jitter_ms": None,
        "audio_underrun_s": 0.0,
        "audio_underrun_samples_s": (0.0,),
        "audio_continuity_ok_rate": 1.0,
        "snr_db": 57.1,
        "verdict": "pass",
    }
    return Stream(**{**values, **changes})  # type: ignore[arg-type]


def streaming_record(case: Case, **streams: Stream) -> Record:
    """A record of the kind."""
    result = Streaming(utterance_s=4.99, halo=12, **streams)
    return replace(speed_record(case), kind="streaming", build=None, precision=None, result=result)


def test_every_stream_has_a_line(tmp_path: Path) -> None:
    """By vocoder and weights, in the order of chunks; a figure that was not measured is blank."""
    run = load_run(
        write_run(
            tmp_path,
            [
                speed_record(EAGER),
                streaming_record(EAGER, halo_250ms=stream("halo"), sola_250ms=stream("sola", verdict="fail")),
                streaming_record(FUSED, halo_250ms=stream("halo", audio_ttfp_ms=1.5)),
            ],
        )
    )
    first, second = tables(run.rows)
    assert (first.title, second.title) == ("v3 on cuda:0", "v4 on cuda:0")
    assert [len(table.lines) for table in (first, second)] == [2, 1]
    expected = ("eager fp16, 4.99 s", "0.245", "exact halo", "3.25", "3.50", "0.0125", "", "0", "1.00", "57.1", "pass")
    assert first.lines[0] == expected
    assert first.lines[1][2] == "GPT-SoVITS's overlap and SOLA"
    assert first.lines[1][-1] == "fail"
    assert len(expected) == len(HEADINGS)


def test_the_section_is_part_of_the_report(tmp_path: Path) -> None:
    """HTML and Markdown have the figures, and the page the section; without streams there is none."""
    every = {name: stream(name.partition("_")[0]) for name in Streaming.__dataclass_fields__ if "ms" in name}
    folder = write_run(tmp_path / "run", [speed_record(EAGER), streaming_record(EAGER, **every)])
    section = StreamingSection(Page(load_run(folder), str))
    assert section.shown
    html, markdown = str(section.html()), "\n".join(section.markdown())
    for text in ("audio_ttfp, ms", "audio_underrun, s", "audio_continuity_ok_rate", "3.25", "exact halo"):
        assert text in html
        assert text.replace("_", r"\_") in markdown
    page = tmp_path / "report.html"
    write_report(folder, out=page)
    assert '<section id="streaming"' in page.read_text(encoding="utf-8")
    alone = StreamingSection(Page(load_run(write_run(tmp_path / "alone", [speed_record(EAGER)])), str))
    assert not alone.shown


def drawn(folder: Path, *records: Record) -> dict[str, Plot]:
    """The figures of a run's streams by name."""
    run = load_run(write_run(folder, list(records)))
    return {plot.name: plot for question in draw_kind(run, Streaming, FIGURES) for plot in question.plots}


def points(plot: Plot) -> list[dict[str, Any]]:
    assert plot.spec is not None
    found: list[dict[str, Any]] = plot.spec["data"]["values"]
    return found


def test_streams_are_curves_over_the_chunk(tmp_path: Path) -> None:
    """Each join has its own pair of figures, with the recorded values at the recorded lengths of chunks."""
    long = stream("halo", chunk_s=0.9984, audio_ttfp_ms=9.5, steady_rtf=0.004)
    record = streaming_record(EAGER, halo_250ms=stream("halo"), halo_1000ms=long, sola_250ms=stream("sola"))
    found = drawn(tmp_path, speed_record(EAGER), record)
    assert [(one["x"], one["y"]) for one in points(found["ttfp-halo-0"])] == [(0.2453, 3.25), (0.9984, 9.5)]
    assert [(one["x"], one["y"]) for one in points(found["steady-rtf-halo-0"])] == [(0.2453, 0.0125), (0.9984, 0.004)]
    assert [(one["x"], one["y"]) for one in points(found["ttfp-sola-0"])] == [(0.2453, 3.25)]
    assert "audio_ttfp, ms" in found["ttfp-halo-0"].svg
    assert "chunk, s" in found["ttfp-halo-0"].svg


def test_a_stream_looks_as_its_configuration_does_elsewhere(tmp_path: Path) -> None:
    """Name, colour and marker are those of every figure, where nothing was timed too; the longest length is drawn."""
    short = replace(EAGER, frames=128)
    records = [streaming_record(case, halo_250ms=stream("halo", audio_ttfp_ms=case.frames)) for case in (short, EAGER)]
    found = drawn(tmp_path, *records)["ttfp-halo-0"]
    [key] = found.keys
    assert (key.name, key.colour, key.shape) == ("PyTorch eager fp16", style(EAGER).colour, "diamond")
    assert [one["case"] for one in points(found)] == [EAGER.id]


def test_what_was_not_streamed_is_a_sentence(tmp_path: Path) -> None:
    """A stream of one chunk has no steady RTF, and one join leaves the other's figures out."""
    found = drawn(tmp_path, streaming_record(EAGER, halo_250ms=stream("halo", steady_rtf=None)))
    assert [name for name, plot in found.items() if not plot.missing] == ["ttfp-halo-0"]
    assert all(plot.missing.startswith("Not drawn: ") for plot in found.values() if not plot.svg)
