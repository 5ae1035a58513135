"""The alias-free activation without its interleaved signal: the form that engines are built from.

Upsampling by two and downsampling by two are done on the even and the odd samples as two channels, so that
nothing runs at the double rate and no transposed convolution is left. The result is the original's to
rounding, edges included: there the double-rate signal is continued by its first and last samples, which are
the first even and the last odd one.
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.vocoders.alias_free import EPSILON, RATIO, TAPS, AliasFreeActivation

# Frames that a phase's filter reaches to either side.
REACH = TAPS // 4


class PolyphaseActivation(nn.Module):
    """Equal to :class:`AliasFreeActivation`, in two grouped convolutions.

    Args:
        original: The activation to rewrite; its parameters become constants.
    """

    up: Tensor
    down: Tensor
    alpha: Tensor
    gain: Tensor
    even: Tensor
    odd: Tensor

    def __init__(self, original: AliasFreeActivation) -> None:
        super().__init__()
        snake = original.act
        alpha = snake.alpha.detach()
        beta = alpha if snake.beta is None else snake.beta.detach()
        if snake.logscale:
            alpha, beta = alpha.exp(), beta.exp()
        channels = self.channels = len(alpha)
        up = RATIO * original.upsample.filter.detach().flatten()
        down = original.downsample.lowpass.filter.detach().flatten()
        # Row 0 makes the even samples from offsets -3..3, row 1 the odd ones; a zero fills the free place.
        up_pair = torch.stack([F.pad(up[1::2].flip(0), (0, 1)), F.pad(up[0::2].flip(0), (1, 0))])
        down_pair = torch.stack([F.pad(down[1::2], (1, 0)), F.pad(down[0::2], (0, 1))])
        self.register_buffer("up", up_pair.unsqueeze(1).repeat(channels, 1, 1))
        self.register_buffer("down", down_pair.unsqueeze(0).repeat(channels, 1, 1))
        self.register_buffer("alpha", alpha.repeat_interleave(2).view(1, -1, 1))
        self.register_buffer("gain", (1.0 / (beta + EPSILON)).repeat_interleave(2).view(1, -1, 1))
        pair = 2 * torch.arange(channels).repeat_interleave(2)
        self.register_buffer("even", pair)
        self.register_buffer("odd", pair + 1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(batch, channels, samples)`` to the same shape."""
        x = F.pad(x, (REACH, REACH), mode="replicate")
        x = F.conv1d(x, self.up, groups=self.channels)
        wave = torch.sin(x * self.alpha)
        x = x + self.gain * (wave * wave)
        first = x[..., :1].index_select(1, self.even)
        last = x[..., -1:].index_select(1, self.odd)
        x = torch.cat([first] * REACH + [x] + [last] * REACH, dim=-1)
        return F.conv1d(x, self.down, groups=self.channels)


def polyphase(vocoder: nn.Module) -> nn.Module:
    """A copy of ``vocoder`` with every alias-free activation in its polyphase form; v4 has none."""
    twin = copy.deepcopy(vocoder)
    for parent in list(twin.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, AliasFreeActivation):
                setattr(parent, name, PolyphaseActivation(child))
    return twin.eval()
