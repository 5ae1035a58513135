"""A vocoder in a lower precision, with layers that stay in float32."""

import copy
import re

import torch
from torch import Tensor, nn

from bench.errors import InputError
from bench.lowering.activation import EngineActivation

# Channels from which Apart pays, by the layers' times on an H100; narrower ones have not been tried.
WIDE = 192


class Float32(nn.Module):
    """A layer computed in float32 between layers of another data type.

    Args:
        layer: The layer, float32.
        dtype: What the neighbours work in.
    """

    def __init__(self, layer: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.layer = layer
        self.dtype = dtype

    def forward(self, x: Tensor) -> Tensor:
        """Converts, computes, converts back."""
        y: Tensor = self.layer(x.float())
        return y.to(self.dtype)


def layers(vocoder: nn.Module) -> dict[str, nn.Module]:
    """The layers that can be kept in float32, by name: convolutions, and lowered activations."""
    found: dict[str, nn.Module] = {}
    for name, module in vocoder.named_modules():
        if any(name.startswith(f"{other}.") for other in found):
            continue
        if isinstance(module, nn.Conv1d | nn.ConvTranspose1d | EngineActivation):
            found[name] = module
    return found


def layer_pattern(text: str) -> re.Pattern[str]:
    """The pattern of the option ``float32``.

    Raises:
        InputError: it is no regular expression.
    """
    try:
        return re.compile(text)
    except re.error as error:
        raise InputError(f"option float32 is a regular expression of layer names, not {text!r}: {error}") from error


def no_such_layer(text: str) -> InputError:
    """What to raise where the option ``float32`` matches nothing."""
    return InputError(f"option float32: no layer's name begins with {text!r}; they are named as in checkpoints")


def convert(vocoder: nn.Module, dtype: torch.dtype, float32: str = "") -> nn.Module:
    """Converts a float32 vocoder in place, but for the layers whose names match a pattern from their first letter.

    Args:
        vocoder: Lowered.
        dtype: The lower precision.
        float32: Regular expression, such as ``conv_post|activation_post``; empty for no layer.

    Raises:
        InputError: not a regular expression, or it matches no layer.
    """
    kept = {name: copy.deepcopy(layer) for name, layer in _kept(vocoder, float32).items()}
    if float32 and not kept:
        raise no_such_layer(float32)
    vocoder.to(dtype)
    for name, layer in kept.items():
        parent, _, child = name.rpartition(".")
        setattr(vocoder.get_submodule(parent), child, Float32(layer, dtype))
    return vocoder


def round_kept(vocoder: nn.Module, float32: str) -> nn.Module:
    """Rounds the weights of layers that a builder will be told to keep in float32 to TF32, in place.

    It may take kernels that compute in TF32 for them, and those cut float32 off instead of rounding it: every product
    becomes a little too small. Of weights that TF32 has there is nothing to cut off.

    Args:
        vocoder: Lowered, in float32.
        float32: As for :func:`convert`; it may name what only a builder knows.

    Raises:
        InputError: not a regular expression.
    """
    for layer in _kept(vocoder, float32).values():
        if isinstance(layer, EngineActivation):
            # Of an activation only what is multiplied as a matrix.
            factors = [value for name, value in layer.named_buffers() if name not in ("alpha", "gain")]
        else:
            factors = [layer.get_parameter("weight")]
        for factor in factors:
            if factor.is_floating_point():
                factor.data = round_to_tf32(factor.data)
    return vocoder


class Apart(nn.Module):
    """A convolution that a builder does not fuse with the addition after it; equal to the last bit.

    TensorRT 8.6 names no TF32 kernel for Hopper that adds a residual, and falls back on one for Ampere that takes two
    to three times as long, where a separate addition costs less than it gains.

    Args:
        conv: The convolution.
    """

    def __init__(self, conv: nn.Conv1d) -> None:
        super().__init__()
        self.conv = copy.deepcopy(conv)
        with torch.no_grad():
            for value in self.conv.parameters():
                value.neg_()

    def forward(self, x: Tensor) -> Tensor:
        """As the convolution."""
        y: Tensor = -self.conv(x)
        return y


def set_apart(vocoder: nn.Module, float32: str) -> nn.Module:
    """Puts :class:`Apart` around wide convolutions that are kept in float32 and added to the trunk, in place.

    Args:
        vocoder: Lowered, in float32.
        float32: As for :func:`round_kept`.

    Raises:
        InputError: not a regular expression.
    """
    for name, layer in _kept(vocoder, float32).items():
        added = re.fullmatch(r"resblocks\.\d+\.convs2?\.\d+", name)
        if added and isinstance(layer, nn.Conv1d) and layer.in_channels >= WIDE:
            parent, _, child = name.rpartition(".")
            setattr(vocoder.get_submodule(parent), child, Apart(layer))
    return vocoder


def round_to_tf32(x: Tensor) -> Tensor:
    """The nearest values that have ten bits of mantissa, float32 as before; of two equally near the larger.

    >>> float(round_to_tf32(torch.tensor(1 + 2**-11 + 2**-20)) - 1) == 2**-10
    True
    """
    return ((x.contiguous().view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32)


def _kept(vocoder: nn.Module, float32: str) -> dict[str, nn.Module]:
    wanted = layer_pattern(float32)
    return {name: layer for name, layer in layers(vocoder).items() if float32 and wanted.match(name)}
