"""Rounds as a strip."""

import re

import pytest

from bench.report.strip import strip, strips


def heights(svg: str) -> list[float]:
    """Height of every point over the bottom, from 0 to 1."""
    return [(37 - float(y)) / 34 for _, y in re.findall(r"M([\d.]+) ([\d.]+)h0", svg)]


def test_every_round_has_its_height_and_place() -> None:
    """The shortest round lies at the bottom, the longest at the top, in the order in which they were taken."""
    assert heights(str(strip([1.0, 3.0, 2.0]))) == pytest.approx([0.0, 1.0, 0.5], abs=0.01)


def test_both_strips_share_a_scale() -> None:
    """Rounds twice as long lie above all of the base's."""
    found = strips([1.0, 1.1], [2.0, 2.1])
    assert max(heights(str(found.before))) < min(heights(str(found.after)))
    assert (found.low, found.high) == (1.0, 2.1)


def test_many_and_no_rounds_are_drawn() -> None:
    """A long run is thinned evenly, one round lies in the middle, and none is no error."""
    assert len(heights(str(strip(list(map(float, range(5000))))))) == 240
    assert heights(str(strip([1.0]))) == pytest.approx([0.5], abs=0.01)
    assert heights(str(strip([]))) == []
