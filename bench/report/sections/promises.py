"""The report's section on the guide's promises."""

from markupsafe import Markup

from bench.compare.markdown import escape
from bench.report.html import render
from bench.report.promises.checks import EVERY, HELD, Check, check_promises, signed, told_loss
from bench.report.section import Page, Section
from bench.report.shapes import settings
from bench.report.text import TIMES, number


def summary(checks: list[Check]) -> list[tuple[str, str, str]]:
    """For every promise and version: title, version, and one sentence over the backends it was made for."""
    lines = []
    ours = [check for check in checks if check.promised_backend]
    for promise in settings()["promise"]:
        for version in sorted({check.version for check in checks}):
            rows = [check for check in ours if check.key in (promise["key"], EVERY) and check.version == version]
            lines.append((str(promise["title"]), version, _sentence(rows)))
    return lines


def _sentence(rows: list[Check]) -> str:
    measured = [check for check in rows if check.measured]
    if not measured:
        reasons = sorted({check.reason for check in rows if check.reason})
        return "not measured" + (f" ({reasons[0]})" if reasons else " (no TensorRT case in this run)")
    # A lower precision against fp32 gains what eager would gain by it, too.
    parts = {
        "eager of its own precision": [check for check in measured if check.baseline == f"eager {check.precision}"],
        "eager fp32": [check for check in measured if check.baseline != f"eager {check.precision}"],
    }
    return "; ".join(f"against {words} {_found(part)}" for words, part in parts.items() if part)


def _found(measured: list[Check]) -> str:
    held = sum(check.verdict == HELD for check in measured)
    values = sorted(check.measured.value for check in measured if check.measured)
    unit = measured[0].unit
    ends = [f"{number(value)}{TIMES}" if unit == TIMES else f"{signed(value)} %" for value in (values[0], values[-1])]
    spread = ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"
    worst = max((check.measured for check in measured), key=lambda item: (item and item.eager_loss) or 0.0)
    loss = told_loss(worst, " (eager took up to {} as long for a frame there as at its best shape)")
    waited = sum(check.measured.waited for check in measured if check.measured)
    bound = f" (eager is launch-bound in {waited} of them)" if waited else loss
    return f"held in {held} of {len(measured)} comparisons, {spread}{bound}"


class Promises(Section, anchor="promises", nav="Promises", order=20):
    """The guide's promises, and what was measured."""

    def __init__(self, page: Page) -> None:
        super().__init__(page)
        self._checks = check_promises(page.run)

    def html(self) -> Markup:
        """A sentence for each promise, and a table of every configuration."""
        return render(
            "sections/promises.html.j2",
            run=self.page.run,
            promises=settings()["promise"],
            promise_summary=summary(self._checks),
            checks=self._checks,
        )

    def markdown(self) -> list[str]:
        """The same as two tables."""
        lines = ["## The guide's promises", "", "| promise | vocoder | measured |", "|---|---|---|"]
        lines += [_line(*cells) for cells in summary(self._checks)]
        measured = [check for check in self._checks if check.promised_backend and check.measured]
        if measured:
            lines += [
                "",
                "| vocoder | compared | promise | measured [95 %] | verdict | fidelity |",
                "|---|---|---|---|---|---|",
            ]
        for check in measured:
            pair = f"{check.measured.test} against {check.measured.base}" if check.measured else ""
            lines.append(_line(check.version, pair, check.promise, check.figure, check.verdict, check.fidelity))
        return [*lines, ""]


def _line(*cells: str) -> str:
    return "| " + " | ".join(map(escape, cells)) + " |"
