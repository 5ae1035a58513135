"""The figure behind a promise: speed, latency, memory or throughput of one exactly named pair of cases."""

from dataclasses import dataclass, replace

import numpy as np

from bench.case import Case
from bench.records.rows import Group, Row
from bench.records.schema import Speedup, waits_for_host
from bench.report.shapes import distance, reference_frames

_RESAMPLES = 2000
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
        """Whether eager is known to be launch-bound there."""
        return self.base_ms is not None and waits_for_host(self.launch_ms, self.base_ms)


def measure(key: str, group: Group, mine: list[Row], precision: str) -> Measured | str:
    """The figure of a promise for a configuration.

    Args:
        key: Of the promise, in ``settings.toml``.
        group: What may be compared.
        mine: The configuration's timed rows.
        precision: Of the eager that it is compared with.

    Returns:
        The figure, or why there is none.
    """
    pair = _pair(group, mine, precision)
    if key == "throughput":
        return _throughput(group, mine, precision)
    if key == "speed":
        return _speed(group, mine if pair is None else [pair[0]], precision)
    if pair is None:
        return f"eager {precision} has no case of its own at any of its shapes"
    test, eager = pair
    if key == "memory":
        return _memory(test, eager)
    found = _latency(test, eager)
    if isinstance(found, str):
        return found
    return replace(
        found,
        eager_loss=_loss(group, eager.case, eager.median_ms),
        base_ms=eager.median_ms,
        launch_ms=eager.measured.timing.launch_median_ms,
    )


def _pair(group: Group, mine: list[Row], precision: str) -> tuple[Row, Row] | None:
    """The case nearest to the headline shape that eager was timed at too, and that eager case."""
    eager = {row.case.id: row for row in group.rows if row.case.backend == "eager" and not row.case.options}
    both = [row for row in mine if row.case.baseline(precision).id in eager]
    if not both:
        return None
    test = _headline(group, both)
    return test, eager[test.case.baseline(precision).id]


def _headline(group: Group, rows: list[Row]) -> Row:
    wanted = reference_frames(group.version)
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
        for item in (row.measured.speedup_fp32, row.measured.speedup_same_precision)
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
    for speedup in (row.measured.speedup_fp32, row.measured.speedup_same_precision):
        if speedup is not None and speedup.baseline == row.case.baseline(precision).id:
            return speedup
    return None


def _latency(test: Row, base: Row) -> Measured | str:
    ours, theirs = test.measured.timing, base.measured.timing
    if not ours.host_samples_ms or not theirs.host_samples_ms:
        return "no durations by the host's clock"
    value = 100 * (1 - ours.host_median_ms / theirs.host_median_ms)
    low, high = _bootstrap_reduction(ours.host_samples_ms, theirs.host_samples_ms, test.record.seed)
    return Measured(value, low, high, test.case.id, base.case.id, "host clock; not interleaved")


def _memory(test: Row, base: Row) -> Measured | str:
    ours, theirs = test.measured.memory, base.measured.memory
    for name, words in _MEMORY_FIELDS:
        mine, other = getattr(ours, name, None), getattr(theirs, name, None)
        if mine is not None and other:
            return Measured(100 * (1 - mine / other), None, None, test.case.id, base.case.id, words)
    return "no memory figure that both cases have"


def _throughput(group: Group, mine: list[Row], precision: str) -> Measured | str:
    base = [row for row in group.rows if row.configuration == f"eager {precision}" and row.measured.throughput]
    test = [row for row in mine if row.measured.throughput]
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
    methods = {row.measured.throughput.method for row in (best, other) if row.measured.throughput}
    if methods == {"rounds"}:
        scale = _audio_s(best) / _audio_s(other)
        low, high = _bootstrap_ratio_of_means(
            other.measured.timing.samples_ms, best.measured.timing.samples_ms, scale, best.record.seed
        )
        note = "rounds of each, not interleaved"
    ratio = _audio_s_per_s(best) / _audio_s_per_s(other)
    return Measured(ratio, low, high, best.case.id, other.case.id, note)


def _audio_s_per_s(row: Row) -> float:
    return row.measured.throughput.audio_s_per_s if row.measured.throughput else 0.0


def _audio_s(row: Row) -> float:
    throughput = row.measured.throughput
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
