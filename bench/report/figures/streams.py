"""Figures of streams: when the sound begins, and whether it goes on, against the length of a chunk."""

from collections.abc import Sequence
from functools import partial

from bench.records.kinds.streaming import Stream, Streaming
from bench.records.rows import Group, Row
from bench.report.figures.curves import Scale, Tip, curves
from bench.report.figures.plot import Drawing
from bench.report.figures.series import keys, point
from bench.report.shapes import at_shape, reference_frames
from bench.report.text import number

JOINS = {"halo": "exact halo", "sola": "GPT-SoVITS's overlap and SOLA"}
_CHUNK = Scale("chunk, s", format=".2~r")


def first_audio(join: str, group: Group, rows: Sequence[Row]) -> Drawing | str:
    """Median time until the first chunk is on the host, against the chunk's length."""
    caption = "Median time from the start until the first chunk is on the host."
    return _against_chunk(group, rows, join, "audio_ttfp_ms", Scale("audio_ttfp, ms"), caption)


def steady_rtf(join: str, group: Group, rows: Sequence[Row]) -> Drawing | str:
    """Real-time factor from the first arrival on, against the chunk's length."""
    caption = "Seconds of compute per second of sound from the first arrival on: under 1 the stream keeps up."
    return _against_chunk(group, rows, join, "steady_rtf", Scale("steady RTF"), caption)


FIGURES = tuple(
    (f"{name}-{join}", f"{title} against chunk length, {words}", partial(draw, join))
    for join, words in JOINS.items()
    for name, title, draw in (("ttfp", "First audio", first_audio), ("steady-rtf", "Steady RTF", steady_rtf))
)


def _against_chunk(group: Group, rows: Sequence[Row], join: str, figure: str, y: Scale, caption: str) -> Drawing | str:
    rows = at_shape(rows, reference_frames(group.version))
    legend = keys(group, rows)
    points = [
        point(row, legend[row.configuration], x=stream.chunk_s, y=value, **_told(stream))
        for row in rows
        if row.configuration in legend
        for stream in _streams(row)
        if stream.join == join and (value := getattr(stream, figure))
    ]
    if not points:
        return f"Not drawn: no stream with {JOINS[join]} has this figure."
    shown = {item["name"] for item in points}
    entries = tuple(key for key in legend.values() if key.name in shown)
    tips = (Tip("p90", "audio_ttfp p90, ms"), Tip("trials", "trials", "d"), Tip("verdict", "fidelity"))
    utterance_s = next(answer.utterance_s for row in rows if (answer := row.answer(Streaming)))
    return Drawing(
        curves(points, entries, _CHUNK, y, tips=tips), f"An utterance of {number(utterance_s)} s. {caption}", entries
    )


def _streams(row: Row) -> list[Stream]:
    answer = row.answer(Streaming)
    return [] if answer is None else list(answer.streams())


def _told(stream: Stream) -> dict[str, object]:
    return {
        "p90": number(stream.audio_ttfp_p90_ms) or "under 64 trials",
        "trials": stream.trials,
        "verdict": stream.verdict or "not judged",
    }
