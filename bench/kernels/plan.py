"""The plan of a vocoder: its layers as the kernels compute them, in float32 and free of any GPU.

A plan is the one thing that both code paths are built from. It holds plain weights; what has been folded into them is
said at each. ``make_plan`` raises :class:`bench.errors.UnsupportedError` with the reason where a shape does not fit.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from bench.errors import UnsupportedError
from bench.kernels import filters, packing
from bench.vocoders import Vocoder
from bench.vocoders.alias_free import AliasFreeActivation
from bench.vocoders.bigvgan import AmpBlock, BigVgan
from bench.vocoders.hifigan import LAST_SLOPE, SLOPE, ResBlock

# Branches that `branch_sum` adds.
MOST_BRANCHES = 4
# Channels that the last layer keeps in shared memory, samples that a tile's halo may have.
MOST_LAST_CHANNELS, MOST_HALO = 88, 256
# Tiles of a transposed convolution are this wide or wider where its phases read different windows.
LEAST_PHASE_TILE = 96
# Channels are moved in vectors of this many.
VECTOR = 8


@dataclass(frozen=True)
class Convolution:
    """A convolution of stride one.

    Attributes:
        weight: float32 ``(taps, columns, inputs)``; output ``t`` sums ``weight[tap] @ x[t + offset + tap * dilation]``.
        bias: float32 ``(columns,)``.
        dilation: Samples between taps.
        offset: Sample of the first tap relative to the output's.
        shifted_from: First column whose window starts one sample later; None for none.
        rate: Output samples in one row of ``columns``; above one for a transposed convolution.
    """

    weight: Tensor
    bias: Tensor
    dilation: int
    offset: int
    shifted_from: int | None = None
    rate: int = 1

    @cached_property
    def taps(self) -> int:
        """Taps of a window."""
        return self.weight.shape[0]

    @cached_property
    def columns(self) -> int:
        """Output columns: channels times rate."""
        return self.weight.shape[1]

    @cached_property
    def inputs(self) -> int:
        """Input channels."""
        return self.weight.shape[2]

    @cached_property
    def halo(self) -> int:
        """Samples that a window reaches beyond one."""
        return (self.taps - 1) * self.dilation

    def bare(self) -> "Convolution":
        """The same without the weight's values, which a layer has packed."""
        return replace(self, weight=self.weight.to("meta"))


@dataclass(frozen=True)
class Step:
    """One residual step: convolutions, each behind its activation.

    Attributes:
        convolutions: One or two.
        snakes: Their activations' parameters, float32 ``(channels, 2)``; empty where the activation is leaky ReLU.
    """

    convolutions: tuple[Convolution, ...]
    snakes: tuple[Tensor, ...]


@dataclass(frozen=True)
class Stage:
    """Upsampling and the residual branches behind it; their mean is the stage's output.

    Attributes:
        upsample: The transposed convolution.
        branches: Steps of each branch.
        channels: Channels of the branches.
        slope: Slope of the leaky ReLU that is stored of the mean; 1 for none.
    """

    upsample: Convolution
    branches: tuple[tuple[Step, ...], ...]
    channels: int
    slope: float


@dataclass(frozen=True)
class LastLayer:
    """The last activation, and the convolution onto one channel.

    Attributes:
        weight: float32 ``(taps, channels)``.
        bias: Its bias.
        snake: The activation's parameters; None where the input is stored activated.
        tanh: Whether tanh follows; else a clamp to [-1, 1].
    """

    weight: Tensor
    bias: float
    snake: Tensor | None
    tanh: bool


@dataclass(frozen=True)
class Plan:
    """A vocoder, layer by layer.

    Attributes:
        snake: Whether activations are alias-free snakes (BigVGAN); else leaky ReLUs (HiFi-GAN), whose results are
            stored in place of their arguments.
        element: Data type that tensors are stored in and products round their factors to.
        bands: Mel bands.
        first: The first convolution, on high, low and high parts of the mel, see :func:`bench.kernels.packing.split`.
        stages: In order.
        last: The last layer.
        samples_per_frame: Output samples for a mel frame.
    """

    snake: bool
    element: torch.dtype
    bands: int
    first: Convolution
    stages: tuple[Stage, ...]
    last: LastLayer
    samples_per_frame: int

    def bare(self) -> "Plan":
        """The same without the values of its convolutions' weights."""
        stages = tuple(
            replace(
                stage,
                upsample=stage.upsample.bare(),
                branches=tuple(
                    tuple(replace(step, convolutions=tuple(c.bare() for c in step.convolutions)) for step in branch)
                    for branch in stage.branches
                ),
            )
            for stage in self.stages
        )
        return replace(self, first=self.first.bare(), stages=stages)


