"""Synthetic weights are the same everywhere and keep a signal's size."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.audio.mel import default_speech, log_mel, speech_mels
from bench.quality.waveform import segment_snrs_db, snr_db
from bench.spec import V4
from bench.vocoders import load_vocoder, load_with_identity, synthetic_vocoder, trained_demo
from bench.vocoders.bigvgan import AmpBlock, BigVgan, BigVganConfig
from bench.vocoders.hifigan import HifiGanConfig
from bench.vocoders.rounding import emulate, through
from bench.vocoders.synthetic import initialise
from tests.conftest import SMALL_V3, small_v3


def test_synthetic_weights_are_the_same_everywhere() -> None:
    """A seed gives the same bits; the digest was taken on two machines."""
    first, identity = load_with_identity("v4", seed=0)
    again = load_with_identity("v4", seed=0)[1]
    assert identity == again
    assert identity.synthetic
    assert identity.name == "synthetic weights (seed 0, 2nd form)"
    assert identity.sha256 == "5a8070998f09b7745fd2151c709ea16e33f17ea1cec3f9aa48d5eb009c9ea100"
    assert load_with_identity("v4", seed=1)[1].sha256 != identity.sha256
    assert first.spec == V4


@pytest.mark.parametrize("version", ["v3", "v4"])
def test_synthetic_activations_keep_their_size(version: str) -> None:
    """From layer to layer the mean square stays within a factor, and speech comes out at a speech level.

    Of the first layer a pair of channels is large on purpose, and cancels in the second.
    """
    model = load_vocoder(version)
    levels: dict[str, float] = {}
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.ConvTranspose1d | AmpBlock):
            module.register_forward_hook(
                lambda _module, _inputs, out, name=name: levels.update({name: float(out.square().mean().sqrt())})
            )
    mel = speech_mels(log_mel(default_speech(), model.spec), 2, 12)
    with torch.inference_mode():
        audio = model(mel)
    assert len(levels) >= 5
    assert all(0.4 < level < 2.5 for level in levels.values()), levels
    rms = audio.square().mean(dim=(1, 2)).sqrt()
    assert ((rms > 0.05) & (rms < 0.2)).all()
    assert float((audio.abs() >= 1).double().mean()) < 0.001


def test_synthetic_snake_parameters_differ_by_channel() -> None:
    """No two activations are alike, so that no exporter may merge them."""
    model = small_v3()
    alphas = [p.flatten() for n, p in model.named_parameters() if n.endswith("alpha")]
    for alpha in alphas:
        assert len(set(alpha.tolist())) == len(alpha)
    assert len({tuple(alpha.tolist()) for alpha in alphas}) == len(alphas)


def test_initialise_is_repeatable() -> None:
    """Two networks filled from one seed are equal, from two seeds not."""
    models = [BigVgan(BigVganConfig.from_json(SMALL_V3)) for _ in range(3)]
    for model, seed in zip(models, (3, 3, 4), strict=True):
        initialise(model, seed)
    first, second, third = (model.state_dict() for model in models)
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(first["conv_pre.weight"], third["conv_pre.weight"])


@pytest.mark.parametrize("version", ["v3", "v4"])
def test_silence_and_padding_are_silent(version: str) -> None:
    """A silent mel comes out silent from end to end, though a convolution pads it with zeros, which are loud."""
    config = BigVganConfig.from_json(SMALL_V3) if version == "v3" else HifiGanConfig(upsample_initial_channel=64)
    with torch.inference_mode():
        audio = synthetic_vocoder(config)(torch.full((1, 100, 12), math.log(1e-5)))
    assert float(audio.abs().max()) < 1e-4


def test_rounding_is_not_flattered() -> None:
    """A float16 mel leaves about 33 dB, float16 behind it about 45: within 8 dB of what trained networks show.

    Plain random weights give 65 and 58 dB.
    """
    model = synthetic_vocoder(replace(trained_demo.CONFIG, upsample_initial_channel=128))
    mel = speech_mels(log_mel(default_speech(), model.spec), 1, 80)
    half = through(torch.float16)
    with torch.inference_mode():
        exact, given = (model(x).double().numpy().reshape(-1) for x in (mel, half(mel)))
        rounded = emulate(half, half, half)(model, mel).double().numpy().reshape(-1)
    assert 25 < snr_db(exact, given) < 42
    assert 38 < snr_db(given, rounded) < 52
    segments = segment_snrs_db(given, rounded, model.spec.sample_rate)
    assert np.median(segments) - np.percentile(segments, 5) > 5
