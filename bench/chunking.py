"""Vocoding in chunks: exactly, with a halo as wide as the network sees, and as GPT-SoVITS joins its chunks.

::

    mel      |----------------- frames -----------------|
    chunk          halo |=== chunk ===| halo              vocoded together, halo cut off
    result              |=== chunk ===|                   equal to the same stretch of the whole utterance
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.audio.mel import LOG_FLOOR
from bench.errors import InputError
from bench.vocoders import Vocoder
from bench.vocoders.alias_free import TAPS, AliasFreeActivation
from bench.vocoders.bigvgan import AmpBlock
from bench.vocoders.hifigan import ResBlock

# GPT-SoVITS's ``sola_algorithm``: samples that it looks for the best join in.
SOLA_SEARCH = 320


@dataclass(frozen=True)
class Reach:
    """Frames before and after a frame that its samples depend on."""

    left: int
    right: int

    @property
    def halo(self) -> int:
        """The larger side."""
        return max(self.left, self.right)


def receptive_field(vocoder: Vocoder) -> Reach:
    """What the samples of one frame depend on, from the layers' kernels, strides and dilations.

    The interval of samples that a frame becomes is followed backwards through the network to the interval of
    frames that it is computed from.

    >>> from bench.vocoders import load_vocoder
    >>> receptive_field(load_vocoder("v4"))
    Reach(left=12, right=12)
    """
    kernels = len(vocoder.config.resblock_kernel_sizes)
    low, high = 0, vocoder.spec.upsample - 1
    tail = _radius(vocoder.conv_post) + sum(
        _radius(module) for module in vocoder.children() if isinstance(module, AliasFreeActivation)
    )
    low, high = low - tail, high + tail
    for stage in reversed(range(len(vocoder.ups))):
        blocks = vocoder.resblocks[stage * kernels : (stage + 1) * kernels]
        widest = max(_radius(block) for block in blocks)
        low, high = low - widest, high + widest
        up = next(module for module in vocoder.ups[stage].modules() if isinstance(module, nn.ConvTranspose1d))
        size, rate, padding = up.kernel_size[0], up.stride[0], int(up.padding[0])
        # Sample n is made from inputs i with 0 <= n + padding - i * rate < size.
        low, high = -((size - 1 - padding - low) // rate), (high + padding) // rate
    first = _radius(vocoder.conv_pre)
    return Reach(left=first - low, right=high + first)


def _radius(module: nn.Module) -> int:
    """Samples on either side that a length-preserving module's output depends on."""
    if isinstance(module, nn.Conv1d):
        return (module.kernel_size[0] - 1) // 2 * module.dilation[0]
    if isinstance(module, AliasFreeActivation):
        # Up and down: half a filter each at twice the rate, less the sample in the middle.
        return TAPS // 2 - 1
    if isinstance(module, AmpBlock | ResBlock):
        return sum(_radius(m) for m in module.modules() if isinstance(m, nn.Conv1d | AliasFreeActivation))
    raise TypeError(f"no receptive field is known for {type(module).__name__}")


def vocode_chunked(run: Callable[[Tensor], Tensor], mel: Tensor, chunk_frames: int, halo: int, upsample: int) -> Tensor:
    """Vocodes chunk by chunk; with the halo of :func:`receptive_field`, equal to the whole but for rounding.

    Args:
        run: Vocoder, ``(batch, bands, frames)`` to ``(batch, 1, frames * upsample)``, of any length.
        mel: ``(batch, bands, frames)``.
        chunk_frames: Frames of a chunk, without its halo.
        halo: Frames computed on either side and thrown away; none beyond the utterance's own ends, where the
            network's padding belongs to the result.
        upsample: Samples a frame.

    Returns:
        ``(batch, 1, frames * upsample)``.
    """
    return torch.cat(list(stream_chunks(run, mel, chunk_frames, halo, upsample)), dim=-1)


