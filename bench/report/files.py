"""The report's plain companions: a Markdown summary and a CSV of every record."""

import re
from pathlib import Path

import pandas as pd

from bench.records.frame import records_frame
from bench.records.run import Group, Run
from bench.report.figures.sections import Section
from bench.report.figures.style import PAPER
from bench.report.sections.answer import Choice, figures, lead
from bench.report.sections.promises import Check, summary

_MARKDOWN = re.compile(r"([\\`*_{}\[\]#|~])")
# A spreadsheet runs a cell that starts with one of these.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def markdown(text: object) -> str:
    r"""Text that Markdown shows as it is: no markup, no HTML, one line.

    >>> markdown("<script> a|b")
    '&lt;script&gt; a\\|b'
    """
    line = " ".join(str(text).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(r"\\\1", line)


def summary_markdown(
    run: Run,
    answers: list[tuple[Group, list[Choice]]],
    checks: list[Check],
    notes: list[str],
    changes: list[str],
) -> str:
    """The report in one screen of Markdown: the answer, the promises, what to know, what changed."""
    lines = [f"# Vocoder benchmark: {markdown(run.name)}", ""]
    lines += [f"> {markdown(note)}\n>" for note in notes]
    if notes:
        lines[-1] = lines[-1].removesuffix("\n>")
        lines.append("")
    lines += ["## The answer", ""]
    if not answers:
        lines += ["No case ended with a speed figure, so there is nothing to recommend.", ""]
    for group, choices in answers:
        lines += [f"**{markdown(group.name)}: {markdown(lead(choices))}** ({markdown(group.weights)})", ""]
        lines += _choices(choices)
    lines += ["## The guide's promises", "", "| promise | vocoder | what was found |", "|---|---|---|"]
    lines += ["| " + " | ".join(markdown(cell) for cell in line) + " |" for line in summary(checks)]
    measured = [check for check in checks if check.promised_backend and check.measured]
    if measured:
        lines += [
            "",
            "| vocoder | compared | promise | measured [95 %] | verdict | fidelity |",
            "|---|---|---|---|---|---|",
        ]
    for check in measured:
        pair = f"{check.measured.test} against {check.measured.base}" if check.measured else ""
        cells = (check.version, pair, check.promise, check.figure, check.verdict, check.fidelity)
        lines.append("| " + " | ".join(markdown(cell) for cell in cells) + " |")
    if changes:
        lines += ["", "## What changed", "", *(f"- {markdown(change)}" for change in changes)]
    return "\n".join(lines).rstrip() + "\n"


def _choices(choices: list[Choice]) -> list[str]:
    names = list(dict.fromkeys(name for choice in choices for name, _ in figures(choice)))
    lines = ["| | " + " | ".join(markdown(choice.question) for choice in choices) + " |"]
    lines.append("|---" * (len(choices) + 1) + "|")
    lines.append("| case | " + " | ".join(markdown(choice.row.case.id) for choice in choices) + " |")
    verdicts = (choice.judgement.verdict for choice in choices)
    lines.append("| fidelity | " + " | ".join(markdown(verdict) for verdict in verdicts) + " |")
    tables = [dict(figures(choice)) for choice in choices]
    for name in names:
        cells = " | ".join(markdown(table.get(name, "")) for table in tables)
        lines.append(f"| {markdown(name)} | {cells} |")
    return [*lines, ""]


def write_csv(run: Run, file: Path) -> None:
    """Writes one line a record with every scalar field; samples stay in the records file.

    Text that a spreadsheet would run as a formula gets an apostrophe before it.
    """
    records = {id(record): record for row in run.rows for record in (row.record, row.quality) if record}
    frame = records_frame(records.values()).reset_index()
    frame = frame[[name for name in frame if not name.endswith("samples_ms")]]
    frame = frame.map(_guard)
    frame.columns = pd.Index([_guard(name) for name in frame.columns])
    frame.to_csv(file, index=False, encoding="utf-8")


def _guard(value: object) -> object:
    if isinstance(value, list | tuple):
        value = ", ".join(str(item) for item in value)
    if not isinstance(value, str):
        return value
    line = " ".join(value.splitlines())
    return f"'{line}" if value.startswith(_FORMULA) else line


def write_figures(sections: list[Section], folder: Path) -> list[Path]:
    """Writes every drawn figure as an SVG file of its own, on paper; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for plot in (plot for section in sections for plot in section.plots if plot.svg):
        file = folder / f"{plot.name}.svg"
        svg = str(plot.svg).replace('style="', f'style="background:{PAPER};', 1)
        file.write_text(svg, encoding="utf-8")
        written.append(file)
    return written
