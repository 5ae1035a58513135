"""The seed guide's promises, each against one exactly named pair of cases."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from bench.case import Case
from bench.records.run import Group, Row, Run
from bench.records.schema import Record, Speedup, Status, waits_for_host
from bench.report.sections.answer import distance, settings
from bench.report.text import MINUS, TIMES, number, ratio

EVERY = "every"
HELD, NOT_HELD, NOT_MEASURED = "held", "not held", "not measured"
_RESAMPLES = 2000
# From here on eager's own loss at a shape is told beside what is gained over it.
_LOST = 1.5
_HERE = "; eager takes {} as long for a frame here as at its best shape: it "
_WAITED = "; eager waited for its host here: {} ms by its clock until it was launched, {} ms in all by the device's"
_MEMORY_FIELDS = (
    ("process_gpu_bytes", "GPU memory of the process"),
    ("device_delta_bytes", "growth of the GPU's used memory"),
    ("rss_peak_bytes", "peak resident set of the process"),
)


@dataclass(frozen=True)
class Measured:
    """One promise's figure.

    Attributes:
        value: In the promise's unit.
        low, high: 95 % interval, or None where there is only one reading.
        test, base: Ids of the two cases compared.
        note: What else a reader must know.
        eager_loss: Eager's time for a frame at this shape over that at its best shape in the run; None where that
            does not matter.
        base_ms, launch_ms: Eager's median there, and the host's time until its call returned; None where that does not
            matter or was not measured.
    """

    value: float
    low: float | None
    high: float | None
    test: str
    base: str
    note: str = ""
    eager_loss: float | None = None
    base_ms: float | None = None
    launch_ms: float | None = None

    @property
    def waited(self) -> bool:
        """Whether eager is known to have waited for its host."""
        return self.base_ms is not None and waits_for_host(self.launch_ms, self.base_ms)


@dataclass(frozen=True)
class Check:
    """One row of the table of promises.

    Attributes:
        promise: Title of the promise.
        key: Its key in ``settings.toml``; ``every`` for a configuration of which nothing was timed.
        unit: Unit of the figure, ``×`` or ``%``.
        version, device, weights, backend, precision: Whose figure it is.
        baseline: Which eager it is compared with, ``eager fp32`` or ``eager`` of the same precision.
        fidelity: Verdict on the sound of the configuration.
        promised_backend: Whether the guide's promise is about this backend.
        measured: The figure; None where there is none.
        verdict: ``held``, ``not held`` or ``not measured``.
        reason: Why it was not measured, or what the verdict leans on.
    """

    promise: str
    key: str
    unit: str
    version: str
    device: str
    weights: str
    backend: str
    precision: str
    baseline: str
    fidelity: str
    promised_backend: bool
    measured: Measured | None
    verdict: str
    reason: str

    @property
    def figure(self) -> str:
        """The figure with its interval and unit; a reduction is written with its sign."""
        if self.measured is None:
            return ""
        value, low, high = self.measured.value, self.measured.low, self.measured.high
        if self.unit == TIMES:
            return ratio(value, low, high)
        ends = "" if low is None or high is None else f" [{_signed(high)}, {_signed(low)}]"
        return f"{_signed(value)} %{ends}"


def _signed(reduction: float) -> str:
    change = f"{-reduction:+.1f}"
    return change.replace("-", MINUS) if float(change) else "0.0"


def check_promises(run: Run) -> list[Check]:
    """Every promise for every configuration but eager, and for those that could not be measured."""
    checks: list[Check] = []
    for group in run.groups:
        names = {row.configuration: row for row in group.rows if row.case.backend != "eager"}
        for name, row in names.items():
            checks += _of_configuration(group, name, row.record)
    timed = {(row.case.version, row.record.device, row.configuration) for row in run.rows if row.timed}
    missing: dict[tuple[str, str, str], Row] = {}
    for row in run.rows:
        key = (row.case.version, row.record.device, row.configuration)
        if row.record.kind == "speed" and row.case.backend != "eager" and key not in timed:
            missing.setdefault(key, row)
    checks += chain.from_iterable(_missing(row) for row in missing.values())
    return sorted(
        checks,
        key=lambda check: (not check.promised_backend, check.version, check.verdict == NOT_MEASURED),
    )


def _baselines(record: Record) -> list[str]:
    """Precisions of eager to compare with. A case that ran in turn with fp32 alone has no eager of its own."""
    own = record.case.precision
    alone = record.speedup_same_precision is None and record.speedup_fp32 is not None
    return ["fp32"] if own == "fp32" or alone else ["fp32", own]


def _of_configuration(group: Group, name: str, record: Record) -> Iterable[Check]:
    mine = [row for row in group.rows if row.configuration == name]
    for precision in _baselines(record):
        pair = _pair(group, mine, precision)
        for promise in settings()["promise"]:
            measured: Measured | str
            if promise["key"] == "throughput":
                measured = _throughput(group, mine, precision)
            elif promise["key"] == "speed":
                measured = _speed(group, mine if pair is None else [pair[0]], precision)
            elif pair is None:
                measured = f"eager {precision} has no case of its own at any of its shapes"
            else:
                measured = _MEASURES[promise["key"]](*pair)
                if isinstance(measured, Measured) and promise["key"] == "latency":
                    eager = pair[1]
                    launch_ms = eager.record.timing.launch_median_ms if eager.record.timing else None
                    loss = _loss(group, eager.case, eager.median_ms)
                    measured = replace(measured, eager_loss=loss, base_ms=eager.median_ms, launch_ms=launch_ms)
            yield _check(promise, record, precision, (group.weights, group.gate(name).verdict), measured)


def _pair(group: Group, mine: list[Row], precision: str) -> tuple[Row, Row] | None:
    """The case nearest to the headline shape that eager was timed at too, and that eager case."""
    eager = {row.case.id: row for row in group.rows if row.case.backend == "eager" and not row.case.options}
    both = [row for row in mine if row.case.baseline(precision).id in eager]
    if not both:
        return None
    test = _headline(group, both)
    return test, eager[test.case.baseline(precision).id]


def _headline(group: Group, rows: list[Row]) -> Row:
    wanted = settings()["reference_frames"].get(group.version, 500)
    return min(rows, key=lambda row: (row.case.batch, distance(row.case.frames, wanted)))


def _loss(group: Group, eager: Case, eager_ms: float) -> float:
    """Eager's time for a frame of this case, over that at its best shape, alone or in turn with others."""
    precision = eager.precision
    alone = [(row, row.median_ms) for row in group.rows if row.case == row.case.baseline(precision)]
    per_frame = [ms / (row.case.batch * row.case.frames) for row, ms in (*alone, *_in_turn(group, precision))]
    return eager_ms / (eager.batch * eager.frames) / min(per_frame)


