"""The report's section of load: how many users each configuration serves, and every point behind that."""

from markupsafe import Markup

from bench.case import configuration
from bench.compare.markdown import escape
from bench.records.facts import facts_of
from bench.records.kinds.load import Load, LoadPoint
from bench.records.rows import Row
from bench.report.section import Section
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


class LoadSection(Section, anchor="load", nav="Load", order=42):
    """A line a configuration, and its points folded away."""

    @property
    def shown(self) -> bool:
        """Whether the run has load."""
        return bool(self._loads())

    def html(self) -> Markup:
        """The summary table, then every point."""
        loads = self._loads()
        head = Markup("").join(Markup('<th scope="col">{}</th>').format(name) for name in headings())
        rows = Markup("").join(
            Markup('<tr><th scope="row">{}</th>{}</tr>').format(cells[0], _numbers(cells[1:]))
            for cells in (summary(row, load) for row, load in loads)
        )
        return Markup(
            '<section id="load" aria-labelledby="load-heading"><h2 id="load-heading">Load</h2>'
            "<p>Each configuration behind <code>vocoder-bench serve</code> on loopback, utterances of {}. "
            "Every answer was compared with its own reference. Latencies run from the moment at which a request was "
            "to be sent; p90 needs 64 and p99 needs 662 answers. Speakers: most at once whose first audio came within "
            "100 ms at p99.</p>"
            '<div class="scroll" tabindex="0" role="region" aria-label="Load"><table><thead><tr>{}</tr></thead>'
            "<tbody>{}</tbody></table></div>{}</section>"
        ).format(loads[0][1].utterances, head, rows, Markup("").join(_points(row, load) for row, load in loads))

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


def _points(row: Row, load: Load) -> Markup:
    facts = facts_of(LoadPoint)
    names = [heading(facts[name]) for name in POINT_FIGURES]
    head = Markup("").join(Markup('<th scope="col">{}</th>').format(name) for name in ("Load", "Answered", *names))
    rows = Markup("").join(
        Markup('<tr><th scope="row">{}</th>{}</tr>').format(
            words(point),
            _numbers(
                [
                    f"{point.answered} of {point.requests}",
                    *(cell(facts[name], getattr(point, name)) for name in POINT_FIGURES),
                ]
            ),
        )
        for point in load.points
    )
    title = f"{row.case.version} {configuration(row.case)}: {len(load.points)} points"
    return Markup(
        '<details><summary>{}</summary><div class="scroll" tabindex="0" role="region" aria-label="{}"><table>'
        "<thead><tr>{}</tr></thead><tbody>{}</tbody></table></div></details>"
    ).format(title, title, head, rows)


def words(point: LoadPoint) -> str:
    """What the load of a point was."""
    batches = "" if point.batching else ", no batches"
    if point.loop == "open":
        return f"open, {number(point.offered_per_s)}/s{batches}"
    what = "speakers" if point.loop == "speakers" else "clients"
    return f"{point.clients} {what}{batches}"


def _numbers(cells: list[str]) -> Markup:
    return Markup("").join(Markup('<td class="n">{}</td>').format(text) for text in cells)
