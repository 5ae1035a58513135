"""Vega-Lite for pages: the house's looks, pictures without scripts, and the library itself as text.

Colours are CSS variables, so that a figure follows the page's light or dark mode. Figures read their data from their
own specification and ask for nothing.
"""

import re
from functools import cache
from typing import Any

import vl_convert
from markupsafe import Markup

INK, MUTED, GRID = "var(--ink, #1a1c1f)", "var(--muted, #5b626b)", "var(--line, #dcdfe3)"
PAPER = "var(--paper, #fdfdfe)"
STATIC_WIDTH = 720
_FONT = "system-ui, -apple-system, Segoe UI, Roboto, Helvetica Neue, Arial, sans-serif"
_CONFIG: dict[str, Any] = {
    "background": None,
    "font": _FONT,
    "view": {"stroke": None},
    "axis": {
        "labelColor": INK,
        "titleColor": MUTED,
        "domainColor": MUTED,
        "tickColor": MUTED,
        "gridColor": GRID,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelOverlap": "greedy",
        "titlePadding": 8,
    },
    "text": {"color": INK, "fontSize": 12},
    "line": {"strokeWidth": 1.8},
    "point": {"size": 64, "filled": True, "opacity": 1},
    "rule": {"strokeWidth": 2},
    "bar": {"opacity": 0.9},
}
# What Vega says of every mark: a picture with one label has none of its parts read out.
_SAID = re.compile(r' aria-(?:label|roledescription|hidden)="[^"]*"| role="graphics-\w+"| opacity="1"')
_TAG, _LONG = re.compile(r"<[^>]*>"), re.compile(r"\d+\.\d{3,}")
_CLIP = re.compile(r"(id=\"|url\(#)(\w+)")
Spec = dict[str, Any]


def whole(spec: Spec, description: str) -> Spec:
    """A specification with the house's looks and width, that hides what its legend has switched off.

    Args:
        spec: ``layer`` or ``mark``, ``data`` and ``encoding``; data has the field ``name`` where there is a legend.
        description: What a reader who cannot see the figure should know.
    """
    return {
        "width": "container",
        "autosize": {"type": "fit-x", "contains": "padding"},
        "description": description,
        "config": _CONFIG,
        **spec,
        "params": [{"name": "hidden", "value": []}],
        "transform": [{"filter": "indexof(hidden, datum.name) < 0"}, *spec.get("transform", [])],
    }


def static_svg(spec: Spec, name: str) -> str:
    """The figure as SVG, 720 pixels wide.

    Args:
        spec: From :func:`whole`.
        name: Unique in the page; prefixes every id.
    """
    svg = vl_convert.vegalite_to_svg({**spec, "width": STATIC_WIDTH - 90, "autosize": "pad"}, vl_version="6.4")
    svg = _TAG.sub(lambda tag: _LONG.sub(_hundredths, _SAID.sub("", tag[0])), svg)
    svg = _CLIP.sub(rf"\1{name}-\2", svg)
    head, _, rest = svg.partition(">")
    head = re.sub(r' (?:width|height)="[^"]*"', "", head)
    return f'{head} role="img" aria-label="{Markup.escape(spec["description"])}">{rest}'


def _hundredths(found: re.Match[str]) -> str:
    """A length or place in pixels, to a hundredth."""
    return f"{float(found[0]):.2f}".rstrip("0").rstrip(".")


@cache
def library(script: str) -> Markup:
    """Vega, Vega-Lite and Vega-Embed with a script that uses them, as the text of one module."""
    bundle: str = vl_convert.javascript_bundle(script, vl_version="6.4")
    return Markup(bundle.replace("</script", "<\\/script"))  # noqa: S704 - a library and a file of this package
