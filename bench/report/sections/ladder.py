"""The report's ladder: every backend at its best, from eager to the machine's limit, held against the best PyTorch."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from bench.case import configuration
from bench.compare.markdown import escape
from bench.records.rows import FAIL, PLAIN_PYTORCH, Group, Row
from bench.report.html import render
from bench.report.section import Section
from bench.report.shapes import at_shape, reference_frames, settings
from bench.report.text import TIMES, interval, number, ratio

HEADINGS = (
    "Configuration",
    "Median, ms",
    "Over eager fp32",
    "Over the best PyTorch",
    "Limit, %",
    "Bound by",
    "Fidelity",
)


@dataclass(frozen=True)
class Ladder:
    """The rungs of one shape, the slowest first.

    Attributes:
        title: Vocoder, device and shape.
        weights: Of every figure.
        rungs: Cells under :data:`HEADINGS`.
        plain: What the fastest plain-PyTorch configuration of the fastest rung's precision is; empty where none is.
    """

    title: str
    weights: str
    rungs: tuple[tuple[str, ...], ...]
    plain: str


def ladders(group: Group) -> list[Ladder]:
    """A ladder at the reference length and one at the streaming length, where they differ."""
    found: dict[tuple[int, int], Ladder] = {}
    for frames in (reference_frames(group.version), int(settings()["streaming_frames"])):
        rows = at_shape(group.rows, frames)
        if len({row.case.backend for row in rows}) > 1:
            found.setdefault((rows[0].case.batch, rows[0].case.frames), _ladder(group, rows))
    return list(found.values())


def _ladder(group: Group, rows: Sequence[Row]) -> Ladder:
    rungs = sorted(_best_of_each_backend(group, rows), key=lambda row: -row.median_ms)
    fastest, case = rungs[-1], rungs[-1].case
    plain = group.best_plain(case)
    cells = [_cells(group, row) for row in rungs]
    limit = fastest.measured.roofline
    if limit is not None:
        name = f"the machine's limit in {limit.ceilings.product}"
        cells.append((name, number(limit.floor_ms, 4), "", "", "100", "", ""))
    return Ladder(
        title=f"{group.name}, batch {case.batch}, {case.frames} frames",
        weights=group.weights,
        rungs=tuple(cells),
        plain="" if plain is None else f"{plain.configuration}, {number(plain.median_ms, 4)} ms",
    )


def _best_of_each_backend(group: Group, rows: Iterable[Row]) -> list[Row]:
    """Eager fp32, and of every backend the fastest row whose sound does not fail."""
    best: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: row.median_ms):
        if row.configuration == "eager fp32":
            best["the reference"] = row
        if group.gate(row.configuration).verdict != FAIL:
            best.setdefault(row.case.backend, row)
    return list({id(row): row for row in best.values()}.values())


def _cells(group: Group, row: Row) -> tuple[str, ...]:
    timing, speedup, limit = row.measured.timing, row.measured.speedup_fp32, row.measured.roofline
    return (
        configuration(row.case),
        interval(timing.median_ms, timing.ci95_low_ms, timing.ci95_high_ms),
        ratio(speedup.ratio, speedup.ci95_low, speedup.ci95_high) if speedup else "",
        over_plain(group, row),
        number(limit.percent_of_limit) if limit else "",
        limit.bound_by if limit else "",
        group.gate(row.configuration).verdict,
    )


def over_plain(group: Group, row: Row) -> str:
    """How much faster a row is than the best plain PyTorch of its precision; empty for PyTorch itself.

    The two did not run in turn. The bounds are those that both medians' intervals leave.
    """
    plain = group.best_plain(row.case)
    if plain is None or row.case.backend in PLAIN_PYTORCH:
        return ""
    ours, theirs = row.measured.timing, plain.measured.timing
    value = theirs.median_ms / ours.median_ms
    if None in (ours.ci95_low_ms, ours.ci95_high_ms, theirs.ci95_low_ms, theirs.ci95_high_ms):
        return f"{number(value)}{TIMES}"
    assert ours.ci95_low_ms and ours.ci95_high_ms and theirs.ci95_low_ms and theirs.ci95_high_ms  # noqa: S101, PT018
    return ratio(value, theirs.ci95_low_ms / ours.ci95_high_ms, theirs.ci95_high_ms / ours.ci95_low_ms)


class LadderSection(Section, anchor="ladder", nav="Ladder", order=15):
    """Every backend at its best, and how far that is from the machine's limit."""

    @property
    def shown(self) -> bool:
        """Whether there is something to compare."""
        return any(ladders(group) for group in self.page.run.groups)

    def html(self) -> Markup:
        """A table for each shape."""
        found = [ladder for group in self.page.run.groups for ladder in ladders(group)]
        return render("sections/ladder.html.j2", ladders=found, headings=HEADINGS)

    def markdown(self) -> list[str]:
        """The same tables."""
        lines = ["## The ladder", ""]
        for ladder in (ladder for group in self.page.run.groups for ladder in ladders(group)):
            lines += [f"{escape(ladder.title)} ({escape(ladder.weights)})", ""]
            lines += [_line(HEADINGS), "|" + "---|" * len(HEADINGS), *map(_line, ladder.rungs), ""]
            if ladder.plain:
                lines += [f"Best plain PyTorch: {escape(ladder.plain)}.", ""]
        return lines


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(map(escape, cells)) + " |"
