"""The report's section on what changed since a baseline run: the comparison's verdicts as rows."""

import math
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from markupsafe import Markup

from bench.case import parse_case
from bench.compare.markdown import escape
from bench.compare.observation import Observation
from bench.compare.result import BAD, GOOD, Change, Comparison, Pairing, Verdict
from bench.compare.runs import compare_runs
from bench.errors import InputError
from bench.records.run import Run, load_run
from bench.report.before import Draw, of_nights, of_runs
from bench.report.html import render
from bench.report.names import short_name
from bench.report.nights import nights
from bench.report.section import Page, Section
from bench.report.settle import Remedy, settling
from bench.report.strip import Strips
from bench.report.text import count, number, shape

_ROWS_SHOWN = 600
_STRIPS_SHOWN = 40


@dataclass(frozen=True)
class ChangeRow:
    """One metric of one case that is not plainly the same.

    Attributes:
        name, case, metric: Short name and shape of the case, its id, and which metric.
        verdict: In the comparison's words.
        tone: ``bad``, ``good`` or empty, for the page's marks.
        base, new, change: Figures with units; the change with its interval.
        reason: What else a reader must know.
        remedy: What would settle what is UNCLEAR.
        strips: What it was in the base and in the new run, for the page to draw; None where there is nothing.
    """

    name: str
    case: str
    metric: str
    verdict: str
    tone: str
    base: str
    new: str
    change: str
    reason: str
    remedy: Remedy | None = None
    strips: Strips | None = None


@dataclass(frozen=True)
class Compared:
    """What became of a run since its baseline.

    Attributes:
        title: What it is compared with.
        headline: The verdict in one sentence.
        facts: How it was reached.
        rows: Everything but SAME, the worst first, at most 600.
        left_out: How many rows are not shown.
    """

    title: str
    headline: str
    facts: tuple[str, ...]
    rows: tuple[ChangeRow, ...]
    left_out: int


