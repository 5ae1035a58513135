"""Forms of BigVGAN's alias-free activation that no engine takes, because engines run them slower.

Each gives the original's result to rounding, edges included; ``FORMS`` are all that ``studies/activations.py`` times.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.lowering.activation import FORMS as ENGINE_FORMS
from bench.lowering.activation import REACH, EngineActivation, Form, Frames, ends, snake
from bench.vocoders.alias_free import AliasFreeActivation


class Grouped(EngineActivation):
    """Two convolutions that take every channel for itself, and its two phases for two channels."""

    up: Tensor
    down: Tensor
    alpha: Tensor
    gain: Tensor
    even: Tensor
    odd: Tensor

    def __init__(self, original: AliasFreeActivation) -> None:
        super().__init__(original)
        self.register_buffer("up", self.up_pair.unsqueeze(1).repeat(self.channels, 1, 1))
        self.register_buffer("down", self.down_pair.unsqueeze(0).repeat(self.channels, 1, 1))
        self.register_buffer("alpha", self.alpha_values.repeat_interleave(2).view(1, -1, 1))
        self.register_buffer("gain", self.gain_values.repeat_interleave(2).view(1, -1, 1))
        pair = 2 * torch.arange(self.channels).repeat_interleave(2)
        self.register_buffer("even", pair)
        self.register_buffer("odd", pair + 1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(batch, channels, samples)`` to the same shape."""
        x = F.pad(x, (REACH, REACH), mode="replicate")
        x = snake(F.conv1d(x, self.up, groups=self.channels), self.alpha, self.gain)
        first = x[..., :1].index_select(1, self.even)
        last = x[..., -1:].index_select(1, self.odd)
        x = torch.cat([first] * REACH + [x] + [last] * REACH, dim=-1)
        return F.conv1d(x, self.down, groups=self.channels)


class Blocks(EngineActivation):
    """Polyphase in two convolutions that are dense within groups of ``width`` channels, diagonal in truth.

    The phases lie behind one another inside a group. The margins that the second convolution reads are joined on,
    or computed with the rest and overwritten by position.

    Args:
        original: The activation.
        width: Channels of a group; 0 for one group.
        select: Whether the first convolution computes the margins too and a select overwrites them.
    """

    up: Tensor
    down: Tensor
    even: Tensor
    odd: Tensor
    alpha: Tensor
    gain: Tensor

    def __init__(self, original: AliasFreeActivation, width: int, select: bool) -> None:
        super().__init__(original)
        width = self.channels if width == 0 or self.channels % width else width
        self.groups, self.select = self.channels // width, select
        one = torch.eye(width)
        # (2 width, width, 7): even phases, then odd ones.
        up = torch.cat([one.unsqueeze(-1) * row for row in self.up_pair]).repeat(self.groups, 1, 1)
        down = torch.cat([one.unsqueeze(-1) * row for row in self.down_pair], dim=1).repeat(self.groups, 1, 1)
        order = torch.arange(self.channels).view(self.groups, 1, width).repeat(1, 2, 1).flatten()
        even = torch.cat([one.unsqueeze(-1) * self.up_pair[0]] * 2).repeat(self.groups, 1, 1)
        odd = torch.cat([one.unsqueeze(-1) * self.up_pair[1]] * 2).repeat(self.groups, 1, 1)
        for name, value in {"up": up, "down": down, "even": even, "odd": odd}.items():
            self.register_buffer(name, value)
        self.register_buffer("alpha", self.alpha_values[order].view(1, -1, 1))
        self.register_buffer("gain", self.gain_values[order].view(1, -1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(batch, channels, samples)`` to the same shape."""
        frames = x.shape[-1]
        if self.select:
            x = F.pad(x, (2 * REACH, 2 * REACH), mode="replicate")
            first = F.conv1d(x[..., REACH : 3 * REACH + 1], self.even, groups=self.groups)
            last = F.conv1d(x[..., -3 * REACH - 1 : -REACH], self.odd, groups=self.groups)
            x = F.conv1d(x, self.up, groups=self.groups)
            place = torch.arange(frames + 2 * REACH, device=x.device)
            x = torch.where(place < REACH, first, torch.where(place >= frames + REACH, last, x))
            x = snake(x, self.alpha, self.gain)
        else:
            first = F.conv1d(F.pad(x[..., : REACH + 1], (REACH, 0), mode="replicate"), self.even, groups=self.groups)
            last = F.conv1d(F.pad(x[..., -REACH - 1 :], (0, REACH), mode="replicate"), self.odd, groups=self.groups)
            x = F.conv1d(F.pad(x, (REACH, REACH), mode="replicate"), self.up, groups=self.groups)
            x = torch.cat([first] * REACH + [x] + [last] * REACH, dim=-1)
            x = snake(x, self.alpha, self.gain)
        return F.conv1d(x, self.down, groups=self.groups)


class Shifted(EngineActivation):
    """Polyphase in multiply-adds of shifted slices."""

    alpha: Tensor
    gain: Tensor

    def __init__(self, original: AliasFreeActivation) -> None:
        super().__init__(original)
        self.register_buffer("alpha", self.alpha_values.view(1, -1, 1))
        self.register_buffer("gain", self.gain_values.view(1, -1, 1))
        self.up_numbers = [[float(tap) for tap in row] for row in self.up_pair.double()]
        self.down_numbers = [[float(tap) for tap in row] for row in self.down_pair.double()]

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(batch, channels, samples)`` to the same shape."""
        frames = x.shape[-1]
        x = F.pad(x, (REACH, REACH), mode="replicate")
        even, odd = (_shifts(x, taps, frames) for taps in self.up_numbers)
        even, odd = snake(even, self.alpha, self.gain), snake(odd, self.alpha, self.gain)
        left, right = even[..., :1], odd[..., -1:]
        even = torch.cat([left] * REACH + [even] + [right] * REACH, dim=-1)
        odd = torch.cat([left] * REACH + [odd] + [right] * REACH, dim=-1)
        return _shifts(even, self.down_numbers[0], frames) + _shifts(odd, self.down_numbers[1], frames)


def _shifts(x: Tensor, taps: list[float], frames: int) -> Tensor:
    parts = [tap * x[..., shift : shift + frames] for shift, tap in enumerate(taps) if tap]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


FORMS: dict[str, Form] = {
    "original": lambda original, _: original,
    "grouped": lambda original, _: Grouped(original),
    "blocks-32": lambda original, _: Blocks(original, width=32, select=False),
    "blocks-96": lambda original, _: Blocks(original, width=96, select=False),
    "blocks-96-select": lambda original, _: Blocks(original, width=96, select=True),
    "shifted": lambda original, _: Shifted(original),
    "frames-32": lambda original, rate: Frames(original, rate, size=32),
    "ends-16": ends(16),
    "ends-32": ends(32),
    **ENGINE_FORMS,
}
