"""Faults between outputs: lengths, swapped batch items, stale buffers."""

import numpy as np
import pytest

from bench.errors import InputError
from bench.quality import batch_mismatch, stale_output, wrong_shape
from tests.quality_signals import known, noisy, speech_at

RATE = 24000
ITEMS = np.stack([part[:RATE] for part in np.array_split(speech_at(RATE), 3)])


def test_a_wrong_length_fails_and_says_both() -> None:
    """One sample too few fails under the name length; the right shape has nothing to say."""
    verdict = known(wrong_shape(np.zeros((2, 99)), (2, 100)))
    assert (verdict.tier, verdict.decided_by) == ("fail", "length")
    assert verdict.reason == "the output has shape (2, 99), not (2, 100)"
    assert wrong_shape(np.zeros((2, 100)), (2, 100)) is None


def test_a_batch_that_is_its_items_has_nothing_to_say() -> None:
    """Items that equal batch 1, or differ by rounding of their precision, are fine."""
    assert batch_mismatch(ITEMS, list(ITEMS), RATE, "fp32") is None
    rounded = np.stack([noisy(item, 58.0, seed) for seed, item in enumerate(ITEMS)])
    assert batch_mismatch(rounded, list(ITEMS), RATE, "fp16") is None


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_swapped_items_are_named(precision: str) -> None:
    """Items in another order fail, and the reason says whose output the first wrong one holds."""
    verdict = known(batch_mismatch(ITEMS[[0, 2, 1]], list(ITEMS), RATE, precision))
    assert (verdict.tier, verdict.decided_by) == ("fail", "batch_item")
    assert verdict.reason == "batch item 1 holds the output of item 2"


def test_a_wrong_item_is_named_with_what_is_wrong() -> None:
    """An item that is nobody's output fails with its own fault."""
    batch = ITEMS.copy()
    batch[2] *= -1
    assert known(batch_mismatch(batch, list(ITEMS), RATE, "fp16")).reason == (
        "batch item 2 differs from batch 1: the polarity is flipped"
    )
    batch[1, 5] = np.nan
    verdict = known(batch_mismatch(batch, list(ITEMS), RATE, "fp16"))
    assert "batch item 1 differs from batch 1: the output has NaN" in verdict.reason


def test_an_item_repeated_over_the_batch_is_named() -> None:
    """A batch that repeats its first item fails at the second."""
    verdict = known(batch_mismatch(ITEMS[[0, 0, 0]], list(ITEMS), RATE, "fp16"))
    assert verdict.reason == "batch item 1 holds the output of item 0"


def test_a_batch_and_its_singles_have_to_be_as_many() -> None:
    """Two singles for three items is an error of the caller."""
    with pytest.raises(InputError, match="a batch of 3 is checked against 2 single outputs"):
        batch_mismatch(ITEMS, list(ITEMS[:2]), RATE, "fp16")


def test_a_stale_output_is_caught() -> None:
    """Two different mels with one output fail; different outputs, however close, do not."""
    verdict = known(stale_output(ITEMS[0], ITEMS[0].copy()))
    assert (verdict.tier, verdict.decided_by) == ("fail", "stale_output")
    assert stale_output(ITEMS[0], np.nextafter(ITEMS[0], 1.0)) is None
    assert stale_output(ITEMS[0], ITEMS[0][:-1]) is None
