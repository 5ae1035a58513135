"""Chunks with the derived halo are the whole utterance; the halo is exactly what the network sees."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from bench.audio.mel import default_speech, log_mel, speech_mels
from bench.chunking import (
    SOLA_SEARCH,
    Reach,
    cost_factor,
    pad_to_chunk,
    receptive_field,
    stream_chunks,
    stream_sola,
    stream_windows,
    vocode_chunked,
    vocode_sola,
    windows,
)
from bench.errors import InputError
from bench.vocoders import Vocoder
from bench.vocoders.alias_free import AliasFreeActivation
from bench.vocoders.bigvgan import BigVgan, BigVganConfig
from bench.vocoders.hifigan import HifiGan, HifiGanConfig
from bench.vocoders.synthetic import initialise
from tests.conftest import small_v3


def small_v4(**changes: Any) -> HifiGan:
    """A v4 generator with few channels and synthetic weights."""
    model = HifiGan(HifiGanConfig(upsample_initial_channel=64, **changes))
    initialise(model, 0)
    return model.eval().requires_grad_(False)


SMALL: dict[str, Callable[[], Vocoder]] = {
    "v3": lambda: small_v3(upsample_initial_channel=64),
    "v3-block2": lambda: small_v3(resblock="2", resblock_dilation_sizes=[[1, 3], [1, 3], [1, 3]]),
    "v3-odd-kernels": lambda: small_v3(upsample_kernel_sizes=[12, 8, 6, 4, 4, 4]),
    "v4": small_v4,
    "v4-block2": lambda: small_v4(resblock="2"),
}


def snr_db(reference: Tensor, test: Tensor) -> float:
    """Signal-to-noise ratio in float64; infinite for equal signals."""
    reference, test = reference.double(), test.double()
    noise = float((reference - test).square().sum())
    return math.inf if noise == 0 else 10 * math.log10(float(reference.square().sum()) / noise)


def speech(vocoder: Vocoder, frames: int) -> Tensor:
    """Speech as the vocoder's input."""
    return speech_mels(log_mel(default_speech(), vocoder.spec), 1, frames)


def look_far(vocoder: Vocoder, right: bool) -> Vocoder:
    """Gives every layer its weight at one end only, so that the farthest frame counts as much as the nearest.

    With ordinary weights the outermost frames of a v3 are below the rounding of float64.
    """
    tap = -1 if right else 0
    for module in vocoder.modules():
        if isinstance(module, nn.Conv1d | nn.ConvTranspose1d):
            module.weight.zero_()
            if module.bias is not None:
                module.bias.zero_()
        if isinstance(module, nn.ConvTranspose1d):
            module.weight.fill_(1 / module.in_channels)
        elif isinstance(module, nn.Conv1d) and module.in_channels == module.out_channels:
            # More than the residual path beside it.
            module.weight[..., tap] = 3 * torch.eye(module.in_channels)
        elif isinstance(module, nn.Conv1d):
            module.weight[..., tap] = 1 / module.in_channels
        if isinstance(module, AliasFreeActivation):
            module.upsample.filter.zero_()
            # A transposed convolution looks the other way; one tap for each of its two phases.
            module.upsample.filter[..., slice(0, 2) if right else slice(-2, None)] = 0.5
            module.downsample.lowpass.filter.zero_()
            module.downsample.lowpass.filter[..., tap] = 1.0
            # A straight line: alpha near 0.
            module.act.alpha.fill_(-30.0)
    vocoder.conv_post.weight.mul_(1e-30)
    with torch.inference_mode():
        loudest = float(vocoder(torch.ones(1, vocoder.spec.bands, 99, dtype=torch.float64)).abs().max())
    vocoder.conv_post.weight.mul_(0.01 / loudest)
    return vocoder


@pytest.mark.parametrize("name", SMALL)
def test_receptive_field_is_what_a_probe_shows(name: str) -> None:
    """One NaN frame spoils samples exactly as far away as the receptive field says, and none beyond."""
    vocoder = SMALL[name]().double()
    middle, frames = 42, 85
    mel = speech(vocoder, frames).double()
    mel[..., middle] = math.nan
    with torch.inference_mode():
        spoilt = vocoder(mel).isnan().view(frames, -1).any(dim=1).nonzero().flatten()
    first, last = int(spoilt[0]), int(spoilt[-1])
    assert first > 0, "the utterance is too short for the probe"
    assert last < frames - 1, "the utterance is too short for the probe"
    # The samples before the frame look to their right to see it, those behind it to their left.
    assert Reach(left=last - middle, right=middle - first) == receptive_field(vocoder)


