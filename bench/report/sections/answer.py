"""The answer: which configuration to ship, chosen among those whose sound is within its fidelity tier."""

import math
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from bench.records.run import FAIL, NOT_JUDGED, REFERENCE, Group, Judgement, Row
from bench.records.schema import Speedup
from bench.report.text import interval, mebibytes, number, ratio, shape


@cache
def settings() -> dict[str, Any]:
    """The shapes and promises of ``settings.toml``."""
    return tomllib.loads((files("bench.report") / "settings.toml").read_text(encoding="utf-8"))


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
        ("Fastest", settings()["reference_frames"].get(group.version, 500)),
        ("Streaming latency", settings()["streaming_frames"]),
    ):
        rows = at_shape(group.rows, frames)
        if rows:
            where = f"{question} (batch {rows[0].case.batch}, {rows[0].case.frames} frames)"
            choices.append(_choose(group, where, rows, lambda row: row.median_ms))
    rows = [row for row in group.rows if row.record.throughput]
    if rows:
        choices.append(_choose(group, "Best throughput (any shape)", _best_of_each(rows), _cost_of_audio))
    return choices


def at_shape(rows: Iterable[Row], frames: int) -> list[Row]:
    """The rows at the smallest batch and the length nearest to ``frames`` that two configurations share.

    Lengths that only one configuration ended are taken only if there is no other.
    """
    rows = list(rows)
    if not rows:
        return []
    batch = min(row.case.batch for row in rows)
    shapes: dict[int, list[Row]] = {}
    for row in rows:
        if row.case.batch == batch:
            shapes.setdefault(row.case.frames, []).append(row)
    shared = {length: found for length, found in shapes.items() if len(found) > 1} or shapes
    return shared[min(shared, key=lambda length: (distance(length, frames), length))]


def distance(frames: int, wanted: int) -> float:
    """How far apart two lengths are, as the logarithm of their ratio."""
    return abs(math.log(frames / wanted))


def _cost_of_audio(row: Row) -> float:
    assert row.record.throughput is not None  # noqa: S101 - narrows the type
    return 1 / row.record.throughput.audio_s_per_s


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
    first, second = one.record.timing, other.record.timing
    if one.case.batch != other.case.batch or first is None or second is None:
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
    speedup = row.record.speedup_fp32
    if speedup is None or row.configuration == "eager fp32":
        return ""
    return f", {ratio(speedup.ratio, speedup.ci95_low, speedup.ci95_high)} the speed of eager fp32"


def latency(row: Row) -> str:
    """A row's median latency with its interval and unit."""
    timing = row.record.timing
    if timing is None:
        return ""
    return interval(timing.median_ms, timing.ci95_low_ms, timing.ci95_high_ms, unit=" ms")


def figures(choice: Choice) -> list[tuple[str, str]]:
    """What there is to say of a chosen case: name and text, ``not measured`` where there is no figure."""
    record = choice.row.record
    throughput, memory, build = record.throughput, record.memory, record.build
    lines = [
        ("Latency, median", latency(choice.row)),
        (
            "Latency, p99",
            f"{number(record.timing.p99_ms)} ms" if record.timing and record.timing.p99_ms else "",
        ),
        ("Over eager fp32", _times(record.speedup_fp32)),
        ("Over eager, same precision", _times(record.speedup_same_precision)),
        ("Real-time factor", number(throughput.real_time_factor) if throughput else ""),
        ("Audio per second", f"{number(throughput.audio_s_per_s)} s" if throughput else ""),
    ]
    if record.device == "cpu":
        lines.append(("Memory, peak resident set", _mib(memory.rss_peak_bytes if memory else None)))
    else:
        lines.append(("Memory, allocator's peak", _mib(memory.allocated_peak_bytes if memory else None)))
        lines.append(("Memory, process on GPU", _mib(memory.process_gpu_bytes if memory else None)))
    lines.append(("Build", f"{number(build.cost_s)} s" if build else ""))
    return [(name, text or "not measured") for name, text in lines]


def _times(speedup: Speedup | None) -> str:
    if speedup is None:
        return ""
    return ratio(speedup.ratio, speedup.ci95_low, speedup.ci95_high)


def _mib(value: int | None) -> str:
    return f"{mebibytes(value)} MiB" if value is not None else ""
