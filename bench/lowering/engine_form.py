"""The engine form of a vocoder: the copy that engines are built from, lowered to what TensorRT runs fast.

Equal to the vocoder but for rounding: activations without their interleaved signal, one data type but for the layers
that are kept in float32, and two-dimensional signals between the first convolution and the last.
"""

import copy
import math
import re

import torch
from torch import Tensor, nn

from bench.lowering.activation import DEFAULT_FORM, FORMS, EngineActivation, Form, find_form
from bench.lowering.conv2d import in_planes
from bench.lowering.mixed_precision import convert, round_kept, set_apart
from bench.vocoders.alias_free import AliasFreeActivation
from bench.vocoders.bigvgan import BigVgan, BigVganConfig


def lower(vocoder: nn.Module, mel: Tensor, float32: str = "", activation: str = DEFAULT_FORM) -> nn.Module:
    """The lowered copy of a vocoder.

    Args:
        vocoder: In float32.
        mel: Its device and data type are the copy's.
        float32: Layers to keep in float32; see :func:`bench.lowering.mixed_precision.convert`.
        activation: The alias-free activation's form; see :data:`bench.lowering.activation.FORMS`.

    Raises:
        InputError: ``float32`` names no layer, or there is no such form.
    """
    return share_constants(in_planes(lower_layers(vocoder, mel, float32, activation)))


def lower_layers(vocoder: nn.Module, mel: Tensor, float32: str = "", activation: str = DEFAULT_FORM) -> nn.Module:
    """As :func:`lower`, with the same arithmetic in one-dimensional layers."""
    lowered = lower_activations(vocoder, find_form(activation))
    if mel.dtype is torch.float32:
        # Layers keep their names, by which a builder can hold them.
        return set_apart(round_kept(lowered, float32), float32).to(mel.device)
    return convert(lowered, mel.dtype, float32).to(mel.device)


def lower_activations(vocoder: nn.Module, form: Form = FORMS[DEFAULT_FORM]) -> nn.Module:
    """A copy of ``vocoder`` with every alias-free activation in another form; v4 has none.

    Args:
        vocoder: In float32.
        form: Makes the new activation.
    """
    lowered = copy.deepcopy(vocoder)
    if isinstance(lowered, BigVgan):
        for name, module in list(lowered.named_modules()):
            if isinstance(module, AliasFreeActivation):
                parent, _, child = name.rpartition(".")
                setattr(lowered.get_submodule(parent), child, form(module, _rate(lowered.config, name)))
    return lowered.eval()


def share_constants(lowered: nn.Module) -> nn.Module:
    """Lets activations with equal matrices have the same ones, in place.

    The exporter then sees that the residual blocks of a stage begin with the same product of the same signal, and
    writes it once.
    """
    known: dict[tuple[torch.dtype, torch.Size, bytes], Tensor] = {}
    for module in lowered.modules():
        if isinstance(module, EngineActivation):
            for name, value in list(module.named_buffers(recurse=False)):
                key = (value.dtype, value.shape, value.cpu().flatten().view(torch.uint8).numpy().tobytes())
                setattr(module, name, known.setdefault(key, value))
    return lowered


def _rate(config: BigVganConfig, name: str) -> int:
    """Samples per mel frame at a module of a BigVGAN."""
    rates = config.upsample_rates
    found = re.match(r"resblocks\.(\d+)\.", name)
    if found is None:
        return math.prod(rates)
    return math.prod(rates[: int(found[1]) // len(config.resblock_kernel_sizes) + 1])
