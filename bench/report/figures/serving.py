"""Figures of load: how long answers take, how many come, and what memory the service holds."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from bench.records.kinds.load import Load, LoadPoint, MemoryPoint
from bench.records.rows import Group, Row
from bench.report.figures.curves import Scale, Tip, curves
from bench.report.figures.plot import Drawing, Key
from bench.report.figures.series import keys, point
from bench.report.figures.vega import MUTED, Spec
from bench.report.text import MIB, number
from bench.run.load.saturation import TTFP_LIMIT_MS

ONE_BY_ONE = ", no batches"
_MEMORY_POINTS = 120
_X = {
    "open": Scale("offered, requests/s", measured=False),
    "closed": Scale("clients", format="~r"),
    "speakers": Scale("speakers", format="~r"),
}
_CAPTIONS = {
    "open": "Requests come at random times, whatever the answers do.",
    "closed": "A client asks again when it has its answer.",
    "speakers": "A speaker plays each stream to its end before it asks for the next.",
}
_TIPS = (Tip("answered", "answered"), Tip("batch", "requests a batch"))
_Series = list[tuple[Row, Key, Load, bool]]


def latency(loop: str, group: Group, rows: Sequence[Row]) -> Drawing | str:
    """Percentiles of the time to the last byte, or to the first audio of a speaker's stream, against the load."""
    what, field = ("first audio", "audio_ttfp") if loop == "speakers" else ("latency", "latency")
    series = _series(group, rows)
    points = []
    for row, key, one in _points(series, loop):
        p50, p90, p99 = (getattr(one, f"{field}_p{percent}_ms") for percent in (50, 90, 99))
        if p50:
            points.append(point(row, key, x=_load(one), y=p50, p90=p90, p99=p99, **_told(one)))
    if not points:
        return f"Not drawn: no {what} under such a load was recorded."
    tips = [Tip(f"p{percent}", f"p{percent}, ms", ".4~g") for percent in (90, 99)]
    words = (
        f"{_CAPTIONS[loop]} With markers: p50; the thinner lines above it are p90, which needs 64 answers, and p99, "
    )
    words += "which needs 662."
    beside = [_thin("p90", 1.2), _thin("p99", 0.7)]
    if loop == "open":
        beside += _saturations(series)
        words += _saturated(series)
    elif loop == "speakers":
        beside.append(_limit())
        words += f" Dashed: {number(TTFP_LIMIT_MS)} ms, by which 99 of 100 streams have to begin."
    return _drawn(series, points, _X[loop], Scale(f"{what}, ms"), words, (*tips, *_TIPS), beside)


def answers(group: Group, rows: Sequence[Row]) -> Drawing | str:
    """Requests that were answered a second against those that were offered."""
    series = _series(group, rows)
    points = [
        point(row, key, x=_load(one), y=one.requests_per_s, **_told(one))
        for row, key, one in _points(series, "open")
        if one.requests_per_s > 0
    ]
    if not points:
        return "Not drawn: no open loop was recorded."
    ends = [pick(item["x"] for item in points) for pick in (min, max)]
    even = {"values": [{"name": "", "x": end, "y": end} for end in ends]}
    mark = {"type": "line", "color": MUTED, "strokeDash": [2, 3], "strokeWidth": 1}
    beside: list[Spec] = [{"data": even, "mark": mark, "encoding": {"color": {"value": MUTED}}}, *_saturations(series)]
    words = f"{_CAPTIONS['open']} Dotted: every request is answered.{_saturated(series)}"
    return _drawn(series, points, _X["open"], Scale("answered, requests/s"), words, _TIPS, beside)


def throughput(group: Group, rows: Sequence[Row]) -> Drawing | str:
    """Seconds of audio that are answered a second against the number of clients."""
    series = _series(group, rows)
    points = [
        point(row, key, x=_load(one), y=one.audio_throughput, **_told(one))
        for row, key, one in _points(series, "closed")
    ]
    if not points:
        return "Not drawn: no closed loop was recorded."
    y = Scale("seconds of audio per second", log=False)
    return _drawn(series, points, _X["closed"], y, f"{_CAPTIONS['closed']} Higher is better.", _TIPS)