def _in_turn(group: Group, precision: str) -> list[tuple[Row, float]]:
    """Cases that eager ran in turn with, and its median milliseconds then."""
    return [
        (row, item.baseline_median_ms)
        for row in group.rows
        for item in (row.record.speedup_fp32, row.record.speedup_same_precision)
        if item is not None and item.baseline == row.case.baseline(precision).id
    ]


def _speed(group: Group, mine: list[Row], precision: str) -> Measured | str:
    """From rounds in turn with eager, which needs no case of its own for that."""
    found = {row.case.id: (row, speedup) for row in mine if (speedup := _speedup(row, precision)) is not None}
    if not found:
        return f"eager {precision} was not run in turn with it"
    test, speedup = found[_headline(group, [row for row, _ in found.values()]).case.id]
    return Measured(
        speedup.ratio,
        speedup.ci95_low,
        speedup.ci95_high,
        test.case.id,
        speedup.baseline,
        "interleaved rounds",
        _loss(group, test.case.baseline(precision), speedup.baseline_median_ms),
        speedup.baseline_median_ms,
        speedup.baseline_launch_median_ms,
    )


def _speedup(row: Row, precision: str) -> Speedup | None:
    for speedup in (row.record.speedup_fp32, row.record.speedup_same_precision):
        if speedup is not None and speedup.baseline == row.case.baseline(precision).id:
            return speedup
    return None


