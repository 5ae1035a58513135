"""Bisection towards a planted limit."""

import asyncio

import pytest

from bench.run.load.saturation import bisect


def search(
    limit: float, low: float, high: float, probes: int, *, whole: bool = False
) -> tuple[float | None, list[float]]:
    """What is found, and what was tried."""
    tried: list[float] = []

    async def holds(value: float) -> bool:
        tried.append(value)
        return value <= limit

    return asyncio.run(bisect(holds, low, high, probes, whole=whole)), tried


@pytest.mark.parametrize("limit", [1.0, 3.7, 12.9, 15.9])
def test_a_limit_is_found_from_below(limit: float) -> None:
    """Within one part in a hundred after twelve probes; what is found has held."""
    found, tried = search(limit, 1.0, 16.0, 12)
    assert found is not None
    assert 0.99 * limit <= found <= limit
    assert found in tried
    assert len(tried) <= 12


def test_ends() -> None:
    """Nothing holds, everything holds, no probes."""
    assert search(0.5, 1.0, 16.0, 8)[0] is None
    assert search(99.0, 1.0, 16.0, 8)[0] == 16.0
    assert search(99.0, 1.0, 16.0, 0) == (None, [])


def test_whole_numbers() -> None:
    """No number is tried twice."""
    found, tried = search(11.5, 1, 64, 20, whole=True)
    assert found == 11
    assert len(tried) == len(set(tried))
    assert all(value == int(value) for value in tried)
