"""The alias-free activation without its interleaved signal: the forms that engines are built from.

Upsampling by two and downsampling by two are done on the even and the odd samples apart, so that nothing runs at
the double rate and no transposed convolution is left. Every form gives the original's result to rounding, edges
included: there the double-rate signal is continued by its first and last samples, which are the first even and
the last odd one. Which form an engine runs fastest is a matter of measurement: ``studies/activations.py``.
"""

import copy
import math
import re
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.errors import InputError
from bench.vocoders.alias_free import EPSILON, RATIO, TAPS, AliasFreeActivation
from bench.vocoders.bigvgan import BigVgan, BigVganConfig

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
        self.register_buffer("edges", torch.block_diag(first, last))

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


def _ends(size: int) -> Form:
    def form(original: AliasFreeActivation, rate: int) -> nn.Module:
        return Ends(original, rate, size) if math.gcd(rate, size) >= LEAST else Frames(original, rate, SHORT_SIZE)

    return form


# Each takes an activation and its samples per mel frame. A form's frames are no longer than that: kernels that round a
# sum as it grows do it differently from place to place in a frame, and a steady sound stays steady only if that
# repeats with every mel frame.
FORMS: dict[str, Form] = {
    "original": lambda original, _: original,
    "grouped": lambda original, _: Grouped(original),
    "blocks-32": lambda original, _: Blocks(original, width=32, select=False),
    "blocks-96": lambda original, _: Blocks(original, width=96, select=False),
    "blocks-96-select": lambda original, _: Blocks(original, width=96, select=True),
    "shifted": lambda original, _: Shifted(original),
    "frames-16": lambda original, rate: Frames(original, rate, size=16),
    "frames-32": lambda original, rate: Frames(original, rate, size=32),
    "ends-16": _ends(16),
    "ends-32": _ends(32),
    "ends-64": _ends(64),
}
# Matrix products only, nothing strided, depthwise or padded; benchmarks/README.md says what is measured of it.
DEFAULT_FORM = "ends-64"
SHORT_FORM = "frames-16"  # for fewer frames than that takes


def fewest_frames(form: str) -> int:
    """Mel frames that a graph of open length with this form takes at least.

    Both ends and two frames between them, because ``torch.export`` takes a size that may be one for a case of its own.
    """
    return FEWEST if form.startswith("ends") else 1


def known_form(name: str) -> str:
    """The name, if there is such a form.

    Raises:
        InputError: there is none.
    """
    if name not in FORMS:
        raise InputError(f"option activation is one of {', '.join(FORMS)}, not {name!r}")
    return name


def polyphase(vocoder: nn.Module, form: str = DEFAULT_FORM) -> nn.Module:
    """A copy of ``vocoder`` with every alias-free activation in another form; v4 has none.

    Args:
        vocoder: In float32.
        form: One of ``FORMS``.

    Raises:
        InputError: an unknown form.
    """
    known_form(form)
    twin = copy.deepcopy(vocoder)
    if isinstance(twin, BigVgan):
        for name, module in list(twin.named_modules()):
            if isinstance(module, AliasFreeActivation):
                parent, _, child = name.rpartition(".")
                setattr(twin.get_submodule(parent), child, FORMS[form](module, _rate(twin.config, name)))
    return twin.eval()


def share_constants(form: nn.Module) -> nn.Module:
    """Lets activations with equal matrices have the same ones, in place.

    The exporter then sees that the residual blocks of a stage begin with the same product of the same signal, and
    writes it once.
    """
    known: dict[tuple[torch.dtype, torch.Size, bytes], Tensor] = {}
    for module in form.modules():
        if isinstance(module, EngineActivation):
            for name, value in list(module.named_buffers(recurse=False)):
                key = (value.dtype, value.shape, value.cpu().flatten().view(torch.uint8).numpy().tobytes())
                setattr(module, name, known.setdefault(key, value))
    return form


def _rate(config: BigVganConfig, name: str) -> int:
    """Samples per mel frame at a module of a BigVGAN."""
    rates = config.upsample_rates
    found = re.match(r"resblocks\.(\d+)\.", name)
    if found is None:
        return math.prod(rates)
    return math.prod(rates[: int(found[1]) // len(config.resblock_kernel_sizes) + 1])
