"""A drawn figure, or the sentence that stands in for it."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Key:
    """One entry of a figure's legend, which switches its series.

    Attributes:
        name: Short name of the configuration, as in the figure's data.
        title: Its full id.
        colour: CSS colour.
        shape: Point shape of Vega.
        dash: Dashes of its line in pixels; empty for a whole line.
    """

    name: str
    title: str
    colour: str
    shape: str
    dash: tuple[int, ...] = ()


@dataclass(frozen=True)
class Plot:
    """One figure of one group of rows.

    Attributes:
        name: Anchor in the page.
        title: What it shows and of what.
        group: Vocoder and device.
        weights: Which weights ran; shown beside the title.
        caption: How to read it.
        spec: Vega-Lite; None where there was nothing to draw.
        keys: Its legend.
        numbered: Whether points carry the numbers of their entries.
        parts: Titles and colours of the parts of its bars.
        svg: The same without scripts.
        missing: Why there is no drawing.
    """

    name: str
    title: str
    group: str
    weights: str
    caption: str = ""
    spec: dict[str, Any] | None = None
    keys: tuple[Key, ...] = ()
    numbered: bool = False
    parts: tuple[tuple[str, str], ...] = ()
    svg: str = ""
    missing: str = ""


@dataclass(frozen=True)
class Plots:
    """The figures that answer one question, one for each group."""

    title: str
    plots: tuple[Plot, ...]

    @property
    def drawn(self) -> tuple[Plot, ...]:
        """Those that have something to show."""
        return tuple(plot for plot in self.plots if not plot.missing)


@dataclass(frozen=True)
class Drawing:
    """What a figure's function returns: Vega-Lite without its looks, the caption, and its legend as of a plot."""

    spec: dict[str, Any]
    caption: str
    keys: tuple[Key, ...] = ()
    numbered: bool = False
    parts: tuple[tuple[str, str], ...] = ()
