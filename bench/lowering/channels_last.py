"""A generator with channels last, in layers that PyTorch's compiler fuses.

A one-dimensional convolution has no channels-last form in cuDNN, and PyTorch converts its layout before and after each.
Here a signal is an image one row high, ``(batch, channels, 1, samples)`` with channels innermost, a convolution is one
of ``1 x kernel``, and the alias-free activation is a sum of shifted slices, which the compiler turns into two kernels.
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.lowering.activation import REACH, EngineActivation, snake
from bench.vocoders.alias_free import RATIO, AliasFreeActivation


def channels_last(vocoder: nn.Module, dtype: torch.dtype, device: torch.device) -> nn.Module:
    """A copy of a vocoder with equal results, from and to the same shapes; layers keep their names.

    Args:
        vocoder: Either version, in float32 or float64; it is left as it is.
        dtype: Of convolutions, input and output. Activations compute in float32 at least.
        device: Where the copy goes.
    """
    form = copy.deepcopy(vocoder)
    done: list[str] = []
    for name, module in list(form.named_modules()):
        if any(name.startswith(f"{other}.") for other in done):
            continue
        if isinstance(module, AliasFreeActivation):
            new: nn.Module = RowActivation(module)
        elif isinstance(module, nn.Conv1d | nn.ConvTranspose1d):
            new = _in_a_row(module).to(dtype)
            new = _Enter(new) if name == "conv_pre" else _Leave(new) if name == "conv_post" else new
        else:
            continue
        parent, _, child = name.rpartition(".")
        setattr(form.get_submodule(parent), child, new)
        done.append(name)
    return form.to(device).eval().requires_grad_(False)


class RowActivation(EngineActivation):
    """The alias-free activation of ``(batch, channels, 1, samples)``, as weighted sums of a sliding window.

    Written with few operations, because a compiler's time goes by their number. The even and the odd samples of the
    double rate are apart. The edges are the original's: the double-rate signal goes on with its first sample, which is
    even, and with its last one, which is odd.
    """

    up: Tensor
    down: Tensor
    alpha: Tensor
    gain: Tensor

    def __init__(self, original: AliasFreeActivation) -> None:
        super().__init__(original)
        self.register_buffer("up", self.up_pair)
        self.register_buffer("down", self.down_pair)
        self.register_buffer("alpha", self.alpha_values)
        self.register_buffer("gain", self.gain_values)

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(batch, channels, 1, samples)`` to the same shape; between, channels stand last in the shape too."""
        dtype, wide = x.dtype, torch.promote_types(x.dtype, torch.float32)
        x = F.pad(x.permute(0, 2, 3, 1), (0, 0, REACH, REACH), mode="replicate").squeeze(1).to(wide)
        even, odd = (snake(_slide(x, self.up[phase]), self.alpha, self.gain).to(dtype) for phase in range(RATIO))
        first, last = even[:, :1].expand(-1, REACH, -1), odd[:, -1:].expand(-1, REACH, -1)
        even, odd = (torch.cat([first, phase, last], dim=1).to(wide) for phase in (even, odd))
        low = _slide(even, self.down[0]) + _slide(odd, self.down[1])
        return low.to(dtype).permute(0, 2, 1).unsqueeze(2)


def _slide(x: Tensor, taps: Tensor) -> Tensor:
    """The sum of every window of ``(batch, samples, channels)`` weighted by ``taps``."""
    return (x.unfold(1, len(taps), 1) * taps).sum(-1)


class _Enter(nn.Module):
    """The first convolution, behind the change of shape."""

    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, mel: Tensor) -> Tensor:
        made: Tensor = self.conv(mel.unsqueeze(2).contiguous(memory_format=torch.channels_last))
        return made


class _Leave(nn.Module):
    """The last convolution, before the change back."""

    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.conv(x)
        return made.squeeze(2)


def _in_a_row(conv: nn.Conv1d | nn.ConvTranspose1d) -> nn.Module:
    kind = nn.Conv2d if isinstance(conv, nn.Conv1d) else nn.ConvTranspose2d
    with torch.device("meta"):
        row = kind(
            conv.in_channels,
            conv.out_channels,
            kernel_size=(1, conv.kernel_size[0]),
            stride=(1, conv.stride[0]),
            padding=(0, int(conv.padding[0])),
            dilation=(1, conv.dilation[0]),
            groups=conv.groups,
            bias=conv.bias is not None,
        )
    weight = conv.weight.detach().unsqueeze(2).contiguous(memory_format=torch.channels_last)
    row.weight = nn.Parameter(weight, requires_grad=False)
    if conv.bias is not None:
        row.bias = nn.Parameter(conv.bias.detach(), requires_grad=False)
    return row
