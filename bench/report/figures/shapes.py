"""Vega's point shapes as SVG, for legends."""

from collections.abc import Callable

from markupsafe import Markup

_PATHS = {
    "circle": "M8 7a5 5 0 1 0 10 0a5 5 0 1 0-10 0Z",
    "square": "M8.5 2.5h9v9h-9Z",
    "diamond": "M13 1l5 6l-5 6l-5-6Z",
    "triangle-up": "M13 1.5l5.5 10h-11Z",
    "triangle-down": "M13 12.5l5.5-10h-11Z",
    "triangle-right": "M18.5 7l-10-5.5v11Z",
    "cross": "M11 2h4v3h3v4h-3v3h-4v-3h-3v-4h3Z",
    "stroke": "M8 6h10v2h-10Z",
}


def _mark(path: str) -> Callable[[str], Markup]:
    def mark(colour: str) -> Markup:
        return Markup('<path d="{}" fill="{}"/>').format(path, colour)

    return mark


SHAPES = {name: _mark(path) for name, path in _PATHS.items()}
"""A function for each shape, from a CSS colour to markup in a box 26 wide and 14 high."""
