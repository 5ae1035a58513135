"""A mel in chunks, each vocoded with its halo as an item of its own, so that streams share batches with the rest."""

from collections.abc import AsyncIterator, Awaitable, Callable

from bench.serve.engine import Facts, Samples
from bench.serve.items import Answer


async def stream(
    vocode: Callable[[Samples], Awaitable[Answer]], mel: Samples, chunk_frames: int, facts: Facts
) -> AsyncIterator[Answer]:
    """The chunks of an utterance in order, equal to the whole but for rounding.

    Args:
        vocode: Vocodes one mel.
        mel: ``(bands, frames)``.
        chunk_frames: Frames of a chunk; at least 1.
        facts: Of the vocoder.
    """
    frames, halo, upsample = mel.shape[1], facts.halo, facts.upsample
    for start in range(0, frames, chunk_frames):
        end = min(start + chunk_frames, frames)
        left, right = max(start - halo, 0), min(end + halo, frames)
        answer = await vocode(mel[:, left:right])
        own = answer.wave[(start - left) * upsample : (end - left) * upsample]
        yield Answer(own, answer.backend, answer.fallback, answer.queue_s, answer.run_s, answer.items)
