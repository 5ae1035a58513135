"""The report's section of figures."""

from collections.abc import Sequence
from functools import partial

from markupsafe import Markup

from bench.report.figures.draw import draw_all
from bench.report.figures.plot import Plot
from bench.report.html import render
from bench.report.section import Page, Section
from bench.run.progress import progress


class PlotsSection(Section, anchor="plots", nav="Figures", order=40):
    """Every figure of every group."""

    def __init__(self, page: Page) -> None:
        super().__init__(page)
        self._drawn = draw_all(page.run, partial(progress, label="figures"))

    def html(self) -> Markup:
        """The figures by the question that they answer."""
        missing = [plot for plot in self.plots() if plot.missing]
        return render("sections/plots.html.j2", run=self.page.run, sections=self._drawn, missing=missing)

    def plots(self) -> Sequence[Plot]:
        """All of them."""
        return [plot for question in self._drawn for plot in question.plots]
