"""Lengths of utterances."""

import numpy as np
import pytest

from bench.run.load.utterances import LONGEST_S, MEAN_S, SHORTEST_S, describe, lengths_frames, lengths_s
from bench.spec import V3, V4


def test_the_distribution_is_the_corpus_s() -> None:
    """Bounds and mean are those of LJ Speech's page; the standard deviation is that of the assumed concentration."""
    found = np.array(lengths_s(20_000, seed=0))
    assert found.min() >= SHORTEST_S
    assert found.max() <= LONGEST_S
    assert found.mean() == pytest.approx(MEAN_S, rel=0.01)
    share = (MEAN_S - SHORTEST_S) / (LONGEST_S - SHORTEST_S)
    assert found.std() == pytest.approx((LONGEST_S - SHORTEST_S) * (share * (1 - share) / 5) ** 0.5, rel=0.02)


def test_frames() -> None:
    """Of each vocoder's rate; scaled, and never none."""
    seconds = lengths_s(5, seed=1)
    assert lengths_frames(5, 1, V3) == [round(length * 93.75) for length in seconds]
    assert lengths_frames(5, 1, V4) == [round(length * 100) for length in seconds]
    assert lengths_frames(5, 1, V4, 1e-6) == [1] * 5
    assert describe(1).endswith("(assumed)")
    assert describe(0.02).endswith("times 0.02")