def compare(baseline: Path, run: Run) -> Compared:
    """Compares a run with a baseline, as ``vocoder-bench compare`` does.

    Raises:
        InputError: the baseline cannot be read.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        comparison = compare_runs(baseline, run.records)
    found = present(comparison, [str(item.message) for item in caught])
    try:
        return with_strips(found, of_runs(load_run(baseline), run))
    except InputError:  # several runs together have no rounds of their own to draw
        return found


def nightly(comparison: Comparison, before: Sequence[Observation], run: Run) -> Compared:
    """A comparison that was made already, with what its base was.

    Args:
        comparison: What was found.
        before: Observations of base runs, of whichever comparisons.
        run: The new run.
    """
    base = {(item.run_id, item.key): item for item in before if item.run_id in comparison.base}
    nights = sorted(base.values(), key=lambda item: item.recorded_at)
    return with_strips(present(comparison), of_nights(nights, run))


def with_strips(compared: Compared, draw: Draw) -> Compared:
    """The rows, the first forty that have something to draw with their strips."""
    rows, left = [], _STRIPS_SHOWN
    for row in compared.rows:
        drawn = draw(row.case, row.metric) if left else None
        left -= drawn is not None
        rows.append(replace(row, strips=drawn))
    return replace(compared, rows=tuple(rows))


def present(comparison: Comparison, notes: Sequence[str] = ()) -> Compared:
    """A comparison as the report shows it.

    Args:
        comparison: What was found.
        notes: What else a reader must know.
    """
    rows = _rows(comparison)
    return Compared(
        f"Since {_base(comparison)}",
        _headline(comparison),
        (*_facts(comparison), *notes),
        tuple(rows[:_ROWS_SHOWN]),
        max(0, len(rows) - _ROWS_SHOWN),
    )


def _base(comparison: Comparison) -> str:
    runs = comparison.base
    if len(runs) > 1:
        return f"{len(runs)} runs, {runs[0]} to {runs[-1]}"
    return runs[0] if runs else "an empty baseline"


def _headline(comparison: Comparison) -> str:
    base = _base(comparison)
    if not comparison.compared:
        return f"Nothing could be compared with {base}."
    worse, better = len(comparison.worse), sum(case.better for case in comparison.cases)
    told = f"{count(worse, 'case')} became worse" if worse else "Nothing became worse"
    return f"{told} since {base}, {better} better, of {count(comparison.compared, 'case')} compared."


def _facts(comparison: Comparison) -> list[str]:
    facts = [
        (
            f"{count(comparison.tests, 'change')} tested together at {comparison.alpha:g} "
            f"(holm), with {count(comparison.history_nights, 'night')} of history."
        )
    ]
    if comparison.machine is not None:
        moved = _row("", comparison.machine)
        words = f"{moved.verdict} {moved.change} {moved.reason}".strip()
        facts.append(f"The machine itself, by its eager baselines: {words}")
    apart = Counter(case.pairing for case in comparison.cases)
    facts += [
        f"{count(apart[pairing], 'case')} {words}."
        for pairing, words in (
            (Pairing.NOT_COMPARED, "not compared, because their machine, weights or precision differ"),
            (Pairing.VANISHED, "in the baseline only"),
            (Pairing.NEW, "in this run only"),
        )
        if apart[pairing]
    ]
    return facts + [f"Differs: {note}" for note in comparison.notes]


def _rows(comparison: Comparison) -> list[ChangeRow]:
    rows = []
    for case in comparison.cases:
        if case.status_verdict is not Verdict.SAME or case.pairing is Pairing.NOT_COMPARED:
            verdict = case.status_verdict if case.status_verdict is not Verdict.SAME else case.pairing
            statuses = (case.status_base or "no row", case.status_new or "no row")
            reason = "; ".join(case.reasons)
            rows.append(
                ChangeRow(_name(case.id), case.id, "status", str(verdict), _tone(verdict), *statuses, "", reason)
            )
        rows += [_row(case.id, change) for change in case.changes if change.verdict is not Verdict.SAME]
    return sorted(rows, key=_worst_first)


def _worst_first(row: ChangeRow) -> tuple[int, float]:
    """Worse, then unclear, then better; within each the largest change first."""
    found = re.match(r"[-\d.]+", row.change)
    size = abs(math.log(float(found[0]))) if found and float(found[0]) > 0 else 0.0
    return ("bad", "", "good").index(row.tone), -size


def _name(case_id: str) -> str:
    """A case as pages call it; the id where it is none."""
    try:
        case = parse_case(case_id)
    except InputError:
        return case_id
    return f"{case.version} {short_name(case)}, {shape(case)}"


def _row(case: str, change: Change) -> ChangeRow:
    base, new = (f"{number(value, 4)} {change.unit}".strip() for value in (change.base, change.new))
    text = number(change.change, 4)
    if change.ci95_low is not None and change.ci95_high is not None:
        text += f" [{number(change.ci95_low, 4)}, {number(change.ci95_high, 4)}]"
    return ChangeRow(
        _name(case),
        case,
        change.metric,
        str(change.verdict),
        _tone(change.verdict),
        base,
        new,
        text,
        change.reason,
        settling(case, change.reason) if change.verdict is Verdict.UNCLEAR else None,
    )


def _tone(verdict: Verdict | Pairing) -> str:
    return "bad" if verdict in BAD else "good" if verdict in GOOD else ""


class Changes(Section, anchor="changes", nav="Changes", order=5):
    """What changed since other runs, and over the nights."""

    def __init__(self, page: Page) -> None:
        super().__init__(page)
        self._compared = [nightly(comparison, page.before, page.run) for comparison in page.comparisons]
        if page.baseline:
            self._compared.append(compare(page.baseline, page.run))
        self._nights = nights(page.run, page.history) if page.history else None

    @property
    def shown(self) -> bool:
        """Whether anything was compared."""
        return bool(self._compared or self._nights)

    def html(self) -> Markup:
        """A headline and a table for each comparison, and the nights."""
        return render("sections/changes.html.j2", compared=self._compared, nights=self._nights)

    def markdown(self) -> list[str]:
        """The headlines."""
        headlines = [item.headline for item in self._compared] + ([self._nights.headline] if self._nights else [])
        return ["## What changed", "", *(f"- {escape(headline)}" for headline in headlines)]