def make_plan(vocoder: Vocoder, element: torch.dtype = torch.float16) -> Plan:
    """The plan of a vocoder; folds the activation's scale and the parts of the mel into the weights.

    Args:
        vocoder: float32, on any device.
        element: ``torch.float16`` or ``torch.bfloat16``.

    Raises:
        UnsupportedError: a shape that the kernels do not take.
    """
    snake = isinstance(vocoder, BigVgan)
    branches = len(vocoder.config.resblock_kernel_sizes)
    if not 1 <= branches <= MOST_BRANCHES:
        raise UnsupportedError(f"the kernels add 1 to {MOST_BRANCHES} residual branches, not {branches}.")
    stages = []
    for index in range(len(vocoder.ups)):
        blocks = list(vocoder.resblocks)[index * branches : (index + 1) * branches]
        last = index == len(vocoder.ups) - 1
        slope = 1.0 if snake else LAST_SLOPE if last else SLOPE
        stages.append(_stage(vocoder, index, blocks, slope, element))
    return Plan(
        snake=snake,
        element=element,
        bands=vocoder.spec.bands,
        first=_first(vocoder.conv_pre, element),
        stages=tuple(stages),
        last=_last(vocoder, stages[-1].channels, element),
        samples_per_frame=vocoder.spec.upsample,
    )


def _first(module: nn.Conv1d, element: torch.dtype) -> Convolution:
    _check_channels(module.out_channels, "the first convolution")
    plain = _convolution(module, 1.0, "the first convolution")
    weight = packing.split(plain.weight, element, VECTOR)
    return Convolution(weight, plain.bias, plain.dilation, plain.offset)


def _stage(vocoder: Vocoder, index: int, blocks: list[nn.Module], slope: float, element: torch.dtype) -> Stage:
    entry = vocoder.ups[index]
    module = entry if isinstance(entry, nn.ConvTranspose1d) else entry[0]  # type: ignore[index] # a list of one
    where = f"stage {index}"
    _check_channels(module.out_channels, where)
    branches = tuple(_steps(block, element, f"{where}, branch {n}") for n, block in enumerate(blocks))
    return Stage(_upsample(module, where), branches, module.out_channels, slope)


def _upsample(module: nn.ConvTranspose1d, where: str) -> Convolution:
    rate, kernel = module.stride[0], module.kernel_size[0]
    if kernel < rate or (kernel - rate) % 2:
        raise UnsupportedError(f"{where}: an upsample kernel is its rate plus an even number, not {kernel} at {rate}.")
    weight, offset, phase = packing.polyphase(module.weight.detach().float(), rate)
    shifted = None if phase is None else phase * module.out_channels
    if shifted is not None and shifted % LEAST_PHASE_TILE and shifted % 128:
        weight, shifted = packing.unshifted(weight, shifted), None
    _check_halo(weight.shape[0] - 1, where)
    return Convolution(weight, _bias(module, module.out_channels).repeat(rate), 1, offset, shifted, rate)


def _steps(block: nn.Module, element: torch.dtype, where: str) -> tuple[Step, ...]:
    if not isinstance(block, AmpBlock | ResBlock):
        raise UnsupportedError(f"{where}: no kernel computes a {type(block).__name__}.")
    groups = [block.convs1, block.convs2] if block.two else [block.convs]
    activations = list(block.activations) if isinstance(block, AmpBlock) else []
    fold = 1 / filters.gain(element) if activations else 1.0
    steps = []
    for number, modules in enumerate(zip(*groups, strict=True)):
        mine = activations[number * len(groups) : (number + 1) * len(groups)]
        steps.append(
            Step(
                tuple(_convolution(module, fold, where) for module in modules),
                tuple(_snake(activation, element) for activation in mine),
            )
        )
    return tuple(steps)


def _last(vocoder: Vocoder, channels: int, element: torch.dtype) -> LastLayer:
    if channels > MOST_LAST_CHANNELS:
        raise UnsupportedError(f"the last layer takes {MOST_LAST_CHANNELS} channels or fewer, not {channels}.")
    module = vocoder.conv_post
    weight = module.weight.detach().float()[0].T.contiguous()
    bias = 0.0 if module.bias is None else float(module.bias.detach())
    if isinstance(vocoder, BigVgan):
        snake = _snake(vocoder.activation_post, element)
        return LastLayer(weight / filters.gain(element), bias, snake, vocoder.config.use_tanh_at_final)
    return LastLayer(weight, bias, None, True)


def _snake(activation: nn.Module, element: torch.dtype) -> Tensor:
    if not isinstance(activation, AliasFreeActivation):
        raise UnsupportedError(f"no kernel computes a {type(activation).__name__}.")
    return packing.snake_parameters(activation.act, element)


def _convolution(module: nn.Module, fold: float, where: str) -> Convolution:
    if not isinstance(module, nn.Conv1d) or module.kernel_size[0] % 2 == 0:
        raise UnsupportedError(f"{where}: the kernels compute convolutions with an odd kernel.")
    dilation, taps = module.dilation[0], module.kernel_size[0]
    _check_halo((taps - 1) * dilation, where)
    weight = module.weight.detach().float().permute(2, 0, 1).contiguous() * fold
    return Convolution(weight, _bias(module, module.out_channels), dilation, -(taps - 1) * dilation // 2)


def _bias(module: nn.Module, channels: int) -> Tensor:
    bias = getattr(module, "bias", None)
    return torch.zeros(channels) if bias is None else bias.detach().float()


def _check_channels(channels: int, where: str) -> None:
    if channels % VECTOR:
        raise UnsupportedError(
            f"{where}: the kernels move {VECTOR} channels at a time, which {channels} is no multiple of."
        )


def _check_halo(halo: int, where: str) -> None:
    if halo > MOST_HALO:
        raise UnsupportedError(f"{where}: a window of {halo + 1} samples; the kernels take {MOST_HALO + 1} or fewer.")
