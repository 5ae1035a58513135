"""The alias-free activation without its interleaved signal, as engines compute it.

Upsampling by two and downsampling by two are done on the even and the odd samples apart, so that nothing runs at
the double rate and no transposed convolution is left. Both kinds give the original's result to rounding, edges
included: there the double-rate signal is continued by its first and last samples, which are the first even and
the last odd one. ``studies/activations.py`` times them, and others that engines run slower.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.errors import InputError
from bench.vocoders.alias_free import EPSILON, RATIO, TAPS, AliasFreeActivation

# Samples that a phase's filter reaches to either side.
REACH = TAPS // 4
# Rows of matrices are multiples of this many elements, 16 bytes in float16.
ALIGNED = 8
# The fewest samples of frames whose ends have matrices of their own, and the mel frames that these need.
LEAST, FEWEST = 4, 6
SHORT_SIZE = 16


class EngineActivation(nn.Module):
    """The constants that every form is made of; ``alpha`` and ``gain`` are ``(channels,)``."""

    def __init__(self, original: AliasFreeActivation) -> None:
        super().__init__()
        snake = original.act
        alpha = snake.alpha.detach()
        beta = alpha if snake.beta is None else snake.beta.detach()
        if snake.logscale:
            alpha, beta = alpha.exp(), beta.exp()
        self.channels = len(alpha)
        self.alpha_values, self.gain_values = alpha, 1.0 / (beta + EPSILON)
        self.up_taps = (RATIO * original.upsample.filter.detach()).flatten()
        self.down_taps = original.downsample.lowpass.filter.detach().flatten()
        # Rows: the even phase's taps at offsets -3..3 and the odd one's; then what each gives to the output.
        self.up_pair = torch.stack(
            [F.pad(self.up_taps[1::2].flip(0), (0, 1)), F.pad(self.up_taps[0::2].flip(0), (1, 0))]
        )
        self.down_pair = torch.stack([F.pad(self.down_taps[1::2], (1, 0)), F.pad(self.down_taps[0::2], (0, 1))])


def snake(x: Tensor, alpha: Tensor, gain: Tensor) -> Tensor:
    """``x + gain sin(alpha x)^2``."""
    wave = torch.sin(x * alpha)
    return x + gain * (wave * wave)


class Frames(EngineActivation):
    """Two matrix products over frames of samples that overlap by their filters' reach.

    A frame's product holds all double-rate samples that its own output needs, so frames do not meet again.

    Args:
        original: The activation.
        rate: Samples that the input's length is a multiple of, those of a mel frame or more.
        size: Samples of a frame at most; the largest divisor that it shares with ``rate`` is used.
    """

    up: Tensor
    down: Tensor
    alpha: Tensor
    gain: Tensor
    first: Tensor
    last: Tensor

    def __init__(self, original: AliasFreeActivation, rate: int, size: int) -> None:
        super().__init__(original)
        self.size = size = math.gcd(rate, size)
        # Slices of the input that, side by side, reach six samples beyond a frame on both sides.
        self.slices = 1 + math.ceil(4 * REACH / size)
        self.margin = (self.slices - 1) * size // 2
        # Double-rate samples -6 to 2 size + 5 of a frame; then nothing, up to what matrix products like to read.
        self.inner = -(-(2 * size + 4 * REACH) // ALIGNED) * ALIGNED
        up = self.up_taps.new_zeros(self.slices * size, self.inner)
        for column in range(2 * size + 4 * REACH):
            base, odd = divmod(column - 2 * REACH, 2)
            for offset, tap in enumerate(self.up_pair[odd]):
                up[base + offset - REACH + self.margin, column] += tap
        down = self.down_taps.new_zeros(self.inner, size)
        for column in range(size):
            down[2 * column + 1 : 2 * column + 1 + TAPS, column] = self.down_taps
        self.register_buffer("up", up)
        self.register_buffer("down", down)
        self.register_buffer("alpha", self.alpha_values.view(1, -1, 1))
        self.register_buffer("gain", self.gain_values.view(1, -1, 1))
        self.register_buffer("first", self.up_pair[:1].T.contiguous())
        self.register_buffer("last", self.up_pair[1:].T.contiguous())

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(batch, channels, samples)`` to the same shape."""
        return self.activate(self.double_rate(x).reshape(*x.shape[:2], -1)).reshape(x.shape)

    def activate(self, inner: Tensor) -> Tensor:
        """From every frame's double-rate samples, ``(batch, channels, frames * inner)``, to the output's frames."""
        # In three dimensions TensorRT 8.6 makes one kernel of the snake, in four three.
        inner = snake(inner, self.alpha, self.gain)
        return inner.reshape(*inner.shape[:2], -1, self.inner) @ self.down

    def double_rate(self, x: Tensor) -> Tensor:
        """Every frame's double-rate samples, ``(batch, channels, frames, inner)``, edges put right by position."""
        batch, channels, samples = x.shape
        size, margin = self.size, self.margin
        x = F.pad(x, (margin, margin), mode="replicate")
        parts = [x[..., i * size : i * size + samples] for i in range(self.slices)]
        window = torch.cat([part.reshape(batch, channels, -1, size) for part in parts], dim=-1)
        begin, end = margin - REACH, margin + REACH + 1
        first = (x[..., begin:end] @ self.first).unsqueeze(-1)
        last = (x[..., samples - 1 + begin : samples - 1 + end] @ self.last).unsqueeze(-1)
        inner = window @ self.up
        frame = torch.arange(samples // size, device=x.device).view(-1, 1)
        place = torch.arange(self.inner, device=x.device) - 2 * REACH + 2 * size * frame
        return torch.where(place < 0, first, torch.where(place >= 2 * samples, last, inner))


class Ends(Frames):
    """:class:`Frames` whose first and last frames have matrices of their own, which know how the signal goes on.

    Nothing is padded and nothing chosen by position, and what a frame sees of its neighbours is as little as it needs.
    Inputs too short for a frame between the ends are computed as there.

    Args:
        original: The activation.
        rate: As in :class:`Frames`.
        size: As in :class:`Frames`.
    """

    between: Tensor
    edges: Tensor

    def __init__(self, original: AliasFreeActivation, rate: int, size: int) -> None:
        super().__init__(original, rate, size)
        size = self.size
        # As many samples to either side as a frame needs, up to rows that matrix products like to read.
        fitting = (side for side in range(2 * REACH, 2 * REACH + ALIGNED) if (size + 2 * side) % ALIGNED == 0)
        self.side = side = next(fitting, 2 * REACH)
        self.ends = ends = math.ceil(side / size)  # frames at either end that see an edge
        # The frames that they lie in, counted from this one, and from where to where.
        spans = [
            (offset, max(0, -side - offset * size), min(size, size + side - offset * size))
            for offset in range(-ends, ends + 1)
        ]
        self.spans = [(ends + offset, begin, end) for offset, begin, end in spans]
        # Samples that the frames at an end need.
        self.reach = min(ends * size + ALIGNED, (2 * ends + 1) * size)
        # What is linear is known by what it makes of unit impulses; one frame in the middle sees no edge.
        middle = len(spans) + ends
        impulses = torch.eye((2 * middle + 1) * size, dtype=self.up.dtype, device=self.up.device)
        made = self.double_rate(impulses.unsqueeze(0)).squeeze(0)
        start = middle * size - side
        self.register_buffer("between", made[start : start + size + 2 * side, middle].contiguous())
        first, last = made[: self.reach, :ends].flatten(1), made[-self.reach :, -ends:].flatten(1)
        self.register_buffer("edges", torch.block_diag(first, last))  # PyTorch's annotations end here

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(batch, channels, samples)`` to the same shape."""
        batch, channels, samples = x.shape
        if samples < (2 * self.ends + 1) * self.size:
            return super().forward(x)
        frames = x.reshape(batch, channels, -1, self.size)
        last = samples // self.size - 2 * self.ends
        window = [frames[:, :, first : first + last, begin:end] for first, begin, end in self.spans]
        inner = (torch.cat(window, dim=-1) @ self.between).reshape(batch, channels, -1)
        # Both ends in one product.
        ends = torch.cat([x[..., : self.reach], x[..., samples - self.reach :]], dim=-1) @ self.edges
        length = self.ends * self.inner
        return self.activate(torch.cat([ends[..., :length], inner, ends[..., length:]], dim=-1)).reshape(x.shape)


Form = Callable[[AliasFreeActivation, int], nn.Module]


def ends(size: int) -> Form:
    """:class:`Ends` of ``size`` samples at most where the rate has frames for it, else :class:`Frames`."""

    def form(original: AliasFreeActivation, rate: int) -> nn.Module:
        return Ends(original, rate, size) if math.gcd(rate, size) >= LEAST else Frames(original, rate, SHORT_SIZE)

    return form


# Each takes an activation and its samples per mel frame. A form's frames are no longer than that: kernels that round a
# sum as it grows do it differently from place to place in a frame, and a steady sound stays steady only if that
# repeats with every mel frame.
FORMS: dict[str, Form] = {
    "ends-64": ends(64),
    "frames-16": lambda original, rate: Frames(original, rate, SHORT_SIZE),
}
# Matrix products only, nothing strided, depthwise or padded; studies/README.md says what is measured of it.
DEFAULT_FORM = "ends-64"
SHORT_FORM = "frames-16"  # for fewer frames than that takes
# The activation as it is, for runtimes other than TensorRT, whose depthwise convolutions are fast.
ORIGINAL = "original"


def fewest_frames(form: str) -> int:
    """Mel frames that a graph of open length with this form takes at least.

    Both ends and two frames between them, because ``torch.export`` takes a size that may be one for a case of its own.
    """
    return FEWEST if form.startswith("ends") else 1


def find_form(name: str) -> Form:
    """The form of that name; ``original`` is the activation as it is.

    Raises:
        InputError: there is none.
    """
    return (lambda original, _: original) if name == ORIGINAL else FORMS[known_form(name)]


def known_form(name: str) -> str:
    """The name, if there is such a form.

    Raises:
        InputError: there is none.
    """
    if name not in FORMS:
        raise InputError(f"option activation is one of {', '.join(FORMS)}, not {name!r}")
    return name