def stream_chunks(
    run: Callable[[Tensor], Tensor], mel: Tensor, chunk_frames: int, halo: int, upsample: int
) -> Iterator[Tensor]:
    """The chunks of :func:`vocode_chunked`, one at a time.

    A chunk can be computed once the ``halo`` frames that follow it exist.

    Raises:
        InputError: a chunk without frames, a negative halo, or an empty mel.
    """
    if chunk_frames < 1 or halo < 0 or mel.shape[-1] < 1:
        raise InputError("chunks need at least one frame, a halo of at least 0 and a mel that is not empty")
    frames = mel.shape[-1]
    for start in range(0, frames, chunk_frames):
        end = min(start + chunk_frames, frames)
        left, right = max(start - halo, 0), min(end + halo, frames)
        wave = run(mel[..., left:right])
        yield wave[..., (start - left) * upsample : (end - left) * upsample]


@dataclass(frozen=True)
class Window:
    """What is vocoded for a chunk, and which of its frames are the chunk, both in frames of the utterance."""

    left: int
    right: int
    start: int
    end: int


def windows(frames: int, chunk_frames: int, halo: int, *, short_first: bool = False) -> list[Window]:
    """Chunks with a halo, every window of one length, so that one engine or graph serves all.

    A window at an end of the utterance has more than its halo on the other side, which changes nothing: a chunk has
    its whole halo or the utterance's own end on either side.

    Args:
        frames: Of the utterance.
        chunk_frames: Of a chunk.
        halo: Frames on either side.
        short_first: Whether the first window ends with its halo: sound that begins sooner, for a second length.

    Raises:
        InputError: a chunk without frames, a negative halo, or an empty utterance.

    >>> [(window.left, window.right) for window in windows(100, 40, 10)]
    [(0, 60), (30, 90), (40, 100)]
    """
    if chunk_frames < 1 or halo < 0 or frames < 1:
        raise InputError("chunks need at least one frame, a halo of at least 0 and a mel that is not empty")
    length = min(chunk_frames + 2 * halo, frames)
    found = []
    for start in range(0, frames, chunk_frames):
        end = min(start + chunk_frames, frames)
        left = min(max(start - halo, 0), frames - length)
        found.append(Window(left, left + length, start, end))
    if short_first:
        found[0] = Window(0, min(chunk_frames + halo, frames), 0, found[0].end)
    return found


def stream_windows(
    run: Callable[[Tensor], Tensor],
    mel: Tensor,
    chunk_frames: int,
    halo: int,
    upsample: int,
    *,
    short_first: bool = False,
) -> Iterator[Tensor]:
    """The chunks of :func:`stream_chunks`, vocoded in the windows of :func:`windows`.

    Raises:
        InputError: as :func:`windows`.
    """
    for window in windows(mel.shape[-1], chunk_frames, halo, short_first=short_first):
        wave = run(mel[..., window.left : window.right].contiguous())
        yield wave[..., (window.start - window.left) * upsample : (window.end - window.left) * upsample]


def cost_factor(frames: int, chunk_frames: int, halo: int) -> float:
    """Frames computed in chunks over frames of the utterance: what the halo costs.

    >>> cost_factor(100, 50, 12)
    1.24
    """
    computed = sum(
        min(start + chunk_frames + halo, frames) - max(start - halo, 0) for start in range(0, frames, chunk_frames)
    )
    return computed / frames


def pad_to_chunk(mel: Tensor, frames: int) -> Tensor:
    """Lengthens a mel with silence, which is ln(1e-5); zeros would be loud.

    Args:
        mel: ``(batch, bands, n)``.
        frames: At least n.
    """
    return F.pad(mel, (0, frames - mel.shape[-1]), value=LOG_FLOOR)


