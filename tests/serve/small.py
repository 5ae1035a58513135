"""A checkpoint that a test on one core can serve: few channels, and samples a frame as the real one."""

import json
from pathlib import Path

import torch

from bench.vocoders.bigvgan import BigVgan
from tests.conftest import SMALL_V3, small_v3

CHANGES = {
    "upsample_initial_channel": 16,
    "upsample_rates": [16, 16],
    "upsample_kernel_sizes": [32, 32],
    "resblock_kernel_sizes": [3],
    "resblock_dilation_sizes": [[1, 3]],
}


def network() -> BigVgan:
    """The network of :func:`checkpoint`."""
    return small_v3(**CHANGES)


def checkpoint(directory: Path) -> str:
    """Writes a v3 checkpoint into a directory, and returns that."""
    (directory / "config.json").write_text(json.dumps({**SMALL_V3, **CHANGES}), encoding="utf-8")
    torch.save({"generator": network().state_dict()}, directory / "bigvgan_generator.pt")
    return str(directory)
