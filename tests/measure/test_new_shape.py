"""The cost of a new shape is that of the first call at a length that nothing ran before."""

import time
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from bench.measure.clock import Duration, WallClock
from bench.measure.new_shape import CALLS, FEWEST_CALLS, LIMIT_MS, REACH, measure_new_shape, unseen


def test_the_nearest_length_that_is_new_and_taken() -> None:
    """Longer first, then shorter; lengths that were run or that the runner refuses are passed over."""
    assert unseen(23, set(), lambda _: True) == 24
    assert unseen(23, {24}, lambda _: True) == 22
    assert unseen(23, {24, 22}, lambda frames: frames < 23) == 21
    assert unseen(1, set(), lambda frames: frames <= 1) is None
    assert unseen(23, set(range(100)), lambda _: True) is None
    assert unseen(100, set(range(100 - REACH, 101 + REACH)), lambda _: True) is None


def test_the_first_call_is_told_from_those_after_it() -> None:
    """A runner that sleeps 50 ms at its first call costs about that."""
    calls: list[None] = []

    def call() -> Tensor:
        calls.append(None)
        if len(calls) == 1:
            time.sleep(0.05)
        return torch.zeros(1)

    found = measure_new_shape(call, 24, WallClock())
    assert len(calls) == CALLS + 1
    assert found.frames == 24
    assert found.first_ms >= 50.0
    assert found.cost_ms == pytest.approx(found.first_ms - found.seen_ms)
    assert found.seen_ms < 40.0


def test_long_calls_are_made_twice() -> None:
    """Calls of most of a second are not made five times more."""

    class Slow(WallClock):
        def time_ms(self, call: Callable[[], Tensor]) -> Duration:
            return super().time_ms(call)._replace(host_ms=LIMIT_MS * 0.9)

    calls: list[None] = []

    def call() -> Tensor:
        calls.append(None)
        return torch.zeros(1)

    assert measure_new_shape(call, 24, Slow()).cost_ms == 0.0
    assert len(calls) == FEWEST_CALLS + 1
