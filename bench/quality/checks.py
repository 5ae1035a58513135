"""Faults that show only between outputs: a wrong length, a batch that is not its items, a stale buffer.

Each check returns a failed :class:`~bench.quality.verdict.Verdict`, or None when there is nothing to say.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from bench.errors import InputError
from bench.quality.fidelity import compare
from bench.quality.verdict import FAIL, Verdict, judge


def wrong_shape(output: ArrayLike, expected: tuple[int, ...]) -> Verdict | None:
    """Fails an output whose shape is not the one that the mel calls for.

    >>> wrong_shape(np.zeros(99), (100,)).reason
    'the output has shape (99,), not (100,)'
    """
    shape = np.shape(output)
    if shape == expected:
        return None
    return Verdict(FAIL, "length", f"the output has shape {shape}, not {expected}")


def batch_mismatch(
    batched: ArrayLike, singles: Sequence[ArrayLike], sample_rate: int, precision: str
) -> Verdict | None:
    """Fails a batch in which an item is not what the same mel gave alone.

    An item passes when it would pass or warn as an output of its precision, against its own batch-1 output; kernels
    differ between batch sizes, so that bits may.

    Args:
        batched: ``(batch, samples)``.
        singles: Batch-1 outputs ``(samples,)``, in the order of the batch, from different mels.
        sample_rate: Hz.
        precision: Of both, as for :func:`~bench.quality.verdict.judge`.

    Raises:
        InputError: another number of singles than items.
    """
    items = np.atleast_2d(np.asarray(batched))
    alone = [np.asarray(single).reshape(-1) for single in singles]
    if len(alone) != len(items):
        raise InputError(f"a batch of {len(items)} is checked against {len(alone)} single outputs; give one each")
    for index, (item, single) in enumerate(zip(items, alone, strict=True)):
        wrong = wrong_shape(item, single.shape)
        verdict = wrong or judge(compare(single, item, sample_rate), precision)
        if verdict.tier != FAIL:
            continue
        others = (other for other in range(len(alone)) if other != index)
        match = next((other for other in others if _same(alone[other], item, sample_rate, precision)), None)
        if match is not None:
            return Verdict(FAIL, "batch_item", f"batch item {index} holds the output of item {match}")
        return Verdict(FAIL, "batch_item", f"batch item {index} differs from batch 1: {verdict.reason}")
    return None


def _same(reference: np.ndarray, test: np.ndarray, sample_rate: int, precision: str) -> bool:
    return reference.shape == test.shape and judge(compare(reference, test, sample_rate), precision).tier != FAIL


def stale_output(first: ArrayLike, second: ArrayLike) -> Verdict | None:
    """Fails two outputs of different mels that are equal: the second call returned the first one's buffer.

    Copy the first output before the second call; two views of one buffer are always equal.
    """
    pair = np.asarray(first), np.asarray(second)
    if pair[0].shape != pair[1].shape or not np.array_equal(*pair):
        return None
    return Verdict(FAIL, "stale_output", "two different mels gave the same output: the second is a stale buffer")
