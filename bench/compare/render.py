"""A comparison as text for a terminal, as Markdown for a pull request, and as JSON."""

import json
from collections import Counter
from collections.abc import Iterable

import cattrs

from bench.compare.markdown import escape, plain
from bench.compare.result import BAD, GOOD, CaseComparison, Change, Comparison, Pairing, Verdict
from bench.records.schema import Speed

HEAD = ("case", "metric", "verdict", "base", "new", "change", "95 % interval", "p (corrected)", "why")
ORDER = {
    word: rank
    for rank, word in enumerate(
        (Verdict.WORSE, Verdict.SLOW, Verdict.UNCLEAR, Verdict.BETTER, Verdict.FAST, Verdict.SAME)
    )
}


def to_json(comparison: Comparison) -> str:
    """The whole comparison and its exit code, indented; NaN is refused."""
    data = cattrs.unstructure(comparison)
    return json.dumps({"exit_code": comparison.exit_code, **data}, indent=1, allow_nan=False)


def to_text(comparison: Comparison, *, everything: bool = False) -> str:
    """The table for a terminal, worst first.

    Args:
        comparison: What to show.
        everything: Also list what is SAME.
    """
    lines = [plain(line) for line in _summary(comparison)]
    rows = [[plain(cell) for cell in row] for row in _rows(comparison, everything)]
    if rows:
        table = [list(HEAD), *rows]
        widths = [max(len(row[column]) for row in table) for column in range(len(HEAD))]
        lines += ["", *("  ".join(map(str.ljust, row, widths)).rstrip() for row in table)]
    return "\n".join(lines) + "\n"


def to_markdown(comparison: Comparison) -> str:
    """The same for a pull request; names are escaped, what is SAME is only counted."""
    lines = [f"### {_headline(comparison)}", ""]
    lines += [f"- {escape(line)}" for line in _summary(comparison)[1:]]
    rows = list(_rows(comparison, everything=False))
    if rows:
        lines += ["", "| " + " | ".join(HEAD) + " |", "|" + " --- |" * len(HEAD)]
        lines += ["| " + " | ".join(escape(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _headline(comparison: Comparison) -> str:
    if comparison.exit_code == 2:
        return "Nothing could be compared"
    worse = len(comparison.worse)
    machine = comparison.machine and comparison.machine.verdict in BAD
    if not worse:
        return "The machine or eager itself became slower" if machine else "Nothing became worse"
    return f"{worse} of {len(comparison.cases)} cases became worse"


def _summary(comparison: Comparison) -> list[str]:
    pairings = Counter(case.pairing for case in comparison.cases)
    verdicts = Counter(change.verdict for case in comparison.cases for change in case.changes)
    lines = [
        _headline(comparison),
        f"base {_some(comparison.base)}; new {_some(comparison.new)}",
        ", ".join(f"{count} {pairing}" for pairing, count in pairings.items()) + " cases; "
        + (", ".join(f"{verdicts[word]} {word}" for word in ORDER if verdicts[word]) or "no verdict"),
    ]  # fmt: skip
    if comparison.weights:
        lines.append("weights: " + ", ".join(comparison.weights))
    if comparison.notes:
        lines.append("compared in spite of: " + "; ".join(comparison.notes))
    if comparison.one_process:
        lines.append(
            f"one process: {comparison.one_process} of {comparison.compared} cases, whose times are UNCLEAR unless "
            "they moved further than runs of the same thing do; measure with --repeats"
        )
    machine = comparison.machine
    if machine and machine.change is not None:
        lines.append(
            f"machine: eager baselines at {_times(machine.change)} of the base's time, taken out of times and "
            f"throughput ({machine.verdict}{': ' * bool(machine.reason)}{machine.reason})"
        )
    lines.append(
        f"{comparison.tests} tests at {comparison.alpha:g} together (holm); spread between "
        + (f"{comparison.history_nights} nights of history" if comparison.history_nights else "cases only")
    )
    return lines


def _some(names: tuple[str, ...]) -> str:
    if len(names) <= 2:
        return ", ".join(names) or "none"
    return f"{names[0]} to {names[-1]} ({len(names)} runs)"


def _rows(comparison: Comparison, everything: bool) -> Iterable[list[str]]:
    rows = [row for case in comparison.cases for row in _case_rows(case, everything)]
    return [row for _, row in sorted(rows, key=lambda ranked: ranked[0])]


def _case_rows(case: CaseComparison, everything: bool) -> Iterable[tuple[int, list[str]]]:
    name = case.id if case.kind == Speed.kind else f"{case.id} ({case.kind})"
    why = "; ".join(case.reasons)
    if case.pairing is not Pairing.COMPARED:
        verdict = case.status_verdict
        rank = ORDER[verdict] if verdict in BAD else len(ORDER)
        word = str(verdict) if verdict in BAD else "-"
        statuses = [case.status_base or "", case.status_new or ""]
        yield rank, [name, "status", word, *statuses, str(case.pairing), "", "", why]
    elif case.status_verdict in BAD + GOOD or (why and everything):
        cells = [case.status_base or "", case.status_new or "", "", "", "", why]
        yield ORDER[case.status_verdict], [name, "status", str(case.status_verdict), *cells]
    for change in case.changes:
        if everything or change.verdict is not Verdict.SAME:
            yield ORDER[change.verdict], [name, change.metric, str(change.verdict), *_cells(change)]


def _cells(change: Change) -> list[str]:
    shown = _times if change.scale == "ratio" else _signed
    interval = ""
    if change.ci95_low is not None and change.ci95_high is not None:
        interval = f"{shown(change.ci95_low)} to {shown(change.ci95_high)}"
    return [
        _value(change.base, change.unit),
        _value(change.new, change.unit),
        "" if change.change is None else shown(change.change),
        interval,
        "" if change.p_adjusted is None else f"{change.p_adjusted:.2g}",
        change.reason,
    ]


def _value(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    if unit == "bytes":
        return f"{value / 2**20:.1f} MiB"
    return f"{value:.4g} {unit}".rstrip()


def _times(ratio: float) -> str:
    return f"x{ratio:.3f}"


def _signed(difference: float) -> str:
    return f"{difference:+.3g}"
