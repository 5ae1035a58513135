"""Batches by length: the bounds hold, and every item has the sound that it has alone."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bench.chunking import receptive_field
from bench.serve.batching import choose_batch, rounded_up, vocode_batch
from bench.serve.settings import BatchLimits
from bench.vocoders import Vocoder
from tests.small_vocoders import tiny

LENGTHS = st.lists(st.integers(1, 300), min_size=1, max_size=12)


@given(LENGTHS, st.integers(0, 1500), st.integers(1, 6), st.floats(0, 0.5), st.integers(0, 15), st.integers(1, 64))
def test_bounds(lengths: list[int], frames: int, items: int, padding: float, halo: int, step: int) -> None:
    """The oldest runs; frames with padding, items and the share of padding are bounded; short ones meet their like."""
    chosen = choose_batch(lengths, BatchLimits(frames, items, padding=padding), halo, step)
    assert chosen == sorted(set(chosen))
    assert chosen[0] == 0
    taken = [lengths[index] for index in chosen]
    if len(taken) > 1:
        longest = max(taken)
        assert rounded_up(longest, step) * len(taken) <= frames
        assert len(taken) <= items
        assert 1 - sum(taken) / (longest * len(taken)) <= padding + 1e-9
        assert len(set(taken)) == 1 or min(taken) > 2 * halo


def test_equal_lengths_fill_the_batch() -> None:
    """As many of one length run as there is room for, the oldest first."""
    assert choose_batch([100] * 9, BatchLimits(frames=450), halo=12) == [0, 1, 2, 3]


def whole(vocoder: Vocoder, mel: Tensor) -> Tensor:
    """The waveform of one mel alone."""
    audio: Tensor = vocoder(mel[None])[0, 0]
    return audio


@pytest.mark.parametrize("version", ["v3", "v4"])
@pytest.mark.parametrize("step", [1, 32])
def test_items_sound_as_they_do_alone(version: str, step: int) -> None:
    """Whatever the lengths and the padding, down to rounding; the runner may reuse its output's memory."""
    vocoder = tiny(version)
    halo, upsample = receptive_field(vocoder).halo, _upsample(vocoder)
    lengths = (2 * halo + 1, 2 * halo + 9, 4 * halo, 2 * halo + 1)
    mels = [torch.randn(100, n, generator=torch.Generator().manual_seed(n + i)) for i, n in enumerate(lengths)]
    memory = torch.empty(0)

    def run(batch: Tensor) -> Tensor:
        nonlocal memory
        if memory.numel():
            memory.fill_(9.0)
        latest: Tensor = vocoder(batch)
        memory = latest
        return latest

    with torch.inference_mode():
        waves = vocode_batch(run, mels, halo, upsample, step)
        for mel, wave in zip(mels, waves, strict=True):
            assert wave.shape == (mel.shape[-1] * upsample,)
            assert torch.allclose(wave, whole(vocoder, mel), atol=1e-4)
        # Planted: without the second batch the ends are wrong, and by more than rounding.
        padded = torch.nn.functional.pad(mels[0], (0, lengths[2] - lengths[0]), value=-11.5)
        cut = vocoder(padded[None])[0, 0, : lengths[0] * upsample]
        assert not torch.allclose(cut, whole(vocoder, mels[0]), atol=1e-3)


def _upsample(vocoder: Vocoder) -> int:
    """Samples a frame of a small network, which is not its version's."""
    with torch.inference_mode():
        return int(vocoder(torch.zeros(1, 100, 3)).shape[-1]) // 3


def test_short_mels_are_not_padded() -> None:
    """Up to twice the halo only equal lengths run together, and the rounding of lengths leaves them alone."""
    seen: list[tuple[int, ...]] = []

    def run(batch: Tensor) -> Tensor:
        seen.append(tuple(batch.shape))
        return batch[:, :1]

    waves = vocode_batch(run, [torch.ones(100, 5), torch.zeros(100, 5)], halo=6, upsample=1, step=64)
    assert seen == [(2, 100, 5)]
    assert [float(wave.mean()) for wave in waves] == [1.0, 0.0]
    with pytest.raises(ValueError, match="5 and 20 frames"):
        vocode_batch(run, [torch.ones(100, 5), torch.zeros(100, 20)], halo=6, upsample=1)
