"""A drawn figure, or the sentence that stands in for it."""

from dataclasses import dataclass

from markupsafe import Markup


@dataclass(frozen=True)
class Plot:
    """One figure of one group of rows.

    Attributes:
        name: Anchor in the page.
        title: What it shows and of what.
        group: Vocoder and device.
        weights: Which weights ran; shown beside the title.
        caption: How to read it.
        svg: The drawing; empty where there was nothing to draw.
        missing: Why there is no drawing.
    """

    name: str
    title: str
    group: str
    weights: str
    caption: str
    svg: Markup
    missing: str = ""


@dataclass(frozen=True)
class Plots:
    """The figures that answer one question, one for each group."""

    title: str
    plots: tuple[Plot, ...]
