"""Which configuration of a run to ship: the best of those whose sound is within its tier."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.case import VERSIONS, Case
from bench.errors import InputError
from bench.records.facts import Better, facts_of, value_at
from bench.records.rows import NOT_JUDGED, Group, Row
from bench.records.run import Run, load_run
from bench.records.schema import Speed, Status
from bench.records.validity import why_invalid
from bench.spec import SPECS

# A median whose 95 % interval is wider than this share of it to either side was not stable.
STABLE = 0.05


@dataclass(frozen=True)
class Objective:
    """What to choose by.

    Attributes:
        name: On the command line.
        paths: The figure of a speed record; of several the first that every candidate has.
        per_call: Whether it is of one call, so that shapes must be the same; else it is of a second of audio, and every
            configuration takes part with its best batch.
    """

    name: str
    paths: tuple[str, ...]
    per_call: bool

    def better(self, path: str) -> Better:
        """Which value of the figure is the better one."""
        return facts_of(Speed)[path].better or Better.LOWER


OBJECTIVES = {
    objective.name: objective
    for objective in (
        Objective("latency", ("timing.median_ms",), per_call=True),
        Objective("throughput", ("throughput.audio_s_per_s",), per_call=False),
        Objective(
            "memory",
            (
                "memory.device_delta_bytes",
                "memory.process_gpu_bytes",
                "memory.reserved_peak_bytes",
                "memory.rss_delta_bytes",
                "memory.rss_peak_bytes",
            ),
            per_call=True,
        ),
        Objective("energy", ("energy.joules_per_audio_second",), per_call=False),
    )
}


@dataclass(frozen=True)
class Pick:
    """A case with the figure that it was chosen, or not chosen, by."""

    case: Case
    value: float
    why: str


@dataclass(frozen=True)
class Recommendation:
    """An answer.

    Attributes:
        version, device, weights: What it holds for.
        synthetic: Whether sound and speed were measured on synthetic weights.
        objective: Name of the objective.
        path, unit: The figure and its unit.
        chosen: The best within its fidelity tier.
        runner_up: The best other configuration, and why it lost; None where there is no other.
        ruled_out: Configurations that no answer may be, each with the reason.
    """

    version: str
    device: str
    weights: str
    synthetic: bool
    objective: str
    path: str
    unit: str
    chosen: Pick
    runner_up: Pick | None
    ruled_out: tuple[tuple[str, str], ...]


def recommend(
    records: str | Path,
    version: str,
    objective: str = "latency",
    *,
    frames: int | None = None,
    max_build_s: float | None = None,
    device: str | None = None,
    precision: str | None = None,
) -> Recommendation:
    """The best configuration of a run.

    Args:
        records: ``results/<run>``, or its ``records.jsonl``.
        version: ``"v3"`` or ``"v4"``.
        objective: A name of :data:`OBJECTIVES`.
        frames: Mel frames that matter; the measured length nearest to it counts. None for GPT-SoVITS's reference
            length, or for throughput and energy for any length.
        max_build_s: Longest build that is acceptable.
        device: ``"cpu"`` or ``"cuda:N"``, where the run was on several.
        precision: Name of the only precision that takes part; None for any.

    Raises:
        InputError: nothing in the run may be recommended; the sentence says what was ruled out and why.
    """
    if objective not in OBJECTIVES:
        raise InputError(f"unknown objective {objective!r}; choose from {', '.join(OBJECTIVES)}")
    if version not in VERSIONS:
        raise InputError(f"unknown version {version!r}; choose from {', '.join(VERSIONS)}")
    run = load_run(records)
    group = _group(run.groups, version, device)
    ranking = rank(run, group, OBJECTIVES[objective], frames=frames, max_build_s=max_build_s, precision=precision)
    if not ranking.rows:
        raise InputError(_nothing(version, objective, ranking.ruled_out))
    path, (chosen, *others) = ranking.path, ranking.rows
    return Recommendation(
        version=version,
        device=group.device,
        weights=group.weights,
        synthetic=group.synthetic,
        objective=objective,
        path=path,
        unit=facts_of(Speed)[path].unit,
        chosen=Pick(chosen.case, _value(chosen, path), group.gate(chosen.configuration).verdict),
        runner_up=Pick(others[0].case, _value(others[0], path), why_lost(chosen, others[0], path)) if others else None,
        ruled_out=tuple(ranking.ruled_out.items()),
    )


@dataclass(frozen=True)
class Ranking:
    """The configurations of a group by an objective.

    Attributes:
        path: The figure that they are ranked by.
        rows: The best row of each configuration that may be recommended, the best first.
        ruled_out: Why others may not be, by configuration.
    """

    path: str
    rows: tuple[Row, ...]
    ruled_out: dict[str, str]


def rank(
    run: Run,
    group: Group,
    objective: Objective,
    *,
    frames: int | None = None,
    max_build_s: float | None = None,
    precision: str | None = None,
    judged: bool = True,
) -> Ranking:
    """Ranks the configurations of a group of a run; arguments and errors as for :func:`recommend`.

    Without ``judged`` those whose sound was not judged take part too, so that nothing of it may be shipped.
    """
    ruled_out: dict[str, str] = {}
    fit: list[Row] = []
    rows = [row for row in group.rows if precision in (None, row.case.precision)]
    if not rows:
        raise InputError(f"the run has no timed case of {group.version} in {precision}")
    for row in _at(rows, objective, group.version, frames):
        reason = _reason_against(group, row, max_build_s, judged=judged)
        if reason is None:
            fit.append(row)
        else:
            ruled_out.setdefault(row.configuration, reason)
    # What ran and may not be comes first: it is nearer to an answer than what does not run here.
    for name, why in _without_figures(run.rows, group.version).items():
        ruled_out.setdefault(name, why)
    path = _path(objective, fit)
    ranked = _ranked(fit, path, objective.better(path))
    names = {row.configuration for row in ranked}
    return Ranking(path, tuple(ranked), {name: why for name, why in ruled_out.items() if name not in names})


def _without_figures(rows: Iterable[Row], version: str) -> dict[str, str]:
    """Why configurations of a version have no figures, by their names."""
    return {
        row.configuration: f"{row.record.status.value.replace('_', ' ')}: {row.record.reason}"
        for row in rows
        if row.case.version == version and row.record.status is not Status.OK
    }


def _group(groups: Iterable[Group], version: str, device: str | None) -> Group:
    found = [group for group in groups if group.version == version and device in (None, group.device)]
    if not found:
        on = f" on {device}" if device else ""
        raise InputError(f"the run has no timed case of {version}{on}")
    if len(found) > 1:
        raise InputError(
            f"the run has {'; '.join(group.label for group in found)}: give one device, and one set of weights"
        )
    return found[0]


def _at(rows: Iterable[Row], objective: Objective, version: str, frames: int | None) -> list[Row]:
    """The rows at the length nearest to ``frames``, and for a figure of one call at the smallest batch."""
    rows = list(rows)
    if objective.per_call:
        batch = min(row.case.batch for row in rows)
        rows = [row for row in rows if row.case.batch == batch]
    if frames is None and not objective.per_call:
        return rows
    wanted = SPECS[version].t_ref if frames is None else frames
    nearest = min({row.case.frames for row in rows}, key=lambda length: (abs(math.log(length / wanted)), length))
    return [row for row in rows if row.case.frames == nearest]


def _reason_against(group: Group, row: Row, max_build_s: float | None, *, judged: bool) -> str | None:
    """Why a row is no answer, in words; None where it may be one."""
    judgement = group.gate(row.configuration)
    if not judgement.within_tier and (judged or judgement.verdict != NOT_JUDGED):
        verdict = {"fail": "its sound fails", "warn": "its sound is at the edge of its tier"}.get(judgement.verdict)
        return f"{verdict or 'its sound was not judged'}{f' ({judgement.reason})' if judgement.reason else ''}"
    timing, build = row.measured.timing, row.record.build
    if not all(math.isfinite(value) and value > 0 for value in (timing.median_ms, *timing.samples_ms)):
        return "its durations are no numbers"
    if timing.ci95_low_ms is None or timing.ci95_high_ms is None:
        return f"{timing.rounds} rounds are too few to know its median"
    if (timing.ci95_high_ms - timing.ci95_low_ms) / 2 > STABLE * timing.median_ms:
        return "its median is not stable: the 95 % interval is wider than 5 % to either side"
    if invalid := why_invalid(row.record):
        return invalid
    if max_build_s is not None and (build is None or build.cost_s > max_build_s):
        return "its build's time is not known" if build is None else f"its build takes {build.cost_s:.3g} s"
    return None


def _path(objective: Objective, rows: list[Row]) -> str:
    """The first of the objective's figures that every row has; where none is, the one that most have."""
    known = [sum(_has(row, path) for row in rows) for path in objective.paths]
    return objective.paths[known.index(max(known))]


