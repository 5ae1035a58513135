"""Small vocoders in the real formats, for every test that needs one."""

import json
from pathlib import Path

import pytest
import torch

from bench.vocoders.bigvgan import BigVgan, BigVganConfig
from bench.vocoders.synthetic import initialise

torch.set_num_threads(1)

# NVIDIA's config.json fields for a v3 that a test can afford.
SMALL_V3 = {
    "num_mels": 100,
    "upsample_initial_channel": 64,
    "upsample_rates": [4, 4, 2, 2, 2, 2],
    "upsample_kernel_sizes": [8, 8, 4, 4, 4, 4],
    "resblock": "1",
    "resblock_kernel_sizes": [3, 7, 11],
    "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5]],
    "activation": "snakebeta",
    "snake_logscale": True,
    "use_tanh_at_final": False,
    "use_bias_at_final": False,
    "sampling_rate": 24000,
    "hop_size": 256,
    "n_fft": 1024,
    "win_size": 1024,
    "fmin": 0,
    "fmax": None,
}


def small_v3(**changes: object) -> BigVgan:
    """A BigVGAN with few channels and synthetic weights."""
    model = BigVgan(BigVganConfig.from_json({**SMALL_V3, **changes}))
    initialise(model, 0)
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def v3_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A v3 checkpoint directory with few channels."""
    directory = tmp_path_factory.mktemp("weights") / "bigvgan_v2_24khz_100band_256x"
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps(SMALL_V3), encoding="utf-8")
    torch.save({"generator": small_v3().state_dict()}, directory / "bigvgan_generator.pt")
    return directory
