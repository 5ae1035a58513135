"""Figures of time: against length, against batch, and single rounds."""

from collections import defaultdict

from bench.records.rows import Group, Row
from bench.report.figures.bars import Bar, dots
from bench.report.figures.plot import Drawing
from bench.report.figures.series import SHOWN, headline, keys, lines
from bench.report.shapes import distance, reference_frames

_ROUNDS_SHOWN = 100


def latency_by_length(group: Group) -> Drawing | str:
    """Median latency against length, at the smallest batch."""
    rows = _lengths(group)
    if isinstance(rows, str):
        return rows
    found = lines(group, rows, ("mel frames", _frames), ("latency, ms", _latency), log_y=True)
    return _told(found, f"Batch {rows[0].case.batch}. Medians with 95 % intervals, often smaller than the point.")


def rtf_by_length(group: Group) -> Drawing | str:
    """Real-time factor against length, at the smallest batch."""
    rows = _lengths(group)
    if isinstance(rows, str):
        return rows
    found = lines(group, rows, ("mel frames", _frames), ("real-time factor", _rtf), log_y=True)
    return _told(
        found,
        f"Batch {rows[0].case.batch}. Seconds of compute per second of audio: under 1 is faster than real time; "
        "its inverse is the throughput of one call after another.",
    )


def latency_by_batch(group: Group) -> Drawing | str:
    """Median latency against batch, at the length nearest to the reference length."""
    rows = _batches(group)
    if isinstance(rows, str):
        return rows
    found = lines(group, rows, ("batch", _batch), ("latency, ms", _latency), log_y=True)
    return _told(found, f"{rows[0].case.frames} frames. Medians with 95 % intervals.")


def throughput_by_batch(group: Group) -> Drawing | str:
    """Seconds of audio per second against batch, at the length nearest to the reference length."""
    rows = _batches(group)
    if isinstance(rows, str):
        return rows
    rows = [row for row in rows if row.measured.throughput]
    if not rows:
        return "Not drawn: no throughput was measured."
    found = lines(group, rows, ("batch", _batch), ("seconds of audio per second", _throughput), log_y=False)
    methods = sorted({row.measured.throughput.method.replace("-", " ") for row in rows if row.measured.throughput})
    return _told(found, f"{rows[0].case.frames} frames, counted {', '.join(methods)}. Higher is better.")


def rounds(group: Group) -> Drawing | str:
    """Every configuration's single rounds at the headline shape."""
    rows = headline(group)[:SHOWN]
    legend = keys(group, rows)
    bars = [
        Bar(row, legend[row.configuration], row.median_ms, tuple(_few(row.measured.timing.samples_ms)))
        for row in rows
        if row.measured.timing.samples_ms
    ]
    if not bars:
        return "Not drawn: no durations of single rounds were recorded."
    case = rows[0].case
    clocks = ", ".join(sorted({row.measured.timing.clock for row in rows}))
    return Drawing(
        dots(bars, f"ms of one inference ({clocks})"),
        f"Batch {case.batch}, {case.frames} frames. Light marks are single rounds (at most {_ROUNDS_SHOWN}, evenly "
        "chosen), the dark one is their median. Two clusters are two modes of the machine.",
        tuple(bar.key for bar in bars),
    )


def _told(found: Drawing, caption: str) -> Drawing:
    left = " Only the fastest are drawn; the table has all." if len(found.keys) == SHOWN else ""
    return Drawing(found.spec, caption + left, found.keys)


def _lengths(group: Group) -> list[Row] | str:
    batch = min(row.case.batch for row in group.rows)
    rows = [row for row in group.rows if row.case.batch == batch]
    if len({row.case.frames for row in rows}) < 2:
        return f"Not drawn: batch {batch} was timed at one length only, {rows[0].case.frames} frames."
    return rows


def _batches(group: Group) -> list[Row] | str:
    by_length: defaultdict[int, list[Row]] = defaultdict(list)
    for row in group.rows:
        by_length[row.case.frames].append(row)
    lengths = [frames for frames, found in by_length.items() if len({row.case.batch for row in found}) > 1]
    if not lengths:
        return "Not drawn: no length was timed at two batch sizes."
    return by_length[min(lengths, key=lambda length: distance(length, reference_frames(group.version)))]


def _few(samples: tuple[float, ...]) -> list[float]:
    step = max(1, len(samples) / _ROUNDS_SHOWN)
    return [samples[int(index * step)] for index in range(int(len(samples) / step))]


def _frames(row: Row) -> float:
    return row.case.frames


def _batch(row: Row) -> float:
    return row.case.batch


def _latency(row: Row) -> tuple[float, float | None, float | None]:
    timing = row.measured.timing
    return timing.median_ms, timing.ci95_low_ms, timing.ci95_high_ms


def _rtf(row: Row) -> tuple[float, float | None, float | None] | None:
    throughput = row.measured.throughput
    return None if throughput is None else (throughput.real_time_factor, None, None)


def _throughput(row: Row) -> tuple[float, float | None, float | None] | None:
    throughput = row.measured.throughput
    return None if throughput is None else (throughput.audio_s_per_s, None, None)
