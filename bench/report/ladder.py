"""The ladder: eager, every backend at its best, and the machine's limit, as bars on one scale."""

from collections.abc import Iterable
from dataclasses import dataclass

from bench.case import parse_case
from bench.records.rows import FAIL, Group, Row
from bench.records.schema import Speedup
from bench.report.names import short_names, style
from bench.report.pairs import over_eager, over_plain
from bench.report.text import TIMES, interval, number, ratio


@dataclass(frozen=True)
class Rung:
    """One bar.

    Attributes:
        name, title: Short name, and the full id.
        colour: Of its backend.
        ms: Median of one inference, or the floor.
        figure: The median with its interval.
        over_eager, over_plain: How many times as fast as eager fp32 and as the best plain PyTorch; empty where the
            sweep has no such pair.
        remark: What a reader must know of this bar, such as that it is launch-bound.
        line: Line of its record; 0 for what has none of its own.
        limit: Whether it is the machine's limit.
    """

    name: str
    title: str
    colour: str
    ms: float
    figure: str
    over_eager: str = ""
    over_plain: str = ""
    remark: str = ""
    line: int = 0
    limit: bool = False


@dataclass(frozen=True)
class Ladder:
    """The bars of one shape, the slowest first, and the plain PyTorch that they are held against."""

    rungs: tuple[Rung, ...]
    plain: str = ""

    @property
    def top_ms(self) -> float:
        """The longest bar."""
        return max(rung.ms for rung in self.rungs)


def ladder(group: Group, top: Row) -> Ladder:
    """The ladder of the shape of a row, which is the best that is measured there.

    Eager's own bars are from the rounds in turn with that row, where there are some.
    """
    case = top.case
    rows = [row for row in group.rows if (row.case.batch, row.case.frames) == (case.batch, case.frames)]
    names = short_names(row.case for row in group.rows)
    turns = (top.measured.speedup_fp32, top.measured.speedup_same_precision)
    baselines = {turn.baseline: turn for turn in turns if turn}
    rungs = [_eager(row_precision(turn), top, turn) for turn in baselines.values() if turn.baseline != case.id]
    own = [row for row in _best_of_each_backend(group, rows, top) if row.case.id not in baselines or row is top]
    rungs += [_rung(group, row, names[row.configuration]) for row in own]
    rungs.sort(key=lambda rung: -rung.ms)
    limit = top.measured.roofline
    if limit is not None:
        name = f"the GPU's limit, {limit.ceilings.product}" if top.record.device != "cpu" else "the processor's limit"
        words = "the network's operations and least bytes at the rates of the best matrix product and copy"
        rungs.append(
            Rung(name, words, "var(--muted, #5b626b)", limit.floor_ms, f"{number(limit.floor_ms, 4)} ms", limit=True)
        )
    plain = group.best_plain(case)
    return Ladder(tuple(rungs), "" if plain is None else names[plain.configuration])


def row_precision(turn: Speedup) -> str:
    """The precision of the eager that ran in turn."""
    return parse_case(turn.baseline).precision


def _eager(precision: str, top: Row, turn: Speedup) -> Rung:
    drawn = style(top.case.baseline(precision))
    return Rung(
        f"{drawn.family} {precision}",
        f"{turn.baseline}, in turn with {top.case.id}",
        drawn.colour,
        turn.baseline_median_ms,
        f"{number(turn.baseline_median_ms, 4)} ms",
        remark="launch-bound" if turn.baseline_waits_for_host else "",
    )


def _best_of_each_backend(group: Group, rows: Iterable[Row], top: Row) -> list[Row]:
    """The row at the top, eager fp32, and of every backend the fastest, one within its tier before one without.

    A backend all of whose sounds fail is left out.
    """
    best = {top.case.backend: top}
    for row in sorted(rows, key=lambda row: (not group.gate(row.configuration).within_tier, row.median_ms)):
        if row.configuration == "eager fp32":
            best["the reference"] = row
        if group.gate(row.configuration).verdict != FAIL:
            best.setdefault(row.case.backend, row)
    return list({id(row): row for row in best.values()}.values())


def _rung(group: Group, row: Row, name: str) -> Rung:
    timing, limit = row.measured.timing, row.measured.roofline
    eager, plain = over_eager(row, "fp32"), over_plain(group, row)
    verdict = group.gate(row.configuration).verdict
    remarks = ["launch-bound" if limit and limit.bound_by == "launches" else ""]
    remarks.append(f"sound: {verdict}" if verdict not in ("pass", "reference") else "")
    return Rung(
        name,
        row.case.id,
        style(row.case).colour,
        row.median_ms,
        interval(timing.median_ms, timing.ci95_low_ms, timing.ci95_high_ms, 4, " ms"),
        f"{number(eager.value, 3)}{TIMES}" if eager and row.configuration != "eager fp32" else "",
        "" if isinstance(plain, str) else ratio(plain.value, plain.low, plain.high),
        ", ".join(filter(None, remarks)),
        row.line,
    )