def memory(what: str, group: Group, rows: Sequence[Row]) -> Drawing | str:
    """Memory of the service and its workers over time: ``rss_bytes`` or ``gpu_bytes``."""
    series = [one for one in _series(group, rows) if one[3]]
    points = [
        point(row, key, x=one.at_s, y=getattr(one, what) / MIB)
        for row, key, load, _ in series
        for one in _few(load.memory)
        if getattr(one, what) is not None
    ]
    if len(points) < 2:
        return "Not drawn: no such memory was read over time."
    grown = [
        f"{key.name} {number(load.memory_growth_bytes_per_h / MIB)} MiB an hour"
        for _, key, load, _ in series
        if what == "rss_bytes" and load.memory_growth_bytes_per_h is not None
    ]
    soak = f" Growth of the resident memory over the soak's second half: {'; '.join(grown)}." if grown else ""
    words = f"The service with batches, through all of its points; read every few seconds.{soak}"
    x = Scale("seconds since the service was ready", log=False, measured=False, format="~r")
    return _drawn(series, points, x, Scale("MiB", log=False), words)


FIGURES = (
    ("load-latency", "Latency against offered rate", partial(latency, "open")),
    ("load-answers", "Answers against offered rate", answers),
    ("load-clients", "Latency against clients", partial(latency, "closed")),
    ("load-throughput", "Throughput against clients", throughput),
    ("load-speakers", "First audio against speakers", partial(latency, "speakers")),
    ("load-rss", "Memory of the service over time", partial(memory, "rss_bytes")),
    ("load-gpu", "GPU memory of the service over time", partial(memory, "gpu_bytes")),
)


def _series(group: Group, rows: Sequence[Row]) -> _Series:
    """Each configuration with batches, and after it the same without, as an entry of its own."""
    found: _Series = []
    legend = keys(group, rows)
    for row in {row.configuration: row for row in rows}.values():
        key, load = legend.get(row.configuration), row.answer(Load)
        if key is not None and load is not None:
            found.append((row, key, load, True))
            alone = replace(key, name=key.name + ONE_BY_ONE, title=key.title + ONE_BY_ONE, dash=(2, 3))
            found.append((row, alone, load, False))
    return found


def _points(series: _Series, loop: str) -> list[tuple[Row, Key, LoadPoint]]:
    """The points of a loop by their load; where a load was measured again, the later ones."""
    found = []
    for row, key, load, batching in series:
        mine = {_load(one): one for one in load.points if (one.loop, one.batching) == (loop, batching)}
        found += [(row, key, mine[at]) for at in sorted(mine) if at > 0]
    return found


def _load(one: LoadPoint) -> float:
    return one.offered_per_s or one.clients or 0


def _told(one: LoadPoint) -> dict[str, object]:
    return {"answered": f"{one.answered} of {one.requests}", "batch": number(one.batch_items_mean) or "not counted"}


def _drawn(
    series: _Series,
    points: list[dict[str, Any]],
    x: Scale,
    y: Scale,
    caption: str,
    tips: Sequence[Tip] = (),
    beside: Sequence[Spec] = (),
) -> Drawing:
    shown = {item["name"] for item in points}
    entries = tuple(key for _, key, *_ in series if key.name in shown)
    return Drawing(curves(points, entries, x, y, tips=tips, beside=beside), caption, entries)


def _thin(field: str, width: float) -> Spec:
    """A line of another percentile."""
    return {"mark": {"type": "line", "strokeWidth": width, "opacity": 0.75}, "encoding": {"y": {"field": field}}}


def _rates(series: _Series) -> list[tuple[Key, float]]:
    found = ((key, load.saturation_per_s if on else load.saturation_unbatched_per_s) for _, key, load, on in series)
    return [(key, rate) for key, rate in found if rate]


def _saturations(series: _Series) -> list[Spec]:
    """An upright at the saturation of each entry."""
    values = [{"name": key.name, "x": rate} for key, rate in _rates(series)]
    mark = {"type": "rule", "strokeDash": [6, 4], "strokeWidth": 1.2}
    return [{"data": {"values": values}, "mark": mark, "encoding": {"y": None}}] if values else []


def _saturated(series: _Series) -> str:
    rates = "; ".join(f"{key.name} {number(rate)}/s" for key, rate in _rates(series))
    return f" Uprights: saturation, the highest rate that the service kept up with ({rates})." if rates else ""


def _limit() -> Spec:
    mark = {"type": "rule", "color": MUTED, "strokeDash": [6, 4]}
    at = {"x": None, "y": {"field": "y", "type": "quantitative"}, "color": {"value": MUTED}}
    return {"data": {"values": [{"name": "", "y": TTFP_LIMIT_MS}]}, "mark": mark, "encoding": at}


def _few(points: Sequence[MemoryPoint]) -> list[MemoryPoint]:
    """At most 120, evenly chosen, the first and the last among them."""
    if len(points) <= _MEMORY_POINTS:
        return list(points)
    return [points[place * (len(points) - 1) // (_MEMORY_POINTS - 1)] for place in range(_MEMORY_POINTS)]
