"""A generator's trunk over two-dimensional signals, one sample wide.

TensorRT computes one-dimensional convolutions as two-dimensional ones, and puts a change of shape before and after
each, which keeps its neighbours apart: a signal that is cut into parts, added to or divided is copied once more on its
way, partly into float32. Here the shape changes at the ends of the trunk only, and around activations.
"""

from typing import Any

import torch
from torch import Tensor, nn

from bench.lowering.activation import EngineActivation
from bench.vocoders.alias_free import AliasFreeActivation


def in_planes(generator: nn.Module) -> nn.Module:
    """Rewrites a generator in place: equal results, from and to the same shapes, and layers keep their names.

    Args:
        generator: Either version, lowered.
    """
    done: list[str] = []
    for name, module in list(generator.named_modules()):
        if any(name.startswith(f"{other}.") for other in done):
            continue
        if name == "conv_pre":
            module.register_forward_hook(_widen)
        elif name == "conv_post":
            module.register_forward_pre_hook(_narrow)
        elif isinstance(module, EngineActivation | AliasFreeActivation):
            module.register_forward_pre_hook(_narrow)
            module.register_forward_hook(_widen)
        elif isinstance(module, nn.Conv1d | nn.ConvTranspose1d):
            parent, _, child = name.rpartition(".")
            setattr(generator.get_submodule(parent), child, _plane(module))
        else:
            continue
        done.append(name)
    return generator


def _widen(_module: nn.Module, _given: Any, made: Tensor) -> Tensor:
    return made.unsqueeze(-1)


def _narrow(_module: nn.Module, given: tuple[Tensor]) -> tuple[Tensor]:
    return (given[0].squeeze(-1),)


def _plane(conv: nn.Conv1d | nn.ConvTranspose1d) -> nn.Module:
    kind = nn.Conv2d if isinstance(conv, nn.Conv1d) else nn.ConvTranspose2d
    with torch.device("meta"):
        plane = kind(
            conv.in_channels,
            conv.out_channels,
            kernel_size=(conv.kernel_size[0], 1),
            stride=(conv.stride[0], 1),
            padding=(int(conv.padding[0]), 0),
            dilation=(conv.dilation[0], 1),
            groups=conv.groups,
            bias=conv.bias is not None,
        )
    plane.weight = nn.Parameter(conv.weight.detach().unsqueeze(-1))
    if conv.bias is not None:
        plane.bias = nn.Parameter(conv.bias.detach())
    return plane.train(conv.training)
