"""BigVGAN has the published network's size, and makes as many samples as its rates say."""

import torch

from bench.spec import V3
from bench.vocoders.bigvgan import BigVgan, BigVganConfig
from tests.conftest import small_v3


def test_output_length_follows_the_rates() -> None:
    """A mel frame becomes exactly the spec's number of samples."""
    model = small_v3()
    for frames in (1, 9):
        assert model(torch.zeros(2, 100, frames)).shape == (2, 1, frames * model.spec.upsample)
    assert model.spec.upsample == 256


def test_real_size() -> None:
    """The default network has the parameters and keys of the published checkpoint."""
    with torch.device("meta"):
        model = BigVgan(BigVganConfig())
    assert sum(p.numel() for p in model.parameters()) == 112_414_512
    assert len(model.state_dict()) == 667 - 218
    assert (V3.t_ref, V3.t_chunk) == (468, 934)