def _has(row: Row, path: str) -> bool:
    value = value_at(row.measured, path)
    return value is not None and math.isfinite(value) and value > 0


def _value(row: Row, path: str) -> float:
    value = value_at(row.measured, path)
    assert value is not None  # noqa: S101 - narrows the type
    return value


def _ranked(rows: Iterable[Row], path: str, better: Better) -> list[Row]:
    """The best row of each configuration, the best configuration first."""
    sign = -1 if better is Better.HIGHER else 1
    best: dict[str, Row] = {}
    for row in sorted((row for row in rows if _has(row, path)), key=lambda row: sign * _value(row, path)):
        best.setdefault(row.configuration, row)
    return list(best.values())


def why_lost(chosen: Row, other: Row, path: str) -> str:
    """Why one row lost against another, in words."""
    facts, ours, theirs = facts_of(Speed)[path], _value(chosen, path), _value(other, path)
    ratio = ours / theirs if facts.better is Better.HIGHER else theirs / ours
    comparison = (
        f"1/{ratio:.3g} of the chosen one's" if facts.better is Better.HIGHER else f"{ratio:.3g} times the chosen one's"
    )
    what = f"{facts.title[0].lower()}{facts.title[1:]} is {comparison}"
    if path == "timing.median_ms" and _overlap(chosen, other):
        return f"{what}, and the 95 % intervals overlap: measure longer, or choose by another objective"
    return what


def _overlap(one: Row, other: Row) -> bool:
    first, second = one.measured.timing, other.measured.timing
    bounds = (first.ci95_low_ms, first.ci95_high_ms, second.ci95_low_ms, second.ci95_high_ms)
    low, high, other_low, other_high = (math.nan if bound is None else bound for bound in bounds)
    return low <= other_high and other_low <= high


def _nothing(version: str, objective: str, ruled_out: dict[str, str]) -> str:
    reasons = "; ".join(f"{name}: {reason}" for name, reason in list(ruled_out.items())[:5])
    return f"nothing in the run may be recommended for {version} by {objective}" + (f": {reasons}" if reasons else "")
