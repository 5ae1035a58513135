"""Puts a report together: one HTML file that needs nothing else, ``summary.md`` and ``cases.csv``."""

import base64
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup

from bench.compare.observation import Observation
from bench.compare.result import Comparison
from bench.errors import InputError
from bench.records.run import load_run
from bench.records.writing import write_whole
from bench.report.figures.vega import library
from bench.report.files import summary_markdown, write_csv, write_figures
from bench.report.html import asset, render
from bench.report.section import Page, Section, make_sections
from bench.report.sections.method import machine

FILE_NAME = "report.html"


@dataclass(frozen=True)
class Written:
    """The files of one report."""

    html: Path
    summary: Path
    csv: Path
    figures: tuple[Path, ...] = ()


def write_report(
    run_path: str | Path,
    baseline: str | Path | None = None,
    out: str | Path | None = None,
    figures_folder: str | Path | None = None,
    *,
    comparisons: Sequence[Comparison] = (),
    before: Sequence[Observation] = (),
    history: str | Path | None = None,
) -> Written:
    """Writes the report of a run.

    Args:
        run_path: The run's directory or its records file.
        baseline: A run to compare with.
        out: The HTML file; ``report.html`` in the run's directory by default. ``summary.md`` and
            ``cases.csv`` are written beside it.
        figures_folder: Where to write every figure as an SVG file too; nowhere by default.
        comparisons: Comparisons of this run that were made already, to show too.
        before: Observations of the runs that those have as their base, to draw beside what changed.
        history: A history folder whose nights to show.

    Returns:
        The files written.

    Raises:
        InputError: a run cannot be read, or a file cannot be written.
    """
    run = load_run(run_path)
    html_file = Path(out) if out else run.directory / FILE_NAME
    if html_file.is_dir() or not html_file.suffix:
        raise InputError(f"--out {html_file} is not a file name; give one such as {html_file / FILE_NAME}")
    written = Written(html_file, html_file.with_name("summary.md"), html_file.with_name("cases.csv"))
    page = Page(
        run=run,
        link=partial(_link, html_file.resolve().parent),
        comparisons=comparisons,
        before=before,
        baseline=Path(baseline) if baseline else None,
        history=Path(history) if history else None,
    )
    sections = make_sections(page)
    html = _render(page, sections)
    try:
        write_whole(html_file, html)
        write_whole(written.summary, summary_markdown(run, sections))
        write_csv(run, written.csv)
        plots = [plot for section in sections for plot in section.plots()]
        drawn = write_figures(plots, Path(figures_folder)) if figures_folder else []
    except OSError as error:
        raise InputError(f"cannot write the report to {html_file.parent}: {error.strerror}") from error
    return Written(written.html, written.summary, written.csv, tuple(drawn))


def _link(folder: Path, file: Path) -> str:
    return quote(Path(os.path.relpath(file.resolve(), folder)).as_posix())


def _render(page: Page, sections: Sequence[Section]) -> str:
    body = [section.html() for section in sections]
    script = asset("report.js")
    figures = library(asset("figures.js")) if any('class="live"' in part for part in body) else Markup()
    return render(
        "report.html.j2",
        run=page.run,
        machine=machine(page.run),
        sections=sections,
        body=body,
        style=asset("report.css"),
        script=script,
        figures=figures,
        digests=[_digest(text) for text in (script, figures) if text],
    )


def _digest(script: str) -> str:
    """What the page's policy knows a script by."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
