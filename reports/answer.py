"""The answer: which configuration to ship, chosen among those whose sound is within its fidelity tier."""

import math
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from reports.run import FAIL, NOT_JUDGED, REFERENCE, Group, Judgement, Row


@cache
def settings() -> dict[str, Any]:
    """The shapes and promises of ``settings.toml``."""
    return tomllib.loads((files("reports") / "settings.toml").read_text(encoding="utf-8"))


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
        ("Lowest latency, streaming", settings()["streaming_frames"]),
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
    same_shape = [row for row, other in fit if row is not chosen and _overlap(row, chosen)]
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
