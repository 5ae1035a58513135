"""The report's section on the guide's promises."""

from markupsafe import Markup

from bench.compare.markdown import escape
from bench.report.html import render
from bench.report.promises import Cell, Line, lines
from bench.report.section import Page, Section

HEADINGS = ("Against eager fp32", "Against eager, same precision", "Against the best plain PyTorch")


class Promises(Section, anchor="promises", nav="Promises", order=20):
    """The guide's promises, and what was measured."""

    def __init__(self, page: Page) -> None:
        super().__init__(page)
        self._lines = lines(page.run)

    @property
    def shown(self) -> bool:
        """Whether anything was timed."""
        return bool(self._lines)

    def html(self) -> Markup:
        """A line for each promise and vocoder, with a verdict for each baseline."""
        return render("sections/promises.html.j2", lines=self._lines, headings=HEADINGS)

    def markdown(self) -> list[str]:
        """The same table."""
        heads = ("Promise", "Vocoder", "Held by", *HEADINGS)
        rows = [
            (line.promise, line.version, _subject(line), *(_text(cell) for cell in line.cells)) for line in self._lines
        ]
        table = ["| " + " | ".join(map(escape, cells)) + " |" for cells in (heads, *rows)]
        return ["## The guide's promises", "", table[0], "|" + "---|" * len(heads), *table[1:], ""]


def _subject(line: Line) -> str:
    return line.subject if line.fidelity in ("pass", "") else f"{line.subject} (sound: {line.fidelity})"


def _text(cell: Cell) -> str:
    return f"{cell.verdict}: {cell.figure}" if cell.figure else cell.verdict
