"""Memory is seen by the witness that can see it, and blank where none can."""

import gc

import numpy as np
import pytest
import torch

from bench.measure.memory import MemoryMeter, RssPeak, trim

PLANTED = 200 * 2**20


@pytest.fixture(autouse=True)
def _nothing_left_to_free() -> None:
    """What earlier tests left behind goes back before a test weighs anything, not while it does."""
    gc.collect()
    trim()


def allocate() -> None:
    """Touches every page of 200 MiB and lets it go again."""
    block = np.ones(PLANTED, dtype=np.uint8)
    # Long enough for a poll; numpy gives up the lock while it sums.
    assert int(block.sum()) == PLANTED
    del block


def test_a_passing_allocation_is_the_peak() -> None:
    """200 MiB that come and go inside are seen, and do not count as lasting."""
    with RssPeak() as quiet:
        pass
    with RssPeak() as loud:
        allocate()
    assert 0.95 * PLANTED < loud.peak_bytes - quiet.peak_bytes < 1.5 * PLANTED


def test_an_error_inside_ends_the_polling() -> None:
    """The polling thread ends with its block, also when the block raises."""
    watch = RssPeak()
    try:
        with watch:
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    assert not watch._thread.is_alive()
    assert watch.peak_bytes > 0


def test_a_cpu_case_has_resident_sets_only() -> None:
    """On a CPU the resident set is weighed over the given calls, and every GPU figure is blank."""
    calls = []

    def call() -> None:
        calls.append(1)
        allocate()

    memory = MemoryMeter(torch.device("cpu")).weigh(call, runs=3)
    assert len(calls) == 3
    assert memory.rss_delta_bytes is not None
    assert memory.rss_peak_bytes is not None
    assert 0.95 * PLANTED < memory.rss_delta_bytes < 1.5 * PLANTED
    assert memory.rss_peak_bytes > memory.rss_delta_bytes
    gpu = (
        memory.allocated_peak_bytes,
        memory.reserved_peak_bytes,
        memory.model_bytes,
        memory.process_gpu_bytes,
        memory.device_delta_bytes,
    )
    assert gpu == (None,) * 5