@pytest.mark.parametrize("name", ["v3", "v4"])
def test_a_frame_beyond_the_field_changes_nothing(name: str) -> None:
    """Samples farther from a changed frame than the receptive field are equal bit by bit; nearer ones are not."""
    vocoder = SMALL[name]().double()
    middle, frames = 42, 85
    reach = receptive_field(vocoder)
    mel = speech(vocoder, frames).double()
    changed = mel.clone()
    changed[:, ::2, middle] += 1.0  # synthetic weights see how neighbouring bands differ
    with torch.inference_mode():
        equal = (vocoder(mel) == vocoder(changed)).view(frames, -1)
    assert equal[: middle - reach.right].all()
    assert equal[middle + reach.left + 1 :].all()
    assert not equal[middle - 1 : middle + 2].any(dim=1).all()


def test_real_sizes_reach_38_and_12_frames() -> None:
    """NVIDIA's v3 and GPT-SoVITS's v4 see 38 and 12 frames to the farther side."""
    with torch.device("meta"):
        v3, v4 = BigVgan(BigVganConfig()), HifiGan(HifiGanConfig())
    assert receptive_field(v3).halo == 38
    assert receptive_field(v4).halo == 12


@pytest.mark.parametrize("name", ["v3", "v4"])
@pytest.mark.parametrize("chunk", [17, 40])
def test_chunks_are_the_whole(name: str, chunk: int) -> None:
    """With the derived halo, chunked float32 equals the whole utterance to rounding (100 dB or more)."""
    vocoder = SMALL[name]()
    mel = speech(vocoder, 93)
    with torch.inference_mode():
        whole = vocoder(mel)
        joined = vocode_chunked(vocoder, mel, chunk, receptive_field(vocoder).halo, vocoder.spec.upsample)
    assert joined.shape == whole.shape
    assert snr_db(whole, joined) >= 100


@pytest.mark.parametrize("name", ["v3", "v4"])
@pytest.mark.parametrize("right", [False, True], ids=["left", "right"])
def test_one_frame_less_is_measurably_not(name: str, right: bool) -> None:
    """With weights that use the whole field, float64 is rounding away from the whole, and one frame less is not."""
    vocoder = look_far(SMALL[name]().double(), right)
    halo = receptive_field(vocoder).halo
    mel = speech(vocoder, 93).double().abs()
    with torch.inference_mode():
        whole = vocoder(mel)
        exact, less, least = (
            snr_db(whole, vocode_chunked(vocoder, mel, 31, frames, vocoder.spec.upsample))
            for frames in (halo, halo - 1, halo - 2)
        )
    assert exact > 250
    assert less < 150
    assert least < less


def test_one_frame_less_shows_in_an_ordinary_v4() -> None:
    """Also with synthetic weights a halo of 11 at least doubles a v4's distance from the whole over one of 12.

    How much more than that depends on the processor, whose float64 rounding is all that is left with 12.
    """
    vocoder = SMALL["v4"]().double()
    mel = speech(vocoder, 93).double()
    with torch.inference_mode():
        whole = vocoder(mel)
        exact, less = (snr_db(whole, vocode_chunked(vocoder, mel, 31, halo, 480)) for halo in (12, 11))
    assert exact > 250
    assert less < exact - 6


def linear(mel: Tensor) -> Tensor:
    """A vocoder of 3 samples a frame that sees one frame: the mean of its bands and a ramp."""
    return (mel.mean(dim=1, keepdim=True).unsqueeze(-1) + torch.tensor([0.0, 0.1, 0.2])).flatten(2)


