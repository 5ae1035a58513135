"""HiFi-GAN has the published network's size, and makes as many samples as its rates say."""

import torch

from bench.spec import V4
from bench.vocoders.hifigan import HifiGan, HifiGanConfig


def test_output_length_follows_the_rates() -> None:
    """A mel frame becomes exactly the spec's number of samples."""
    model = HifiGan(HifiGanConfig(upsample_initial_channel=32)).eval()
    for frames in (1, 9):
        assert model(torch.zeros(2, 100, frames)).shape == (2, 1, frames * model.spec.upsample)
    assert model.spec.upsample == 480


def test_real_size() -> None:
    """The default network has the parameters and keys of the published checkpoint."""
    with torch.device("meta"):
        model = HifiGan(HifiGanConfig())
    assert sum(p.numel() for p in model.parameters()) == 14_425_409
    assert len(model.state_dict()) == 194
    assert (V4.t_ref, V4.t_chunk) == (500, 1000)
