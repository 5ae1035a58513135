"""What a network has to do: floating-point operations and bytes, layer by layer, counted from the network itself.

A multiply-add is two operations. Convolutions count, those inside alias-free activations too; pointwise arithmetic does
not, as in ``torch.utils.flop_counter``. One frame passes through the network, and every signal of both vocoders is as
many times as long as the mel has frames. (Shapes alone, on the ``meta`` device, take seconds at their first use.)
"""

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
    found: list[Layer] = []
    counted = (nn.Conv1d, nn.ConvTranspose1d, AliasFreeActivation)
    hooks = [
        module.register_forward_hook(_counter(name, found, batch * frames))
        for name, module in vocoder.named_modules()
        if isinstance(module, counted)
    ]
    own = next(vocoder.parameters())
    try:
        with torch.inference_mode():
            vocoder(torch.zeros(1, vocoder.spec.bands, 1, device=own.device, dtype=own.dtype))
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _counter(name: str, found: list[Layer], times: int) -> Callable[[nn.Module, Any, Tensor], None]:
    def count(module: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> None:
        inputs, outputs = times * given[0].numel(), times * made.numel()
        weights = sum(parameter.numel() for parameter in module.parameters())
        if isinstance(module, nn.Conv1d):
            kind, flops = "conv", 2 * outputs * module.weight[0].numel()
        elif isinstance(module, nn.ConvTranspose1d):
            kind, flops = "transposed conv", 2 * inputs * module.weight[0].numel()
        else:
            # Up: each input sample meets every tap. Down: each output sample does.
            kind, flops = "activation", 2 * TAPS * (inputs + outputs)
        found.append(Layer(name, kind, flops, weights, inputs, outputs))

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
