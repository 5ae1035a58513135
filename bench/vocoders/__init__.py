"""The two vocoders of GPT-SoVITS: what they are, and how to get one."""

from pathlib import Path

import torch

from bench.case import VERSIONS
from bench.errors import InputError
from bench.files import user_path
from bench.spec import SPECS, V3, V4, MelSpec, VocoderSpec, Weights
from bench.vocoders import trained_demo
from bench.vocoders.bigvgan import BigVgan, BigVganConfig
from bench.vocoders.checkpoint import identify, load_checkpoint
from bench.vocoders.hifigan import HifiGan, HifiGanConfig
from bench.vocoders.synthetic import FORM, initialise

__all__ = ["SPECS", "V3", "V4", "MelSpec", "Vocoder", "VocoderSpec", "load_vocoder", "load_with_identity"]

Vocoder = BigVgan | HifiGan


def load_vocoder(version: str, weights: str | Path | None = None, seed: int = 0) -> Vocoder:
    """Loads a vocoder.

    Args:
        version: ``"v3"`` or ``"v4"``.
        weights: A v3 directory (``config.json`` and ``bigvgan_generator.pt``), a v4 ``vocoder.pth``, or a
            GPT-SoVITS checkout that holds both; ``"trained-demo"`` for the trained stand-in of v4; None for
            synthetic weights.
        seed: Seed of the synthetic weights.

    Returns:
        An eval-mode float32 module on the CPU, ``(batch, bands, frames)`` log-mel to
        ``(batch, 1, frames * upsample)`` waveform, with a ``.spec``.

    Raises:
        InputError: unknown version, or a checkpoint that cannot be used; see
            :func:`bench.vocoders.checkpoint.load_checkpoint`.
    """
    return load_with_identity(version, weights, seed)[0]


def load_with_identity(version: str, weights: str | Path | None = None, seed: int = 0) -> tuple[Vocoder, Weights]:
    """Like :func:`load_vocoder`, with the identity of the weights that records carry."""
    if version not in VERSIONS:
        raise InputError(f"unknown version {version!r}; choose from {', '.join(VERSIONS)}")
    if str(weights) == trained_demo.NAME:
        return trained_demo.load_demo(version)
    if weights is not None:
        return load_checkpoint(version, user_path(weights, "weights"))
    model = synthetic_vocoder(BigVganConfig() if version == "v3" else HifiGanConfig(), seed)
    return model.eval(), identify(model, f"synthetic weights (seed {seed}, {FORM})", seed)


def synthetic_vocoder(config: BigVganConfig | HifiGanConfig, seed: int = 0) -> Vocoder:
    """A network of any configuration with synthetic weights, in eval mode on the CPU."""
    with torch.device("meta"):
        model: Vocoder = BigVgan(config) if isinstance(config, BigVganConfig) else HifiGan(config)
    # Parameters get memory and then values; the filters, constants made on the CPU, are kept.
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            empty = torch.empty_like(parameter, device="cpu")
            setattr(module, name, torch.nn.Parameter(empty, requires_grad=False))
    initialise(model, seed)
    return model.eval()