@pytest.mark.parametrize("frames", [1, 4, 5, 9, 10, 11])
def test_chunks_cover_every_length(frames: int) -> None:
    """Lengths that are a multiple of the chunk, one off it, and shorter than one come out whole, batch kept."""
    mel = torch.randn(2, 4, frames)
    chunks = list(stream_chunks(linear, mel, 5, 2, 3))
    assert [chunk.shape[-1] for chunk in chunks] == [15] * (frames // 5) + [3 * (frames % 5)] * (frames % 5 > 0)
    assert torch.equal(torch.cat(chunks, dim=-1), linear(mel))


def test_a_chunk_waits_for_no_more_than_its_halo() -> None:
    """A stream computes a chunk from its own frames and the halo's, and nothing later."""
    seen: list[int] = []

    def run(mel: Tensor) -> Tensor:
        seen.append(mel.shape[-1])
        return linear(mel)

    stream = stream_chunks(run, torch.randn(1, 4, 30), 10, 4, 3)
    next(stream)
    assert seen == [14]
    list(stream)
    assert seen == [14, 18, 14]


def test_the_cost_of_a_halo_is_the_frames_computed() -> None:
    """The cost factor counts the frames that the chunked run really computes."""
    seen: list[int] = []

    def run(mel: Tensor) -> Tensor:
        seen.append(mel.shape[-1])
        return linear(mel)

    for frames, chunk, halo in ((100, 50, 12), (93, 17, 38), (5, 50, 12), (64, 1, 3)):
        seen.clear()
        vocode_chunked(run, torch.randn(1, 4, frames), chunk, halo, 3)
        assert cost_factor(frames, chunk, halo) == sum(seen) / frames


@pytest.mark.parametrize(("frames", "chunk", "halo"), [(10, 0, 2), (10, -1, 2), (10, 5, -1), (0, 5, 2)])
def test_impossible_chunks(frames: int, chunk: int, halo: int) -> None:
    """No chunk, a negative halo and an empty mel are refused."""
    with pytest.raises(InputError, match="at least one frame"):
        vocode_chunked(linear, torch.zeros(1, 4, frames), chunk, halo, 3)


def test_padding_is_silence() -> None:
    """A padded mel ends in ln(1e-5), the level of a band without energy, and keeps its beginning."""
    mel = torch.randn(1, 4, 7)
    padded = pad_to_chunk(mel, 10)
    assert padded.shape == (1, 4, 10)
    assert torch.equal(padded[..., :7], mel)
    assert torch.allclose(padded[..., 7:], torch.tensor(math.log(1e-5)))
    assert torch.equal(pad_to_chunk(mel, 7), mel)


@pytest.mark.parametrize("frames", [30, 47, 93])
def test_sola_keeps_the_length_but_for_its_searches(frames: int) -> None:
    """SOLA's result is the utterance's length, less at most one search a join."""
    vocoder = SMALL["v4"]()
    with torch.inference_mode():
        wave = vocode_sola(vocoder, speech(vocoder, frames), 32, 12, vocoder.spec.upsample)
    whole = frames * vocoder.spec.upsample
    joins = math.ceil(frames / 20)
    assert wave.shape[:2] == (1, 1)
    assert whole - joins * SOLA_SEARCH <= wave.shape[-1] <= whole
    assert torch.isfinite(wave).all()


def test_sola_of_what_needs_no_join_is_exact() -> None:
    """Where neighbouring chunks agree sample by sample, cross-fading them changes nothing."""
    upsample = 480

    def run(mel: Tensor) -> Tensor:
        return mel[:, :1].repeat_interleave(upsample, dim=-1)

    # No two stretches of the length of a join are alike, so that the best join is the true one.
    torch.manual_seed(0)
    mel = torch.randn(1, 4, 80)
    joined = vocode_sola(run, mel, 32, 12, upsample)
    assert joined.shape[-1] == 80 * upsample
    assert torch.allclose(joined, run(mel), atol=1e-5)


@pytest.mark.parametrize(("batch", "chunk", "overlap"), [(2, 32, 12), (1, 24, 12), (1, 32, 0)])
def test_impossible_sola(batch: int, chunk: int, overlap: int) -> None:
    """Batches, chunks that are all overlap, and no overlap are refused."""
    with pytest.raises(InputError, match="SOLA joins one item at a time"):
        vocode_sola(linear, torch.zeros(batch, 4, 40), chunk, overlap, 3)


@pytest.mark.parametrize("name", ["v3", "v4"])
@pytest.mark.parametrize(
    ("frames", "chunk", "short"), [(97, 9, True), (97, 48, False), (60, 60, True), (30, 94, False)]
)
def test_windows_of_one_length_are_exact_too(name: str, frames: int, chunk: int, short: bool) -> None:
    """Calls have the same shape but for a short first one, and the joined chunks are the whole utterance."""
    vocoder = SMALL[name]()
    halo, mel = receptive_field(vocoder).halo, speech(vocoder, frames)
    shapes = set()

    def run(part: Tensor) -> Tensor:
        shapes.add(part.shape[-1])
        with torch.inference_mode():
            return vocoder(part)  # type: ignore[no-any-return]

    chunks = list(stream_windows(run, mel, chunk, halo, vocoder.spec.upsample, short_first=short))
    with torch.inference_mode():
        assert snr_db(vocoder(mel), torch.cat(chunks, dim=-1)) > 90
    first = {min(chunk + halo, frames)} if short else set()
    assert first <= shapes <= first | {min(chunk + 2 * halo, frames)}
    assert [wave.shape[-1] for wave in chunks[:-1]] == [chunk * vocoder.spec.upsample] * (len(chunks) - 1)


def test_a_halo_that_is_too_small_is_heard_in_windows() -> None:
    """The check above can fail: without a halo the chunks differ."""
    vocoder = SMALL["v4"]()
    mel = speech(vocoder, 97)
    with torch.inference_mode():
        chunks = list(stream_windows(vocoder, mel, 9, 0, vocoder.spec.upsample))
        assert snr_db(vocoder(mel), torch.cat(chunks, dim=-1)) < 40


@settings(max_examples=60)
@given(st.integers(1, 300), st.integers(1, 120), st.integers(0, 40), st.booleans())
def test_windows_hold_what_a_chunk_depends_on(frames: int, chunk: int, halo: int, short: bool) -> None:
    """Chunks cover the utterance once, each with its halo or the utterance's end on either side."""
    found = windows(frames, chunk, halo, short_first=short)
    assert [window.start for window in found] == list(range(0, frames, chunk))
    assert [window.end for window in found] == [*(window.start for window in found[1:]), frames]
    for window in found:
        assert 0 <= window.left <= max(window.start - halo, 0)
        assert min(window.end + halo, frames) <= window.right <= frames
    assert len({window.right - window.left for window in found[short:]}) <= 1


def sines(mel: Tensor) -> Tensor:
    """A vocoder whose sound tells where it is in the utterance: a slow sine of the frame number in the first band."""
    frame = mel[:, :1].repeat_interleave(20, dim=-1) + torch.arange(20).repeat(mel.shape[-1]) / 20
    return torch.sin(frame)


@pytest.mark.parametrize("chunk", [13, 23, 94])
def test_sola_streams_a_signal_that_fits_without_a_seam(chunk: int) -> None:
    """Where neighbours agree on what they share, the join finds no better place, and the result is the whole."""
    mel = torch.arange(150.0).repeat(1, 2, 1)
    calls = []

    def run(part: Tensor) -> Tensor:
        calls.append(part.shape[-1])
        return sines(part)

    pieces = list(stream_sola(run, mel, chunk, 12, 20))
    joined = torch.cat(pieces, dim=-1)
    whole = sines(mel)
    assert set(calls) == {chunk + 12}
    assert joined.shape == whole.shape
    assert snr_db(whole, joined) > 60
    assert pieces[0].shape[-1] == 20 * chunk


def test_sola_streams_through_a_buffer_that_is_used_again() -> None:
    """What the next chunk is joined to is kept, and not read from the runner's memory."""
    mel = torch.randn(1, 2, 90)
    buffer = torch.empty(1, 1, 35 * 20)
    fresh = torch.cat(list(stream_sola(sines, mel, 23, 12, 20)), dim=-1)
    again = torch.cat([piece.clone() for piece in stream_sola(lambda m: buffer.copy_(sines(m)), mel, 23, 12, 20)], -1)
    assert torch.equal(fresh, again)


def test_what_sola_cannot_stream() -> None:
    """Two items, and chunks that are all overlap."""
    for batch, chunk in ((2, 23), (1, 12)):
        with pytest.raises(InputError, match="SOLA streams one item at a time, in chunks longer than an overlap"):
            next(stream_sola(sines, torch.zeros(batch, 2, 90), chunk, 12, 20))
    with pytest.raises(InputError, match="at least one frame"):
        windows(10, 0, 3)
