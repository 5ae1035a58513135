"""What a network has to do: floating-point operations and bytes, layer by layer, counted from the network itself.

A multiply-add is two operations. Convolutions count, those inside alias-free activations too; pointwise arithmetic does
not, as in ``torch.utils.flop_counter``. Nothing is computed: shapes pass through a copy on the ``meta`` device.
"""

import copy
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bench.vocoders import Vocoder
from bench.vocoders.alias_free import TAPS, AliasFreeActivation


@dataclass(frozen=True)
class Layer:
    """One convolution or alias-free activation of a network at one shape.

    Attributes:
        name: As in the network's state.
        kind: ``"conv"``, ``"transposed conv"`` or ``"activation"``.
        flops: Floating-point operations.
        weights: Parameters that it reads.
        inputs, outputs: Elements of the signals that it reads and writes.
    """

    name: str
    kind: str
    flops: int
    weights: int
    inputs: int
    outputs: int


def layers(vocoder: Vocoder, batch: int, frames: int) -> list[Layer]:
    """The layers of ``vocoder`` in the order that they run in.

    Args:
        vocoder: Anywhere, in any data type; it is left as it is.
        batch: Mels in one inference.
        frames: Mel frames of each.
    """
    # Shapes are all that is copied of what the network holds.
    held = itertools.chain(vocoder.parameters(), vocoder.buffers())
    shadow = copy.deepcopy(vocoder, {id(tensor): _shape_of(tensor) for tensor in held})
    found: list[Layer] = []
    for name, module in shadow.named_modules():
        if isinstance(module, nn.Conv1d | nn.ConvTranspose1d | AliasFreeActivation):
            module.register_forward_hook(_counter(name, found))
    with torch.inference_mode():
        shadow(torch.empty(batch, vocoder.spec.bands, frames, device="meta", dtype=next(shadow.parameters()).dtype))
    return found


def _shape_of(tensor: Tensor) -> Tensor:
    empty = torch.empty_like(tensor, device="meta")
    return nn.Parameter(empty, requires_grad=False) if isinstance(tensor, nn.Parameter) else empty


def _counter(name: str, found: list[Layer]) -> Callable[[nn.Module, Any, Tensor], None]:
    def count(module: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> None:
        signal = given[0]
        weights = sum(parameter.numel() for parameter in module.parameters())
        if isinstance(module, nn.Conv1d):
            kind, flops = "conv", 2 * made.numel() * module.weight[0].numel()
        elif isinstance(module, nn.ConvTranspose1d):
            kind, flops = "transposed conv", 2 * signal.numel() * module.weight[0].numel()
        else:
            # Up: each input sample meets every tap. Down: each output sample does.
            kind, flops = "activation", 2 * TAPS * (signal.numel() + made.numel())
        found.append(Layer(name, kind, flops, weights, signal.numel(), made.numel()))

    return count


@dataclass(frozen=True)
class Work:
    """A network's work at one shape.

    Attributes:
        flops: Floating-point operations of one inference.
        weights: Parameters.
        mel: Elements of the input.
        audio: Elements of the output.
        layers: What it is the sum of.
    """

    flops: int
    weights: int
    mel: int
    audio: int
    layers: tuple[Layer, ...]

    def least_bytes(self, weight_bytes: int, signal_bytes: int) -> int:
        """Bytes that no implementation can leave out: weights and mel read once, audio written once."""
        return weight_bytes * self.weights + signal_bytes * (self.mel + self.audio)


def work(vocoder: Vocoder, batch: int, frames: int) -> Work:
    """Counts one inference.

    Args:
        vocoder: As for :func:`layers`.
        batch: Mels in one inference.
        frames: Mel frames of each.
    """
    found = layers(vocoder, batch, frames)
    spec = vocoder.spec
    return Work(
        flops=sum(layer.flops for layer in found),
        weights=sum(layer.weights for layer in found),
        mel=batch * spec.bands * frames,
        audio=batch * spec.upsample * frames,
        layers=tuple(found),
    )
