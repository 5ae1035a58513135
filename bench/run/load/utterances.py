"""Lengths of utterances."""

import numpy as np

from bench.spec import VocoderSpec

# LJ Speech 1.1 (keithito.com/LJ-Speech-Dataset), as its page gives them: shortest, mean and longest of 13,100 clips.
SHORTEST_S, MEAN_S, LONGEST_S = 1.11, 6.57, 10.10
# The page has no variance. This concentration of the beta distribution is an assumption; it makes 2.0 s.
CONCENTRATION = 4.0
DESCRIPTION = (
    f"{SHORTEST_S:g} to {LONGEST_S:g} s, mean {MEAN_S:g} s (LJ Speech), beta distribution of concentration "
    f"{CONCENTRATION:g} (assumed)"
)


def lengths_s(count: int, seed: int) -> list[float]:
    """Seconds of ``count`` utterances.

    >>> [round(length, 1) for length in lengths_s(3, seed=0)]
    [5.8, 3.8, 6.9]
    """
    share = (MEAN_S - SHORTEST_S) / (LONGEST_S - SHORTEST_S)
    drawn = np.random.default_rng(seed).beta(share * CONCENTRATION, (1 - share) * CONCENTRATION, count)
    return [float(value) for value in SHORTEST_S + drawn * (LONGEST_S - SHORTEST_S)]


def lengths_frames(count: int, seed: int, spec: VocoderSpec, scale: float = 1.0) -> list[int]:
    """Mel frames of ``count`` utterances, times ``scale``; at least one each."""
    frames_per_s = spec.sample_rate / spec.upsample
    return [max(1, round(length * scale * frames_per_s)) for length in lengths_s(count, seed)]


def describe(scale: float) -> str:
    """The distribution in words."""
    return DESCRIPTION if scale == 1 else f"{DESCRIPTION}, times {scale:g}"
