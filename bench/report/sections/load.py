"""The report's section of load: how many users each configuration serves, and every point behind that."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from bench.case import configuration
from bench.compare.markdown import escape
from bench.records.facts import facts_of
from bench.records.kinds.load import Load, LoadPoint
from bench.records.rows import Row
from bench.report.figures.draw import draw_kind
from bench.report.figures.plot import Plot
from bench.report.figures.serving import FIGURES as CURVES
from bench.report.html import render
from bench.report.section import Page, Section
from bench.report.text import cell, heading, number

FIGURES = (
    "saturation_per_s",
    "saturation_unbatched_per_s",
    "batching_gain",
    "saturation_audio_throughput",
    "speakers",
    "wrong",
)
POINT_FIGURES = (
    "requests_per_s",
    "audio_throughput",
    "latency_p50_ms",
    "latency_p90_ms",
    "latency_p99_ms",
    "audio_ttfp_p99_ms",
    "audio_continuity_ok_rate",
    "batch_items_mean",
)
_PLAIN = {"wrong": "Wrong answers"}


@dataclass(frozen=True)
class Points:
    """Every point of one configuration as cells, under :func:`point_headings`."""

    title: str
    lines: tuple[tuple[str, ...], ...]


class LoadSection(Section, anchor="load", nav="Load", order=42):
    """A line a configuration, the curves, and its points folded away."""

    def __init__(self, page: Page) -> None:
        super().__init__(page)
        self._drawn = draw_kind(page.run, Load, CURVES)

    @property
    def shown(self) -> bool:
        """Whether the run has load."""
        return bool(self._loads())

    def html(self) -> Markup:
        """The summary table, the curves, then every point."""
        loads = self._loads()
        return render(
            "sections/load.html.j2",
            utterances=loads[0][1].utterances,
            headings=headings(),
            lines=[summary(row, load) for row, load in loads],
            figures=self._drawn,
            point_headings=point_headings(),
            points=[points(row, load) for row, load in loads],
        )

    def plots(self) -> Sequence[Plot]:
        """All that are drawn."""
        return [plot for question in self._drawn for plot in question.drawn]

    def markdown(self) -> list[str]:
        """The summary table."""
        return [
            "## Load",
            "",
            f"Utterances of {self._loads()[0][1].utterances}.",
            "",
            f"| {' | '.join(headings())} |",
            f"|{'---|' * len(headings())}",
            *(f"| {' | '.join(map(escape, summary(row, load)))} |" for row, load in self._loads()),
            "",
        ]

    def _loads(self) -> list[tuple[Row, Load]]:
        return [(row, load) for row in self.page.run.rows if (load := row.answer(Load)) is not None]


def headings() -> list[str]:
    """Of the summary table."""
    facts = facts_of(Load)
    return ["Configuration", *(heading(facts[name]) if name in facts else _PLAIN[name] for name in FIGURES)]


def summary(row: Row, load: Load) -> list[str]:
    """The cells of one configuration."""
    facts = facts_of(Load)
    cells = []
    for name in FIGURES:
        value = getattr(load, name)
        # Counts are whole.
        cells.append("" if value is None else str(value) if isinstance(value, int) else cell(facts[name], value))
    return [f"{row.case.version} {configuration(row.case)}", *cells]


def point_headings() -> list[str]:
    """Of the tables of points."""
    facts = facts_of(LoadPoint)
    return ["Load", "Answered", *(heading(facts[name]) for name in POINT_FIGURES)]


def points(row: Row, load: Load) -> Points:
    """Every point of one configuration."""
    facts = facts_of(LoadPoint)
    return Points(
        f"{row.case.version} {configuration(row.case)}: {len(load.points)} points",
        tuple(
            (
                words(point),
                f"{point.answered} of {point.requests}",
                *(cell(facts[name], getattr(point, name)) for name in POINT_FIGURES),
            )
            for point in load.points
        ),
    )


def words(point: LoadPoint) -> str:
    """What the load of a point was."""
    batches = "" if point.batching else ", no batches"
    if point.loop == "open":
        return f"open, {number(point.offered_per_s)}/s{batches}"
    what = "speakers" if point.loop == "speakers" else "clients"
    return f"{point.clients} {what}{batches}"
