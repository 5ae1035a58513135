"""One visual language for every figure: colours, marks, and SVG that follows the page's light or dark mode.

The palette is Okabe and Ito's (Color Universal Design, 2008), in an order that keeps neighbours apart.
Eager, the baseline, is always drawn in the text's colour. A backend keeps its colour and its mark in every
figure, so that no figure depends on colour alone.
"""

import base64
import io
import re
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any
from xml.etree import ElementTree as ET

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, MUTED, GRID, PAPER = "#1a1c1f", "#5b626b", "#dcdfe3", "#fdfdfe"
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MARKS = ("o", "s", "^", "D", "v", "P", "X")
_VARIABLES = {INK: "--ink", MUTED: "--muted", GRID: "--line", PAPER: "--paper"} | {
    colour: f"--series-{index}" for index, colour in enumerate(SERIES)
}
_COLOUR = re.compile("|".join(_VARIABLES), re.IGNORECASE)
_SVG = "http://www.w3.org/2000/svg"
_LINK = "{http://www.w3.org/1999/xlink}href"
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_SETTINGS: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    "text.parse_math": False,
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.labelcolor": MUTED,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "lines.markersize": 4.5,
    "figure.constrained_layout.use": True,
}


def house() -> AbstractContextManager[None]:
    """The settings that every figure is drawn and saved under."""
    return rc_context(_SETTINGS)


def figure(width: float, height: float, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Figure, list[Axes]]:
    """A figure of a size in inches and its axes, row by row; to be called under :func:`house`."""
    drawing = Figure(figsize=(width, height))
    return drawing, list(drawing.subplots(rows, columns, squeeze=False, **options).flat)


def marks(backends: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Colour and mark of every backend, the same for the whole report."""
    others = sorted(set(backends) - {"eager"})
    table = {name: (SERIES[i % len(SERIES)], MARKS[1 + i % (len(MARKS) - 1)]) for i, name in enumerate(others)}
    return {"eager": (INK, MARKS[0]), **table}


def to_svg(drawing: Figure, name: str, title: str, description: str) -> Markup:
    """A figure as inline SVG.

    Args:
        drawing: The figure, still under :func:`house`.
        name: Unique in the page; prefixes every id in the SVG.
        title: Accessible name.
        description: What a reader who cannot see the figure should know.

    Returns:
        Markup with text as text, colours as CSS variables that fall back to the light ones, and no id but
        those that are referred to.
    """
    stream = io.StringIO()
    drawing.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    root = ET.fromstring(stream.getvalue())  # noqa: S314 - written two lines above
    for metadata in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(metadata)
    used = _referred(root)
    for element in root.iter():
        _rewrite(element, name, used)
    width = float(root.attrib["viewBox"].split()[2])
    for attribute in ("width", "height", "version"):
        root.attrib.pop(attribute, None)
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title {name}-desc")
    root.set("style", f"max-width:{width * 1.4:.0f}px")
    for index, (tag, text) in enumerate((("title", title), ("desc", description))):
        label = ET.Element(f"{{{_SVG}}}{tag}", {"id": f"{name}-{tag}"})
        label.text = text
        root.insert(index, label)
    return Markup(ET.tostring(root, encoding="unicode"))  # noqa: S704 - ElementTree escapes text


def name_point(axes: Axes, words: str, x: float, y: float, up: float = 0) -> None:
    """Writes a label to the right of a point, ``up`` points higher than it."""
    axes.annotate(words, (x, y), xytext=(7, 1 + up), textcoords="offset points", va="center", fontsize=8)


def _referred(root: ET.Element) -> set[str]:
    found = set()
    for element in root.iter():
        for value in element.attrib.values():
            found.update(_REFERENCE.findall(value))
        link = element.get(_LINK, "")
        if link.startswith("#"):
            found.add(link[1:])
    return found


def _rewrite(element: ET.Element, name: str, used: set[str]) -> None:
    identity = element.attrib.pop("id", None)
    if identity in used:
        element.set("id", f"{name}-{identity}")
    link = element.get(_LINK, "")
    if link.startswith("#"):
        element.set(_LINK, f"#{name}-{link[1:]}")
    for attribute in ("style", "clip-path", "fill", "stroke"):
        value = element.get(attribute)
        if value:
            value = _REFERENCE.sub(rf"url(#{name}-\1)", value)
            if attribute == "style":
                value = _COLOUR.sub(_as_variable, value)
            element.set(attribute, value)


def _as_variable(match: re.Match[str]) -> str:
    colour = match.group().lower()
    return f"var({_VARIABLES[colour]}, {colour})"


def data_uri(content: bytes, kind: str) -> str:
    """Bytes as a ``data:`` URI of a media type."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
