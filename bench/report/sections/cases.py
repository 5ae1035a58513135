"""The table of every case, and the samples behind its figures."""

from dataclasses import dataclass

from markupsafe import Markup

from bench.records.run import Run
from bench.report.columns import COLUMNS, Column, outcome
from bench.report.html import render
from bench.report.names import short_names
from bench.report.section import Section
from bench.report.text import number

SAMPLE_BYTES = 2**18
_FIRST = ("Configuration", "Vocoder", "Batch", "Frames", "Backend", "Precision", "Outcome")
_LAST = ("Rounds", "Line")
_COUNTS = ("Batch", "Frames", *_LAST)


@dataclass(frozen=True)
class Line:
    """A row of the table as text.

    Attributes:
        name, case: Short name of the configuration, and the case's id.
        version, backend, precision, outcome: What the table filters by.
        batch, frames: The shape.
        cells: One text a column.
        samples: Anchor of its samples in this page, or empty.
        count: Number of samples.
        line: Line of its record in the records file.
    """

    name: str
    case: str
    version: str
    batch: int
    frames: int
    backend: str
    precision: str
    outcome: str
    cells: tuple[str, ...]
    samples: str
    count: int
    line: int


@dataclass(frozen=True)
class Samples:
    """The durations behind one row."""

    anchor: str
    case: str
    clock: str
    text: str


@dataclass(frozen=True)
class Table:
    """The table of every case.

    Attributes:
        columns: Those in which at least one row has something, and not every row the same words.
        same: Name and words of those in which every row has the same.
        blank: Names of those that are left out for being empty.
        lines: One a case.
        samples: Samples kept in the page.
        without: How many timed cases have their samples in the records file only.
    """

    columns: tuple[Column, ...]
    same: tuple[tuple[str, str], ...]
    blank: tuple[str, ...]
    lines: tuple[Line, ...]
    samples: tuple[Samples, ...]
    without: int

    @property
    def headings(self) -> tuple[str, ...]:
        """The names of all columns of the page."""
        return (*_FIRST, *(column.name for column in self.columns), *_LAST)

    @property
    def numeric(self) -> tuple[int, ...]:
        """Places, from 1, of the columns that hold numbers."""
        numbers = {column.name for column in self.columns if column.numeric}.union(_COUNTS)
        return tuple(place for place, name in enumerate(self.headings, 1) if name in numbers)


def table(run: Run) -> Table:
    """Every row of a run, with the samples of as many as 256 KiB hold, the shortest first."""
    texts = [tuple(column.cell(row) for column in COLUMNS) for row in run.rows]
    some = [index for index in range(len(COLUMNS)) if any(cells[index] for cells in texts)]
    one = [index for index in some if _is_one([cells[index] for cells in texts], COLUMNS[index])]
    kept = [index for index in some if index not in one]
    samples = _samples(run)
    names = short_names(row.case for row in run.rows)
    lines = []
    for row, cells in zip(run.rows, texts, strict=True):
        anchor = f"samples-{row.line}"
        lines.append(
            Line(
                name=names[row.configuration],
                case=row.case.id,
                version=row.case.version,
                batch=row.case.batch,
                frames=row.case.frames,
                backend=row.case.backend,
                precision=row.case.precision,
                outcome=outcome(row),
                cells=tuple(cells[index] for index in kept),
                samples=anchor if anchor in samples else "",
                count=len(row.speed.timing.samples_ms) if row.speed else 0,
                line=row.line,
            )
        )
    timed = sum(row.timed for row in run.rows)
    return Table(
        columns=tuple(COLUMNS[index] for index in kept),
        same=tuple((COLUMNS[index].name, texts[0][index]) for index in one),
        blank=tuple(COLUMNS[index].name for index in range(len(COLUMNS)) if index not in some),
        lines=tuple(lines),
        samples=tuple(samples.values()),
        without=timed - len(samples),
    )


def _is_one(texts: list[str], column: Column) -> bool:
    """Whether words are the same in every row, so that saying them once will do."""
    return len(texts) > 1 and not column.numeric and len(set(texts)) == 1


def _samples(run: Run) -> dict[str, Samples]:
    timed = [(row, row.speed.timing) for row in run.rows if row.speed]
    left = SAMPLE_BYTES
    chosen: dict[str, Samples] = {}
    for row, timing in sorted(timed, key=lambda pair: len(pair[1].samples_ms)):
        text = " ".join(number(sample, 5) for sample in timing.samples_ms)
        left -= len(text)
        if left < 0:
            break
        anchor = f"samples-{row.line}"
        chosen[anchor] = Samples(anchor, row.case.id, timing.clock, text)
    return chosen


class Cases(Section, anchor="cases", nav="Every case", order=60):
    """The table of every case."""

    def html(self) -> Markup:
        """The table and the samples."""
        run = self.page.run
        return render("sections/cases.html.j2", run=run, records_link=self.page.link(run.file), table=table(run))
