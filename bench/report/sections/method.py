"""How it was measured: the machine, the versions, what was seen meanwhile, and what is missing and why."""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from bench.records.facts import value_at
from bench.records.rows import NOT_JUDGED
from bench.records.run import Run
from bench.records.schema import GpuState, Record, Status
from bench.report.html import render
from bench.report.names import short_names
from bench.report.notes import notes_of
from bench.report.section import Section
from bench.report.text import count, number

_VALUES_SHOWN = 4
_SIZES = {"memory_bytes": 2**30}


def facts(run: Run) -> list[tuple[str, str]]:
    """Name and text of every fact about the measurement; values that differ between records are counted."""
    records = [row.record for row in run.rows]
    environment: defaultdict[str, Counter[str]] = defaultdict(Counter)
    # Records of one machine differ little in theirs, so that each text is taken apart once.
    for text, often in Counter(json.dumps(record.environment) for record in records).items():
        for name, value in _flatten(json.loads(text)).items():
            environment[name][value] += often
    described = sum(1 for record in records if record.environment)
    lines = [(name, _distinct(values, described)) for name, values in environment.items()]
    for name, texts in (
        ("weights", (_weights(record) for record in records)),
        ("audio", (record.audio for record in records)),
        ("device", (record.device for record in records)),
        ("seed", (str(record.seed) for record in records)),
        ("run", (record.run_id for record in records)),
    ):
        counter = Counter(text for text in texts if text)
        if counter:
            lines.append((name, _distinct(counter, sum(counter.values()))))
    times = sorted(record.recorded_at for record in records)
    lines.append(("recorded (UTC)", times[0] if times[0] == times[-1] else f"{times[0]} to {times[-1]}"))
    return lines + _observed(run)


def machine(run: Run) -> str:
    """The machine in one line, for the head of the report."""
    records = [row.record for row in run.rows if row.timed] or [row.record for row in run.rows]
    seen: dict[str, None] = {}
    for record in records:
        environment = record.environment
        parts = []
        for part in ("gpu", "cpu"):
            value = environment.get(part)
            if isinstance(value, dict) and value.get("name"):
                parts.append(str(value["name"]))
        versions = environment.get("versions")
        if isinstance(versions, dict):
            parts += [f"{name} {versions[name]}" for name in ("torch", "tensorrt") if versions.get(name)]
        if parts:
            seen[", ".join(parts)] = None
    return "; ".join(seen) or "machine not recorded"


def missing(run: Run) -> list[str]:
    """One sentence for everything that is not in the report, with the reason."""
    lines: Counter[tuple[str, str, str]] = Counter()
    for row in run.rows:
        record = row.record
        if record.status is not Status.OK:
            lines[record.case.backend, record.status.value.replace("_", " "), record.reason] += 1
    sentences = [
        f"{backend}: {count(times, 'case')} {status}, {reason or 'no reason recorded'}"
        for (backend, status, reason), times in sorted(lines.items())
    ]
    timed = [row for row in run.rows if row.timed]
    for name, floor in (("p90_ms", 64), ("p99_ms", 662)):
        without = sum(1 for row in timed if getattr(row.measured.timing, name) is None)
        if without:
            of = count(len(timed), "timed case")
            sentences.append(f"{name[:3]}: blank for {without} of {of}; it needs {floor} rounds")
    unjudged = sum(row.judgement.verdict == NOT_JUDGED for row in timed)
    if unjudged:
        sentences.append(
            f"Fidelity: {unjudged} of {count(len(timed), 'timed case')} have no quality record of their own"
        )
    no_clock = sum(1 for row in timed if row.record.device != "cpu" and row.measured.gpu_state is None)
    if no_clock:
        sentences.append(f"Clocks and throttling: not recorded for {count(no_clock, 'GPU case')}")
    if timed and all(row.record.device == "cpu" for row in timed):
        sentences.append("GPU figures: every case of this run was timed on a CPU")
    return sentences


def _weights(record: Record) -> str | None:
    if record.weights is None:
        return None
    weights = record.weights
    return f"{record.case.version}: {weights.name}, sha256 {weights.sha256}, {weights.parameters} parameters"


def _observed(run: Run) -> list[tuple[str, str]]:
    speeds = [row.speed for row in run.rows if row.speed]
    lines = _observed_gpu([speed.gpu_state for speed in speeds if speed.gpu_state])
    stops = Counter(speed.timing.stop_reason.replace("_", " ") for speed in speeds)
    if stops:
        lines.append(("rounds ended", ", ".join(f"{name}: {times}" for name, times in stops.most_common())))
        rounds = [speed.timing.rounds for speed in speeds]
        ends = dict.fromkeys((str(min(rounds)), str(max(rounds))))
        lines.append(("rounds a case", " to ".join(ends)))
    methods = Counter(speed.throughput.method for speed in speeds if speed.throughput)
    if methods:
        lines.append(("throughput counted", ", ".join(sorted(methods))))
    proofs = Counter(row.record.precision.evidence for row in run.rows if row.record.precision)
    if proofs:
        lines.append(("precision checked by", "; ".join(sorted(proofs))))
    return lines


def _observed_gpu(states: Sequence[GpuState]) -> list[tuple[str, str]]:
    lines = []
    for name, field, unit, pick in (
        ("SM clock, lowest and highest median", "sm_clock_median_mhz", "MHz", (min, max)),
        ("SM clock, lowest reading", "sm_clock_min_mhz", "MHz", (min,)),
        ("GPU temperature, highest", "temperature_max_c", "°C", (max,)),
        ("GPU power, lowest and highest mean", "power_mean_w", "W", (min, max)),
    ):
        values = [value for state in states if (value := value_at(state, field)) is not None]
        if values:
            ends = dict.fromkeys(f"{choose(values):.0f}" for choose in pick)
            lines.append((name, f"{' to '.join(ends)} {unit}"))
    if states:
        reasons = Counter(reason for state in states for reason in state.throttle_reasons)
        seen = ", ".join(f"{name} in {count(times, 'case')}" for name, times in reasons.most_common())
        lines.append(("throttling seen", seen or f"none in {count(len(states), 'case')}"))
    return lines


def _flatten(value: Any, prefix: str = "") -> dict[str, str]:
    if not isinstance(value, dict):
        return {prefix: "not there" if value is None else _text(value, prefix)}
    flat: dict[str, str] = {}
    for key, item in value.items():
        flat.update(_flatten(item, f"{prefix} {key}".strip()))
    return flat


def _text(value: Any, name: str) -> str:
    last = name.split(" ")[-1]
    if last in _SIZES and isinstance(value, int):
        return f"{number(value / _SIZES[last])} GiB"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _distinct(values: Counter[str], total: int) -> str:
    if len(values) == 1:
        (text,) = values
        times = values[text]
        return text if times == total else f"{text} (in {times} of {count(total, 'record')})"
    shown = [f"{text} ({count(times, 'record')})" for text, times in values.most_common(_VALUES_SHOWN)]
    more = len(values) - len(shown)
    return f"{len(values)} values: {'; '.join(shown)}" + (f"; and {more} more" if more else "")


class Method(Section, anchor="method", nav="Method", order=70):
    """How it was measured, and what is missing."""

    def html(self) -> Markup:
        """What to know, the facts, what short names stand for, and a sentence for everything that is missing."""
        run = self.page.run
        names = short_names(row.case for row in run.rows)
        return render(
            "sections/method.html.j2",
            notes=notes_of(run),
            facts=facts(run),
            names=[(names[key], key) for key in sorted(names, key=names.__getitem__)],
            missing=missing(run),
        )
