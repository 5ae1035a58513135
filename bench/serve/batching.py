"""Batches of mels of different lengths in which every item has the sound that it has alone.

A batch is padded at its end. Padding changes the last frames of a shorter item, as far as the network sees, because
alone its own end would be there. Those frames are computed a second time: the last ``2 * halo`` frames of every padded
item make a second, small batch of one length, of which the last ``halo`` frames are kept.

::

    item       |=========================|
    padded     |=========================|........|      frames up to the halo before the end are right
    tail                         |-------|=======|       the last of them from a batch of tails, whose end is the item's
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from bench.audio.mel import LOG_FLOOR
from bench.serve.settings import BatchLimits


def rounded_up(frames: int, step: int) -> int:
    """The next multiple of ``step``.

    >>> rounded_up(130, 64)
    192
    """
    return -(-frames // step) * step


def choose_batch(lengths: Sequence[int], limits: BatchLimits, halo: int, step: int = 1) -> list[int]:
    """Which waiting items run together: the oldest, and those nearest to it in length while the limits hold.

    The oldest is always among them, so that none waits for ever.

    Args:
        lengths: Frames of the waiting items, the oldest first; at least one.
        limits: Of one inference.
        halo: Frames at an end that padding would change; items of up to twice as many run with their like only.
        step: Batches are padded to a multiple of it.

    Returns:
        Indices in ascending order.

    >>> choose_batch([100, 400, 104, 96], BatchLimits(frames=330), halo=12)
    [0, 2, 3]
    >>> choose_batch([100, 100], BatchLimits(frames=0), halo=12)
    [0]
    """
    head = lengths[0]
    chosen, longest, total = [0], head, head
    for index in sorted(range(1, len(lengths)), key=lambda i: (abs(lengths[i] - head), i)):
        length = lengths[index]
        if min(length, head) <= 2 * halo and length != head:
            continue
        new_longest, new_total = max(longest, length), total + length
        padded = rounded_up(new_longest, step) * (len(chosen) + 1)
        fits = len(chosen) < limits.items and padded <= limits.frames
        if not fits or 1 - new_total / (new_longest * (len(chosen) + 1)) > limits.padding:
            break
        chosen.append(index)
        longest, total = new_longest, new_total
    return sorted(chosen)


def vocode_batch(
    run: Callable[[Tensor], Tensor], mels: Sequence[Tensor], halo: int, upsample: int, step: int = 1
) -> list[Tensor]:
    """Vocodes mels in one batch, each to the waveform that it has alone, but for rounding.

    Args:
        run: Vocoder, ``(batch, bands, frames)`` to ``(batch, 1, frames * upsample)``; may reuse its output's memory.
        mels: ``(bands, frames)`` each; of one length, or each longer than twice the halo.
        halo: Frames after a frame that its samples depend on, or before, whichever is more.
        upsample: Samples a frame.
        step: The batch is padded to a multiple of it where every mel is longer than twice the halo.

    Returns:
        ``(frames * upsample,)`` each, copies of their own.

    Raises:
        ValueError: a mel that is too short to be padded.
    """
    lengths = [mel.shape[-1] for mel in mels]
    short = min(lengths) <= 2 * halo
    longest = max(lengths) if short else rounded_up(max(lengths), step)
    if short and min(lengths) != longest:
        raise ValueError(f"mels of {min(lengths)} and {longest} frames cannot be one batch")
    batch = mels[0].new_full((len(mels), mels[0].shape[0], longest), LOG_FLOOR)
    for row, mel in zip(batch, mels, strict=True):
        row[:, : mel.shape[-1]] = mel
    waves = [wave[0, : n * upsample].clone() for wave, n in zip(run(batch), lengths, strict=True)]
    padded = [index for index, length in enumerate(lengths) if length < longest]
    if padded:
        ends = run(torch.stack([mels[index][:, -2 * halo :] for index in padded]))
        for index, end in zip(padded, ends, strict=True):
            waves[index][-halo * upsample :] = end[0, -halo * upsample :]
    return waves
