"""Which configuration for which need: the winner, the runner-up, and why the others lost."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from bench.recommend import OBJECTIVES
from bench.recommend.choice import Ranking, rank
from bench.records.facts import Better, facts_of, value_at
from bench.records.rows import NOT_JUDGED, Group, Row
from bench.records.run import Run
from bench.records.schema import Speed
from bench.report.names import short_names
from bench.report.shapes import distance, settings
from bench.report.text import MIB, TIMES, interval, number

# Lengths this far from a quarter of a second, as a logarithm, still tell of its latency.
_NEAR = 0.55
READY_S = 5.0


@dataclass(frozen=True)
class Need:
    """One line of the table of needs.

    Attributes:
        question: The need.
        winner, title: Short name and case id; empty where nothing answers it.
        line: Line of the winner's record.
        figure: The winner's figure with its interval and shape.
        runner_up: The next configuration, and by how much it lost.
        others: Why the others lost, a sentence a reason.
        missing: Why nothing answers it, and what to run.
    """

    question: str
    winner: str = ""
    title: str = ""
    line: int = 0
    figure: str = ""
    runner_up: str = ""
    others: tuple[str, ...] = ()
    missing: str = ""


def needs(run: Run, group: Group) -> list[Need]:
    """Every need, answered as far as the run goes."""
    frames = int(settings()["streaming_frames"])
    seen = {row.case.frames for row in group.rows}
    near = [length for length in seen if distance(length, frames) < _NEAR]
    speed = f"pytest suites/test_speed.py --versions {group.version}"

    def ranked(objective: str, frames: int | None = None, max_build_s: float | None = None) -> Ranking:
        found = rank(run, group, OBJECTIVES[objective], frames=frames, max_build_s=max_build_s)
        again = rank(run, group, OBJECTIVES[objective], frames=frames, max_build_s=max_build_s, judged=False)
        return found if found.rows else again

    found = [_need(run, group, "One utterance, least wait", ranked("latency"))]
    question = "First 0.25 s of a stream"
    if near:
        found.append(_need(run, group, question, ranked("latency", frames)))
    else:
        found.append(Need(question, missing=f"not measured: run {speed} --frames {frames} --batches 1"))
    found += [
        _need(run, group, "Most audio per second", ranked("throughput")),
        _need(run, group, "Least memory", ranked("memory")),
    ]
    if any(row.measured.energy for row in group.rows):
        found.append(_need(run, group, "Least energy", ranked("energy")))
    else:
        why = "a CPU has no energy counter" if group.device == "cpu" else f"run {speed}"
        found.append(Need("Least energy", missing=f"not measured: {why}"))
    ready = ranked("latency", max_build_s=READY_S)
    return [*found, _need(run, group, f"No build (ready in {READY_S:.0f} s)", ready)]


def _need(run: Run, group: Group, question: str, ranking: Ranking) -> Need:
    names = short_names(row.case for row in run.rows if row.case.version == group.version)
    others = _ruled_out(ranking.ruled_out, names)
    if not ranking.rows:
        return Need(question, others=others, missing="nothing may be recommended")
    chosen, *rest = ranking.rows
    behind = (f"{len(rest) - 1} more behind the runner-up",) if len(rest) > 1 else ()
    unjudged = group.gate(chosen.configuration).verdict == NOT_JUDGED
    return Need(
        question,
        winner=names[chosen.configuration] + (" (sound not judged)" if unjudged else ""),
        title=chosen.case.id,
        line=chosen.line,
        figure=_figure(chosen, ranking.path),
        runner_up=_runner_up(chosen, rest[0], ranking.path, names) if rest else "none",
        others=(*others, *behind),
    )


def _figure(row: Row, path: str) -> str:
    case = row.case
    where = f"{case.frames} frames" if case.batch == 1 else f"batch {case.batch}, {case.frames} frames"
    if path == "timing.median_ms":
        timing = row.measured.timing
        return f"{interval(timing.median_ms, timing.ci95_low_ms, timing.ci95_high_ms, unit=' ms')}, {where}"
    if path == "throughput.audio_s_per_s":
        method = row.measured.throughput.method.replace("-", " ") if row.measured.throughput else ""
        return f"{_value(row, path)}, {method}, {where}"
    return f"{_value(row, path)}, {where}"


def _value(row: Row, path: str) -> str:
    facts, value = facts_of(Speed)[path], value_at(row.measured, path)
    if value is not None and facts.unit == "bytes":
        return f"{number(value / MIB)} MiB ({facts.title})"
    return f"{number(value)} {facts.unit}"


def _runner_up(chosen: Row, other: Row, path: str, names: Mapping[str, str]) -> str:
    ours, theirs = value_at(chosen.measured, path), value_at(other.measured, path)
    if not ours or not theirs:
        return names[other.configuration]
    higher = facts_of(Speed)[path].better is Better.HIGHER
    by = f"{number(theirs / ours, 3)}{TIMES} the winner's" + (" (higher is better)" if higher else "")
    tied = path == "timing.median_ms" and _overlap(chosen, other)
    return f"{names[other.configuration]}: {by}" + (", not told apart (intervals overlap)" if tied else "")


def _overlap(one: Row, other: Row) -> bool:
    first, second = one.measured.timing, other.measured.timing
    if None in (first.ci95_low_ms, first.ci95_high_ms, second.ci95_low_ms, second.ci95_high_ms):
        return False
    assert first.ci95_low_ms and first.ci95_high_ms and second.ci95_low_ms and second.ci95_high_ms  # noqa: S101, PT018
    return first.ci95_low_ms <= second.ci95_high_ms and second.ci95_low_ms <= first.ci95_high_ms


def _ruled_out(reasons: Mapping[str, str], names: Mapping[str, str]) -> tuple[str, ...]:
    """Configurations by why they were ruled out, two of each by name."""
    by_reason: defaultdict[str, list[str]] = defaultdict(list)
    for configuration, reason in reasons.items():
        by_reason[reason.split(" (")[0].split(":")[0]].append(names.get(configuration, configuration))
    parts = []
    for reason, found in by_reason.items():
        more = f" and {len(found) - 2} more" if len(found) > 2 else ""
        parts.append(f"{reason}: {'; '.join(found[:2])}{more}")
    return tuple(parts)