def _latency(test: Row, base: Row) -> Measured | str:
    ours, theirs = test.record.timing, base.record.timing
    if ours is None or theirs is None or not ours.host_samples_ms or not theirs.host_samples_ms:
        return "no durations by the host's clock"
    value = 100 * (1 - ours.host_median_ms / theirs.host_median_ms)
    low, high = _bootstrap_reduction(ours.host_samples_ms, theirs.host_samples_ms, test.record.seed)
    return Measured(value, low, high, test.case.id, base.case.id, "host clock; not interleaved")


def _memory(test: Row, base: Row) -> Measured | str:
    ours, theirs = test.record.memory, base.record.memory
    for name, words in _MEMORY_FIELDS:
        mine, other = getattr(ours, name, None), getattr(theirs, name, None)
        if mine is not None and other:
            return Measured(100 * (1 - mine / other), None, None, test.case.id, base.case.id, words)
    return "no memory figure that both cases have"


def _throughput(group: Group, mine: list[Row], precision: str) -> Measured | str:
    base = [row for row in group.rows if row.configuration == f"eager {precision}" and row.record.throughput]
    test = [row for row in mine if row.record.throughput]
    if not base or not test:
        return f"no throughput of {'this configuration' if base else f'eager {precision}'}"
    best, other = max(test, key=_audio_s_per_s), max(base, key=_audio_s_per_s)
    # Shapes of which eager has no record of its own: one inference at a time, which is no more than it can do.
    known = {row.case.id for row in base}
    turns = [
        (1000 * _audio_s(row) / ms, row.case.baseline(precision).id)
        for row, ms in _in_turn(group, precision)
        if row.case.baseline(precision).id not in known
    ]
    fastest, at = max(turns, default=(0.0, ""))
    if fastest > _audio_s_per_s(other):
        note = "eager ran its best shape in turn with others only, one inference at a time"
        return Measured(_audio_s_per_s(best) / fastest, None, None, best.case.id, at, note)
    low = high = None
    note = "one figure each, no interval"
    methods = {row.record.throughput.method for row in (best, other) if row.record.throughput}
    if methods == {"rounds"} and best.record.timing and other.record.timing:
        scale = _audio_s(best) / _audio_s(other)
        low, high = _bootstrap_ratio_of_means(
            other.record.timing.samples_ms, best.record.timing.samples_ms, scale, best.record.seed
        )
        note = "rounds of each, not interleaved"
    ratio = _audio_s_per_s(best) / _audio_s_per_s(other)
    return Measured(ratio, low, high, best.case.id, other.case.id, note)


_MEASURES = {"latency": _latency, "memory": _memory}


def _audio_s_per_s(row: Row) -> float:
    return row.record.throughput.audio_s_per_s if row.record.throughput else 0.0


def _audio_s(row: Row) -> float:
    throughput = row.record.throughput
    return throughput.audio_s_per_s / throughput.inferences_per_s if throughput else 0.0


def _resample(samples: tuple[float, ...], rng: np.random.Generator) -> np.ndarray:
    values = np.asarray(samples)
    return values[rng.integers(len(values), size=(_RESAMPLES, len(values)))]


def _bootstrap_reduction(
    ours: tuple[float, ...], theirs: tuple[float, ...], seed: int
) -> tuple[float, float] | tuple[None, None]:
    """95 % percentile-bootstrap interval of the reduction of the median, in percent; None under 6 samples."""
    if min(len(ours), len(theirs)) < 6:
        return None, None
    rng = np.random.default_rng(seed)
    ratios = np.median(_resample(ours, rng), axis=1) / np.median(_resample(theirs, rng), axis=1)
    low, high = np.percentile(100 * (1 - ratios), [2.5, 97.5])
    return float(low), float(high)


