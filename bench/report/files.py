"""The report's plain companions: a Markdown summary and a CSV of every record."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from bench.compare.markdown import escape
from bench.records.frame import records_frame
from bench.records.run import Run
from bench.records.writing import write_whole
from bench.report.figures.plot import Plot
from bench.report.section import Section

_PAPER = "#fdfdfe"
# Columns whose cells are lists.
_LISTS = ("samples_ms", "profile.kernels", "profile.layers")
# A spreadsheet runs a cell that starts with one of these.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def summary_markdown(run: Run, sections: Iterable[Section]) -> str:
    """The report in one screen of Markdown: what to know, and what each section says in short."""
    lines = [f"# Vocoder benchmark: {escape(run.name)}", ""]
    for section in sections:
        lines += section.markdown()
    return "\n".join(lines).rstrip() + "\n"


def write_csv(run: Run, file: Path) -> None:
    """Writes one line a record with every scalar field; samples stay in the records file.

    Text that a spreadsheet would run as a formula gets an apostrophe before it.
    """
    frame = records_frame(run.records).reset_index()
    frame = frame[[name for name in frame if not name.endswith(_LISTS)]]
    # Columns of numbers alone hold no text to guard.
    for name in frame.select_dtypes(exclude="number"):
        frame[name] = frame[name].map(_guard)
    frame.columns = pd.Index([_guard(name) for name in frame.columns])
    write_whole(file, frame.to_csv(index=False))


def _guard(value: object) -> object:
    if isinstance(value, list | tuple):
        value = ", ".join(str(item) for item in value)
    if not isinstance(value, str):
        return value
    line = " ".join(value.splitlines())
    return f"'{line}" if value.startswith(_FORMULA) else line


def write_figures(plots: Iterable[Plot], folder: Path) -> list[Path]:
    """Writes every drawn figure as an SVG file of its own, on paper; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for plot in (plot for plot in plots if plot.svg):
        file = folder / f"{plot.name}.svg"
        svg = plot.svg.replace("<svg ", f'<svg style="background:{_PAPER}" ', 1)
        write_whole(file, svg)
        written.append(file)
    return written
