"""Figures of sound: what speed costs in sound, and error by band."""

import math
import re
import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

from bench.records.facts import facts_of
from bench.records.rows import FAIL, PASS, Group
from bench.records.schema import Sound
from bench.report.figures.curves import channels
from bench.report.figures.plot import Drawing
from bench.report.figures.scatter import Axis, scatter
from bench.report.figures.series import headline, keys, point
from bench.report.figures.vega import MUTED, Spec

BANDS = tuple(name for name in facts_of(Sound) if re.fullmatch(r"lsd_\d+_\d+_db", name))
_QUIETEST_DB = 0.005


def trade(group: Group) -> Drawing | str:
    """Latency against what is heard, with the tiers shaded; against SNR where nothing heard was measured."""
    rows = [row for row in headline(group) if row.configuration != "eager fp32"]
    judged = [(row, group.gate(row.configuration)) for row in rows]
    heard = any(judgement.value("heard_db") is not None for _, judgement in judged)
    path = "heard_db" if heard else "snr_db"
    pairs = [(row, value) for row, judgement in judged if (value := judgement.value(path)) is not None]
    pairs = [(row, value) for row, value in pairs if math.isfinite(value)]
    if not pairs:
        return "Not drawn: no timed configuration has a judged sound at the headline shape."
    legend = keys(group, [row for row, _ in pairs])
    pairs = [(row, value) for row, value in pairs if row.configuration in legend]
    places = [(row, row.median_ms, max(value, _QUIETEST_DB) if heard else value) for row, value in pairs]
    title = "heard change, dB (louder is worse)" if heard else "SNR against eager fp32, dB"
    found = scatter(
        places, legend, Axis("latency, ms"), Axis(title, log=heard, reverse=not heard), _shades(group) if heard else []
    )
    case = pairs[0][0].case
    caption = f"Batch {case.batch}, {case.frames} frames; the sound is that of the judged shape that decided. "
    caption += "Lower and further left is better. "
    caption += (
        "Shaded: where the tier of lower precisions warns, and where it fails."
        if heard
        else "Records of this run have no heard change, so SNR stands in: it tells nothing of what is heard."
    )
    return Drawing(found, caption, tuple(legend.values()), numbered=True)


def _shades(group: Group) -> list[Spec]:
    """Where the tier warns and where it fails, as areas under the points."""
    limits = heard_limits()
    top = max(4.0, *(group.gate(row.configuration).value("heard_db") or 0.0 for row in group.rows))
    areas = (
        (limits["warn"], limits["fail"], "may be heard side by side", "var(--series-4, #b87800)"),
        (limits["fail"], top, "heard: fails", "var(--bad, #a63a00)"),
    )
    found: list[Spec] = []
    for low, high, words, colour in areas:
        one: dict[str, Any] = {"values": [{"low": low, "high": high, "words": words, "name": ""}]}
        place = {"y": {"field": "low", "type": "quantitative"}, "y2": {"field": "high"}}
        found.append({"data": one, "mark": {"type": "rect", "opacity": 0.12, "color": colour}, "encoding": place})
        text = {"type": "text", "align": "left", "baseline": "top", "dx": 6, "dy": 4, "color": MUTED}
        at = {"y": {"field": "high", "type": "quantitative"}, "x": {"value": 0}, "text": {"field": "words"}}
        found.append({"data": one, "mark": text, "encoding": at})
    return found


@cache
def heard_limits() -> dict[str, float]:
    """The limits on the heard change in the tier of float16, in dB."""
    tiers = tomllib.loads((files("bench") / "quality" / "tiers.toml").read_text(encoding="utf-8"))
    limits: dict[str, float] = tiers["precision"]["fp16"]["heard_db"]
    return limits


def bands(group: Group) -> Drawing | str:
    """Log-spectral distance of every judged configuration by band."""
    rows = {row.configuration: row for row in (*group.rows, *group.judged)}
    rows = {name: row for name, row in rows.items() if group.gate(name).verdict in (PASS, "warn", FAIL)}
    legend = keys(group, rows.values())
    titles = {key: "{} to {} kHz".format(*key.split("_")[1:3]) for key in BANDS}
    points = [
        point(rows[name], key, band=title, error=value)
        for name, key in legend.items()
        for path, title in titles.items()
        if (value := group.gate(name).value(path)) is not None
    ]
    if not points:
        return "Not drawn: no configuration's error was measured by band."
    entries = tuple(key for key in legend.values() if any(item["name"] == key.name for item in points))
    both = channels(entries)
    tip = [{"field": name, "type": "nominal"} for name in ("name", "band", "case")]
    tip.append({"field": "error", "type": "quantitative", "title": "LSD, dB", "format": ".3~g"})
    order = [title for title in titles.values() if any(item["band"] == title for item in points)]
    spec: Spec = {
        "height": 260,
        "data": {"values": points},
        "encoding": {
            "x": {"field": "band", "type": "ordinal", "sort": order, "title": None, "axis": {"labelAngle": 0}},
            "y": {"field": "error", "type": "quantitative", "title": "log-spectral distance, dB"},
            "color": both["color"],
        },
        "layer": [
            {"mark": {"type": "line", "opacity": 0.5}},
            {"mark": {"type": "point"}, "encoding": {"shape": both["shape"], "tooltip": tip}},
        ],
    }
    caption = "Distance from the reference in the judged shape that decided. Lower is better."
    return Drawing(spec, caption, entries)