def _bootstrap_ratio_of_means(
    base: tuple[float, ...], test: tuple[float, ...], scale: float, seed: int
) -> tuple[float, float] | tuple[None, None]:
    """95 % percentile-bootstrap interval of ``scale * mean(base) / mean(test)``; None under 6 samples."""
    if min(len(base), len(test)) < 6:
        return None, None
    rng = np.random.default_rng(seed)
    ratios = scale * _resample(base, rng).mean(axis=1) / _resample(test, rng).mean(axis=1)
    low, high = np.percentile(ratios, [2.5, 97.5])
    return float(low), float(high)


def _check(
    promise: dict[str, object],
    record: Record,
    precision: str,
    identity: tuple[str, str],
    measured: Measured | str,
) -> Check:
    verdict, reason = NOT_MEASURED, str(measured)
    if isinstance(measured, Measured):
        verdict, reason = _judge(measured, float(str(promise["low"])), float(str(promise["high"])))
        reason += _told_host(measured)
    options = [f"{key}={value}" for key, value in record.case.options]
    backend = " ".join([record.case.backend, *options])
    return Check(
        promise=str(promise["title"]),
        key=str(promise["key"]),
        unit=str(promise["unit"]),
        version=record.case.version,
        device=record.device,
        weights=identity[0],
        fidelity=identity[1],
        backend=backend,
        precision=record.case.precision,
        baseline=f"eager {precision}",
        promised_backend=backend.startswith(settings()["promised_backends"]),
        measured=measured if isinstance(measured, Measured) else None,
        verdict=verdict,
        reason=reason,
    )


def _told_host(measured: Measured) -> str:
    """How far eager's time is the host's, as far as that is known."""
    if measured.waited:
        return _WAITED.format(number(measured.launch_ms), number(measured.base_ms))
    known = measured.launch_ms is not None
    why = "does not fill the device" if known else "waits for its host, or does not fill the device"
    return _told_loss(measured, _HERE + why)


def _told_loss(measured: Measured | None, words: str) -> str:
    loss = measured.eager_loss if measured else None
    return words.format(f"{number(loss, 2)}{TIMES}") if loss is not None and loss >= _LOST else ""


def _judge(measured: Measured, low: float, high: float) -> tuple[str, str]:
    """Held only where the whole interval reaches the promise; a single reading is judged by its value."""
    surely = measured.value if measured.low is None else measured.low
    at_best = measured.value if measured.high is None else measured.high
    if surely >= low:
        beyond = f"; more than the promised {number(high, 2)}" if surely > high else ""
        return HELD, measured.note + beyond
    if at_best >= low:
        return (
            NOT_HELD,
            f"{measured.note}; the interval reaches the promised {number(low, 2)}, not all of it does",
        )
    return NOT_HELD, measured.note


def _missing(row: Row) -> Iterable[Check]:
    weights = row.record.weights.name if row.record.weights else ""
    status = row.record.status
    reason = "no timing" if status is Status.OK else f"{status.value.replace('_', ' ')}: {row.record.reason}"
    every = {"title": f"all {len(settings()['promise'])}", "key": EVERY, "unit": "", "low": 0, "high": 0}
    yield _check(every, row.record, row.case.precision, (weights, row.judgement.verdict), reason)


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
    ends = [f"{number(value)}{TIMES}" if unit == TIMES else f"{_signed(value)} %" for value in (values[0], values[-1])]
    spread = ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"
    worst = max((check.measured for check in measured), key=lambda item: (item and item.eager_loss) or 0.0)
    loss = _told_loss(worst, " (eager took up to {} as long for a frame there as at its best shape)")
    waited = sum(check.measured.waited for check in measured if check.measured)
    host = f" (eager waited for its host in {waited} of them)" if waited else loss
    return f"held in {held} of {len(measured)} comparisons, {spread}{host}"
