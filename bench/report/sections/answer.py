"""The first screen: what to run for each vocoder, as a sentence, a ladder of bars and the lines that do it."""

from collections.abc import Iterable

from markupsafe import Markup

from bench.compare.markdown import escape
from bench.report.caveats import caveats
from bench.report.headline import Headline, headlines
from bench.report.html import render
from bench.report.needs import Need, needs
from bench.report.notes import notes_of
from bench.report.section import Page, Section


class Answer(Section, anchor="answer", nav="Answer", order=10):
    """What to run, what to know before believing it, and what to run for another need."""

    def __init__(self, page: Page) -> None:
        super().__init__(page)
        self._headlines = headlines(page.run)
        self._needs = [(item.group, needs(page.run, item.group)) for item in self._headlines]

    def html(self) -> Markup:
        """A card for each vocoder, and a table of needs."""
        return render(
            "sections/answer.html.j2", headlines=self._headlines, needs=self._needs, caveats=caveats(self.page.run)
        )

    def markdown(self) -> list[str]:
        """The same as sentences and tables."""
        notes = [f"> {escape(note)}" for note in notes_of(self.page.run)]
        lines = ["\n>\n".join(notes), ""] if notes else []
        lines += ["## The answer", ""]
        if not self._headlines:
            lines += ["No case ended with a speed figure, so there is nothing to recommend.", ""]
        for headline, (_, found) in zip(self._headlines, self._needs, strict=True):
            group = headline.group
            lines += [f"**{escape(headline.sentence)}** ({escape(group.device)}, {escape(group.weights)})", ""]
            lines += [*_ladder(headline), "", *_needs(found), ""]
        return lines


def _ladder(headline: Headline) -> list[str]:
    heads = ("Configuration", "Median", "Over eager fp32", "Over the best plain PyTorch", "Remark")
    rows = [(rung.name, rung.figure, rung.over_eager, rung.over_plain, rung.remark) for rung in headline.ladder.rungs]
    return [_line(heads), "|" + "---|" * len(heads), *map(_line, rows)]


def _needs(found: Iterable[Need]) -> list[str]:
    heads = ("Need", "Run", "Figure", "Runner-up", "Why others lost")
    rows = [
        (need.question, need.winner or need.missing, need.figure, need.runner_up, "; ".join(need.others))
        for need in found
    ]
    return [_line(heads), "|" + "---|" * len(heads), *map(_line, rows)]


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(map(escape, cells)) + " |"
