"""The vocoder that GPT-SoVITS holds in memory, as this suite's own float32 network."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import InputError
from bench.spec import Weights
from bench.vocoders import Vocoder
from bench.vocoders.bigvgan import BigVgan, BigVganConfig
from bench.vocoders.checkpoint import fold_weight_norm, identify, install
from bench.vocoders.hifigan import HifiGan, HifiGanConfig

# GPT-SoVITS tells its vocoders apart by the names of their classes.
VERSIONS_BY_CLASS = {"BigVGAN": "v3", "Generator": "v4"}
_FILTER = ".filter"


def version_of(module: object) -> str:
    """``"v3"`` or ``"v4"``, by the name of the class.

    Raises:
        InputError: it is neither of GPT-SoVITS's vocoders.
    """
    name = type(module).__name__
    if name not in VERSIONS_BY_CLASS:
        known = " or ".join(VERSIONS_BY_CLASS)
        held = "no vocoder" if module is None else f"a {name}"
        raise InputError(f"the model holds {held}, not a {known}: load v3 or v4 weights first")
    return VERSIONS_BY_CLASS[name]


def read_live(module: nn.Module) -> tuple[Vocoder, Weights]:
    """This suite's network with the values of a live one, which is not changed.

    Args:
        module: GPT-SoVITS's ``BigVGAN`` or ``Generator``, on any device, in float32 or float16, with its weight norm
            removed or not.

    Returns:
        An eval-mode float32 module on the CPU, and the identity of its weights. Values of a float16 module are those
        that it was rounded to.

    Raises:
        InputError: it is no such vocoder, or its parameters do not fit its configuration.
    """
    version = version_of(module)
    held = {key: value.detach().to("cpu") for key, value in module.state_dict().items()}
    # The filters are constants; a float16 module has them rounded.
    exact = all(value.dtype is torch.float32 for value in held.values())
    state = fold_weight_norm({key: value for key, value in held.items() if exact or not key.endswith(_FILTER)})
    try:
        with torch.device("meta"):
            network: Vocoder = BigVgan(_bigvgan(module)) if version == "v3" else HifiGan(_hifigan(module, state))
    except (AttributeError, IndexError, TypeError) as error:
        raise InputError(f"the live {type(module).__name__} is not built as GPT-SoVITS's: {error}") from error
    install(network, state, Path(f"(the live {type(module).__name__})"))
    network = network.eval().requires_grad_(False)
    return network, identify(network, f"GPT-SoVITS's {type(module).__name__} in memory")


def _bigvgan(module: nn.Module) -> BigVganConfig:
    """From the hyperparameters that the module keeps."""
    settings: Any = module.h
    config = BigVganConfig.from_json(dict(settings), "the live BigVGAN's hyperparameters")
    config.check()
    return config


def _hifigan(module: nn.Module, state: dict[str, Tensor]) -> HifiGanConfig:
    """From the layers, because the module keeps no hyperparameters."""
    live: Any = module
    kernels = live.num_kernels
    blocks = [getattr(block, "convs1", None) or block.convs for block in live.resblocks[:kernels]]
    return HifiGanConfig(
        initial_channel=live.conv_pre.in_channels,
        resblock="1" if "resblocks.0.convs1.0.weight" in state else "2",
        resblock_kernel_sizes=tuple(convolutions[0].kernel_size[0] for convolutions in blocks),
        resblock_dilation_sizes=tuple(tuple(layer.dilation[0] for layer in convolutions) for convolutions in blocks),
        upsample_rates=tuple(up.stride[0] for up in live.ups),
        upsample_initial_channel=live.conv_pre.out_channels,
        upsample_kernel_sizes=tuple(up.kernel_size[0] for up in live.ups),
        is_bias=live.conv_post.bias is not None,
    )