def vocode_sola(run: Callable[[Tensor], Tensor], mel: Tensor, chunk_frames: int, overlap: int, upsample: int) -> Tensor:
    """Vocodes as GPT-SoVITS's parallel inference joins its chunks: overlapped, searched, cross-faded.

    Chunks of ``chunk_frames`` start every ``chunk_frames - overlap`` frames, the first one ``overlap`` frames of
    padding early and the last one padded at its end. Their mels are laid end to end, overlaps doubled, and
    vocoded in one call; the waveform is cut into chunks again and joined. A join looks up to
    :data:`SOLA_SEARCH` samples ahead for the best normalised correlation with the end of what is there
    (Verhelst & Roelands, 1993), and cross-fades under a Hann window. At the seams the network sees a jump, and
    the result can be shorter than the whole utterance by what the searches skipped.

    Args:
        run: As for :func:`vocode_chunked`.
        mel: ``(1, bands, frames)``.
        chunk_frames: Frames of a chunk, overlap included.
        overlap: Frames that neighbours share; 12 in GPT-SoVITS.
        upsample: Samples a frame.

    Returns:
        ``(1, 1, samples)`` with at most ``frames * upsample`` samples.

    Raises:
        InputError: more than one item, or chunks not longer than twice the overlap.
    """
    if mel.shape[0] != 1 or overlap < 1 or chunk_frames <= 2 * overlap:
        raise InputError("SOLA joins one item at a time, in chunks longer than twice an overlap of at least 1")
    frames = mel.shape[-1]
    step = chunk_frames - overlap
    padded = F.pad(mel, (overlap, 0), value=LOG_FLOOR)
    count = max(1, math.ceil((padded.shape[-1] - overlap) / step))
    padded = pad_to_chunk(padded, count * step + overlap)
    chunks = [padded[..., index * step : index * step + chunk_frames] for index in range(count)]
    waves = run(torch.cat(chunks, dim=-1)).float().view(count, chunk_frames * upsample).unbind()
    length = overlap * upsample
    fade = torch.hann_window(2 * length, dtype=torch.float32, device=mel.device)
    joined: list[Tensor] = []
    tail = None
    for index, whole in enumerate(waves):
        wave = whole
        if tail is not None:
            wave = wave[_best_join(tail, wave) :].clone()
            wave[:length] = fade[:length] * wave[:length] + fade[length:] * tail
        tail = wave[-length:]
        joined.append(wave[:-length] if index < count - 1 else wave)
    return torch.cat(joined)[length:][: frames * upsample].view(1, 1, -1)


def stream_sola(
    run: Callable[[Tensor], Tensor], mel: Tensor, chunk_frames: int, overlap: int, upsample: int
) -> Iterator[Tensor]:
    """Streams with GPT-SoVITS's join: chunks vocoded alone, the next one searched and cross-faded as it comes.

    The joins are those of :func:`vocode_sola`. That one vocodes all chunks in one call, as GPT-SoVITS does, so that
    nothing can be played before everything is computed; here a chunk is given out as soon as it is there, but for the
    ``overlap`` frames that the next one is joined to.

    Args:
        run: As for :func:`vocode_chunked`; every call has ``chunk_frames + overlap`` frames.
        mel: ``(1, bands, frames)``.
        chunk_frames: New frames of a chunk.
        overlap: Frames that neighbours share; 12 in GPT-SoVITS.
        upsample: Samples a frame.

    Yields:
        ``(1, 1, samples)`` each; together at most ``frames * upsample`` samples.

    Raises:
        InputError: more than one item, or chunks that are not longer than the overlap.
    """
    if mel.shape[0] != 1 or overlap < 1 or chunk_frames <= overlap:
        raise InputError("SOLA streams one item at a time, in chunks longer than an overlap of at least 1")
    frames = mel.shape[-1]
    count = max(1, math.ceil((frames - overlap) / chunk_frames))
    padded = pad_to_chunk(mel, count * chunk_frames + overlap)
    length, left = overlap * upsample, frames * upsample
    fade = torch.hann_window(2 * length, dtype=torch.float32, device=mel.device)
    tail = None
    for index in range(count):
        start = index * chunk_frames
        wave = run(padded[..., start : start + chunk_frames + overlap].contiguous()).float().flatten()
        if tail is not None:
            wave = wave[_best_join(tail, wave) :].clone()
            wave[:length] = fade[:length] * wave[:length] + fade[length:] * tail
        # The runner may use its memory again before the next join.
        tail = wave[-length:].clone()
        ready = (wave[:-length] if index < count - 1 else wave)[:left]
        left -= len(ready)
        if len(ready):
            yield ready.view(1, 1, -1)


def _best_join(tail: Tensor, wave: Tensor) -> int:
    """Offset into ``wave`` where it continues ``tail`` best."""
    window = wave[: len(tail) + SOLA_SEARCH].view(1, 1, -1)
    correlation = F.conv1d(window, tail.view(1, 1, -1))
    energy = F.conv1d(window.square(), torch.ones_like(tail).view(1, 1, -1)) + 1e-8
    return int((correlation / energy.sqrt()).argmax())
