"""The answer: which configuration to ship, chosen among those whose sound is within its fidelity tier."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from markupsafe import Markup

from bench.compare.markdown import escape
from bench.records.facts import facts_of, value_at
from bench.records.rows import FAIL, NOT_JUDGED, REFERENCE, Group, Judgement, Row
from bench.records.schema import Build, Speed, Speedup
from bench.report.html import render
from bench.report.notes import notes_of
from bench.report.section import Page, Section
from bench.report.shapes import at_shape, reference_frames, settings
from bench.report.text import interval, number, quantity, ratio, shape


@dataclass(frozen=True)
class Choice:
    """One question, and the case that answers it.

    Attributes:
        question: What was asked, with the shape at which it was asked.
        row: The case that answers it.
        judgement: Verdict on its configuration, over all its shapes.
        within_tier: Whether it may be shipped; False where nothing judged was left to choose from.
        tied: Other acceptable configurations whose latency interval overlaps the chosen one's.
        passed_over: Faster configurations that were not chosen, with the verdict that kept them out.
    """

    question: str
    row: Row
    judgement: Judgement
    within_tier: bool
    tied: tuple[str, ...]
    passed_over: tuple[tuple[Row, Judgement], ...]


def answers(group: Group) -> list[Choice]:
    """The fastest, the lowest-latency for streaming, and the best throughput of a group."""
    choices = []
    for question, frames in (
        ("Fastest", reference_frames(group.version)),
        ("Streaming latency", settings()["streaming_frames"]),
    ):
        rows = at_shape(group.rows, frames)
        if rows:
            where = f"{question} (batch {rows[0].case.batch}, {rows[0].case.frames} frames)"
            choices.append(_choose(group, where, rows, lambda row: row.median_ms))
    rows = [row for row in group.rows if row.measured.throughput]
    if rows:
        choices.append(_choose(group, "Best throughput (any shape)", _best_of_each(rows), _cost_of_audio))
    return choices


def _cost_of_audio(row: Row) -> float:
    throughput = row.measured.throughput
    return 1 / throughput.audio_s_per_s if throughput else math.inf


def _best_of_each(rows: Iterable[Row]) -> list[Row]:
    best: dict[str, Row] = {}
    for row in sorted(rows, key=_cost_of_audio):
        best.setdefault(row.configuration, row)
    return list(best.values())


def _choose(group: Group, question: str, rows: list[Row], cost: Callable[[Row], float]) -> Choice:
    ranked = [(row, group.gate(row.configuration)) for row in sorted(rows, key=cost)]
    anything_judged = any(judgement.verdict not in (NOT_JUDGED, REFERENCE) for _, judgement in ranked)
    fit = [pair for pair in ranked if pair[1].within_tier]
    not_failed = [pair for pair in ranked if pair[1].verdict != FAIL]
    chosen, judgement = (fit if anything_judged and fit else not_failed or ranked)[0]
    before = ranked[: ranked.index((chosen, judgement))]
    rivals = fit if judgement.within_tier else not_failed
    same_shape = [row for row, _ in rivals if row is not chosen and _overlap(row, chosen)]
    tied = tuple(row.configuration for row in same_shape if row.case.frames == chosen.case.frames)
    return Choice(question, chosen, judgement, judgement.within_tier, tied, tuple(before))


def _overlap(one: Row, other: Row) -> bool:
    first, second = one.measured.timing, other.measured.timing
    if one.case.batch != other.case.batch:
        return False
    bounds = (first.ci95_low_ms, first.ci95_high_ms, second.ci95_low_ms, second.ci95_high_ms)
    if None in bounds:
        return False
    low, high, other_low, other_high = (float(bound) for bound in bounds if bound is not None)
    return low <= other_high and other_low <= high


def lead(choices: list[Choice]) -> str:
    """The answer in one or two sentences, to follow the group's name."""
    choice = choices[0]
    row, judgement = choice.row, choice.judgement
    what = f"{latency(row)} at {shape(row.case)}{_compared(row)}"
    if choice.within_tier and judgement.verdict == REFERENCE:
        fitness = "It is the reference that every other sound is judged against."
    elif choice.within_tier:
        synthetic = row.record.weights is not None and row.record.weights.synthetic
        only = ", with synthetic weights only" if synthetic else ""
        fitness = f"Its sound passes its fidelity tier{only}."
    elif judgement.verdict == NOT_JUDGED:
        fitness = "Its sound was not judged: judge it before shipping it."
    else:
        why = f"{judgement.verdict}, {judgement.reason}"
        fitness = f"Its sound is not within its tier ({why}): do not ship it as it is."
    verb = "ship" if choice.within_tier else "nothing to ship yet; fastest measured is"
    return f"{verb} {row.configuration}: {what}. {fitness}"


