"""When requests are to be sent."""

import numpy as np


def poisson(rate_per_s: float, seconds: float, seed: int) -> list[float]:
    """Arrivals of a Poisson process: independent exponential gaps.

    Args:
        rate_per_s: Mean arrivals a second.
        seconds: Length of the window.
        seed: Of the gaps.

    Returns:
        Seconds from the window's start, ascending, all within it.
    """
    generator = np.random.default_rng(seed)
    # Ten standard deviations more than are expected.
    expected = rate_per_s * seconds
    count = int(expected + 10 * expected**0.5 + 10)
    times = np.cumsum(generator.exponential(1 / rate_per_s, count))
    return [float(time) for time in times[times < seconds]]


def picks(count: int, of: int, seed: int) -> list[int]:
    """Which of ``of`` utterances each of ``count`` requests asks for, all equally likely."""
    return [int(pick) for pick in np.random.default_rng([seed, 1]).integers(0, of, count)]
