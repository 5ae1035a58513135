"""The report's section on what one inference is made of: of the chosen cases, and of whatever was profiled."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from bench.compare.markdown import escape
from bench.errors import InputError
from bench.records.join import groups_with
from bench.records.kinds.profile import Profile
from bench.records.plan import read_plan
from bench.records.rows import Group, Row
from bench.records.run import Run
from bench.report.figures.draw import finish
from bench.report.figures.inside import Part, inside, parts
from bench.report.figures.plot import Plot
from bench.report.headline import headlines, shown
from bench.report.html import render
from bench.report.names import short_name
from bench.report.section import Page, Section
from bench.report.text import number, shape


@dataclass(frozen=True)
class Inside:
    """A profiled case.

    Attributes:
        plot: Its figure.
        parts: The same as a table.
    """

    plot: Plot
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Ask:
    """A chosen case that was not profiled.

    Attributes:
        words: Which it is.
        command: What profiles it.
    """

    words: str
    command: str


class InsideSection(Section, anchor="inside", nav="Inside", order=41):
    """Where the time goes in the chosen cases."""

    def __init__(self, page: Page) -> None:
        super().__init__(page)
        self._profiled = profiled(page.run)
        self._asks = asks(page.run)

    @property
    def shown(self) -> bool:
        """Whether something was profiled or could be."""
        return bool(self._profiled or self._asks)

    def html(self) -> Markup:
        """A figure and its table for each profiled case, a sentence for each that is not."""
        return render("sections/inside.html.j2", profiled=self._profiled, asks=self._asks)

    def markdown(self) -> list[str]:
        """The parts of what was profiled."""
        lines = ["## Inside one inference", ""] if self._profiled else []
        for item in self._profiled:
            lines += [f"{escape(item.plot.title)}. {escape(item.plot.caption or item.plot.missing)}", ""]
            lines += ["| Part | ms | Share, % | Bound by |", "|---|---|---|---|"]
            lines += [f"| {' | '.join(map(escape, _cells(part)))} |" for part in item.parts] + [""]
        return lines

    def plots(self) -> Sequence[Plot]:
        """All of them."""
        return [item.plot for item in self._profiled]


def profiled(run: Run) -> list[Inside]:
    """Every profiled case of a run."""
    found = []
    for group, rows in groups_with(run.rows, Profile):
        for row in rows:
            profile = row.answer(Profile)
            assert profile is not None  # noqa: S101 - narrows the type
            found.append(Inside(finish(_plot(group, row), inside(row, profile)), tuple(parts(profile))))
    return found


def _plot(group: Group, row: Row) -> Plot:
    name = f"{group.version} {short_name(row.case)}, {shape(row.case)}"
    return Plot(f"inside-{row.line}", f"Where the time goes, {name}", f"{name}, {group.device}", group.weights)


def asks(run: Run) -> list[Ask]:
    """The chosen case of each vocoder that was not profiled, and the command that does it."""
    return [
        Ask(f"{item.group.version} {item.name}, {shape(item.row.case)}", command(run, item.row))
        for item in headlines(run)
        if item.row.answer(Profile) is None
    ]


def command(run: Run, row: Row) -> str:
    """What profiles a row into its run; weights that the run does not name have to be given."""
    words = ["vocoder-bench", "profile", row.case.id, "--into", shown(run.directory)]
    weights = row.record.weights
    if weights is not None and not weights.synthetic and not _knows_weights(run):
        words += ["--weights", "PATH"]
    return shlex.join(words)


def _knows_weights(run: Run) -> bool:
    try:
        plan = read_plan(run.directory)
    except InputError:
        return False
    return bool(plan and plan.settings.get("weights"))


def _cells(part: Part) -> tuple[str, ...]:
    return part.name, number(part.ms), number(part.share), part.bound_by
