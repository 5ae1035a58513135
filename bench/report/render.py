"""Puts a report together: one HTML file that needs nothing else, ``summary.md`` and ``cases.csv``."""

import base64
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bench.compare.result import Comparison
from bench.errors import InputError
from bench.records.run import load_run
from bench.report.figures.sections import draw_all
from bench.report.files import summary_markdown, write_csv, write_figures
from bench.report.sections import method
from bench.report.sections.answer import answers, figures, lead, settings
from bench.report.sections.cases import table
from bench.report.sections.changes import compare, present
from bench.report.sections.nights import nights
from bench.report.sections.promises import HELD, NOT_HELD, check_promises, summary
from bench.report.sections.sounds import triples
from bench.run.progress import progress

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
    compared = [present(comparison) for comparison in comparisons]
    if baseline:
        compared.append(compare(Path(baseline), run))
    over_nights = nights(run, Path(history)) if history else None
    link = partial(_link, html_file.resolve().parent)
    sounds, sound_notes = triples(run, link, partial(progress, label="spectrograms"))
    sections = draw_all(run, partial(progress, label="figures"))
    checks = check_promises(run)
    chosen = [(group, answers(group)) for group in run.groups]
    notes = [*run.notices, *method.warnings_of(run)]
    context = {
        "run": run,
        "records_link": link(run.file),
        "notes": notes,
        "answers": [
            (group, lead(choices), [(choice, figures(choice)) for choice in choices]) for group, choices in chosen
        ],
        "machine": method.machine(run),
        "promises": settings()["promise"],
        "promise_summary": summary(checks),
        "checks": checks,
        "tones": {HELD: "good", NOT_HELD: "bad", "pass": "good", "reference": "good", "fail": "bad"},
        "sections": sections,
        "sounds": sounds,
        "sound_notes": sound_notes,
        "compared": compared,
        "nights": over_nights,
        "table": table(run),
        "facts": method.facts(run),
        "missing": method.missing(run),
    }
    try:
        html_file.parent.mkdir(parents=True, exist_ok=True)
        html_file.write_text(_render(context), encoding="utf-8")
        changes = [item.headline for item in compared] + ([over_nights.headline] if over_nights else [])
        text = summary_markdown(run, chosen, checks, notes, changes)
        written.summary.write_text(text, encoding="utf-8")
        write_csv(run, written.csv)
        drawn = write_figures(sections, Path(figures_folder)) if figures_folder else []
    except OSError as error:
        raise InputError(f"cannot write the report to {html_file.parent}: {error.strerror}") from error
    return Written(written.html, written.summary, written.csv, tuple(drawn))


def _link(folder: Path, file: Path) -> str:
    return quote(Path(os.path.relpath(file.resolve(), folder)).as_posix())


def _asset(name: str) -> Markup:
    text = (files("bench.report") / "templates" / name).read_text(encoding="utf-8")
    return Markup(text)  # noqa: S704 - a file of this package


def _render(context: dict[str, object]) -> str:
    environment = Environment(
        loader=PackageLoader("bench.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = _asset("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    template = environment.get_template("report.html.j2")
    return template.render(context, style=_asset("report.css"), script=script, script_digest=digest)
