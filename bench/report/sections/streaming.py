"""The report's section of streams: when the sound begins, whether it goes on, and what the cuts do to it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from markupsafe import Markup

from bench.compare.markdown import escape
from bench.records.facts import facts_of
from bench.records.kinds.streaming import Stream, Streaming
from bench.records.rows import Row
from bench.report.figures.draw import draw_kind
from bench.report.figures.plot import Plot
from bench.report.figures.streams import FIGURES, JOINS
from bench.report.html import render
from bench.report.section import Page, Section
from bench.report.text import cell, heading, number

_FIGURES = (
    "audio_ttfp_ms",
    "audio_ttfp_p90_ms",
    "steady_rtf",
    "jitter_ms",
    "audio_underrun_s",
    "audio_continuity_ok_rate",
    "snr_db",
)
HEADINGS = (
    "Configuration",
    "Chunk, s",
    "Join",
    *(heading(facts_of(Stream)[name]) for name in _FIGURES),
    "Fidelity",
)


@dataclass(frozen=True)
class Table:
    """The streams of one vocoder, device and set of weights.

    Attributes:
        title: Vocoder, device and what it is a stream of.
        weights: Of every figure.
        lines: Cells under :data:`HEADINGS`.
    """

    title: str
    weights: str
    lines: tuple[tuple[str, ...], ...]


def tables(rows: Iterable[Row]) -> list[Table]:
    """A table for each version, device and set of weights that has streams."""
    streamed = [row for row in rows if row.answer(Streaming) is not None]
    return [
        Table(title, weights, tuple(line for row in group for line in _lines(row)))
        for (title, weights), group in groupby(sorted(streamed, key=_group), _group)
    ]


def _group(row: Row) -> tuple[str, str]:
    record = row.record
    weights = record.weights.name if record.weights else "weights not recorded"
    return f"{row.case.version} on {record.device}", weights


def _lines(row: Row) -> list[tuple[str, ...]]:
    answer = row.answer(Streaming)
    assert answer is not None  # noqa: S101 - narrows the type
    name = f"{row.configuration}, {number(answer.utterance_s)} s"
    return [(name, *_cells(stream)) for stream in answer.streams()]


def _cells(stream: Stream) -> tuple[str, ...]:
    figures = (cell(facts_of(Stream)[name], getattr(stream, name)) for name in _FIGURES)
    return number(stream.chunk_s), JOINS.get(stream.join, stream.join), *figures, stream.verdict


class StreamingSection(Section, anchor="streaming", nav="Streaming", order=18):
    """Every stream of the run, as curves and as a table."""

    def __init__(self, page: Page) -> None:
        super().__init__(page)
        self._drawn = draw_kind(page.run, Streaming, FIGURES)

    @property
    def shown(self) -> bool:
        """Whether something was streamed."""
        return bool(tables(self.page.run.rows))

    def html(self) -> Markup:
        """The curves, then a table for each vocoder, device and set of weights."""
        return render(
            "sections/streaming.html.j2",
            tables=tables(self.page.run.rows),
            headings=HEADINGS,
            figures=self._drawn,
        )

    def markdown(self) -> list[str]:
        """The same tables."""
        lines = ["## Streaming", ""]
        for table in tables(self.page.run.rows):
            lines += [f"{escape(table.title)} ({escape(table.weights)})", ""]
            lines += [_line(HEADINGS), "|" + "---|" * len(HEADINGS), *map(_line, table.lines), ""]
        return lines

    def plots(self) -> Sequence[Plot]:
        """All that are drawn."""
        return [plot for question in self._drawn for plot in question.drawn]


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(map(escape, cells)) + " |"