def _compared(row: Row) -> str:
    speedup = row.measured.speedup_fp32
    if speedup is None or row.configuration == "eager fp32":
        return ""
    return f", {ratio(speedup.ratio, speedup.ci95_low, speedup.ci95_high)} the speed of eager fp32"


def latency(row: Row) -> str:
    """A row's median latency with its interval and unit."""
    timing = row.measured.timing
    return interval(timing.median_ms, timing.ci95_low_ms, timing.ci95_high_ms, unit=" ms")


def figures(choice: Choice) -> list[tuple[str, str]]:
    """What there is to say of a chosen case: name and text, ``not measured`` where there is no figure."""
    record, speed = choice.row.record, choice.row.measured
    throughput, build = speed.throughput, record.build
    lines = [
        ("Latency, median", latency(choice.row)),
        ("Latency, p99", _figure(speed, "timing.p99_ms")),
        ("Over eager fp32", _times(speed.speedup_fp32)),
        ("Over eager, same precision", _times(speed.speedup_same_precision)),
        ("Real-time factor", _figure(speed, "throughput.real_time_factor")),
        ("Audio per second", f"{number(throughput.audio_s_per_s)} s" if throughput else ""),
    ]
    if record.device == "cpu":
        lines.append(("Memory, peak resident set", _figure(speed, "memory.rss_peak_bytes")))
    else:
        lines.append(("Memory, allocator's peak", _figure(speed, "memory.allocated_peak_bytes")))
        lines.append(("Memory, process on GPU", _figure(speed, "memory.process_gpu_bytes")))
    lines.append(("Build", quantity(facts_of(Build)["build_s"], build.cost_s) if build else ""))
    return [(name, text or "not measured") for name, text in lines]


def _figure(speed: Speed, path: str) -> str:
    return quantity(facts_of(Speed)[path], value_at(speed, path))


def _times(speedup: Speedup | None) -> str:
    if speedup is None:
        return ""
    return ratio(speedup.ratio, speedup.ci95_low, speedup.ci95_high)


class Answer(Section, anchor="answer", nav="Answer", order=10):
    """What to ship, and what to know before reading on."""

    def __init__(self, page: Page) -> None:
        super().__init__(page)
        self._chosen = [(group, answers(group)) for group in page.run.groups]

    def html(self) -> Markup:
        """A sentence for each group, the notes, and a card for each question."""
        told = [
            (group, lead(choices), [(choice, figures(choice)) for choice in choices]) for group, choices in self._chosen
        ]
        return render("sections/answer.html.j2", answers=told, notes=notes_of(self.page.run))

    def markdown(self) -> list[str]:
        """The same, a table for each group."""
        lines = ["## The answer", ""]
        if not self._chosen:
            lines += ["No case ended with a speed figure, so there is nothing to recommend.", ""]
        for group, choices in self._chosen:
            lines += [f"**{escape(group.name)}: {escape(lead(choices))}** ({escape(group.weights)})", ""]
            lines += [*_table(choices), ""]
        return lines


def _table(choices: list[Choice]) -> list[str]:
    tables = [dict(figures(choice)) for choice in choices]
    names = list(dict.fromkeys(name for table in tables for name in table))
    rows = [
        ("", [choice.question for choice in choices]),
        ("case", [choice.row.case.id for choice in choices]),
        ("fidelity", [choice.judgement.verdict for choice in choices]),
        *((name, [table.get(name, "") for table in tables]) for name in names),
    ]
    lines = [f"| {escape(name)} | {' | '.join(map(escape, cells))} |" for name, cells in rows]
    lines[0] = lines[0].replace("|  |", "| |", 1)
    return [lines[0], "|---" * (len(choices) + 1) + "|", *lines[1:]]
