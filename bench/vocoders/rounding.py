"""Precisions emulated on a CPU: what a GPU's tensor cores would round is rounded, and sums stay float32.

A convolution's weights and what it reads are rounded, and for 16-bit types what it writes. For calibration and tests; a
backend runs the real thing.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

Rounding = Callable[[Tensor], Tensor]


def through(dtype: torch.dtype) -> Rounding:
    """Rounds to a floating-point type and back."""
    return lambda x: x.to(dtype).to(torch.float32)


def tf32(x: Tensor) -> Tensor:
    """Rounds to the 10 explicit mantissa bits of TF32, to nearest, ties away from zero, as the hardware does."""
    bits = x.contiguous().view(torch.int32)
    return ((bits + 0x1000) & ~0x1FFF).view(torch.float32)


def scaled(quantise: Rounding, largest: float) -> Rounding:
    """Rounds after scaling the tensor's largest magnitude to that of the type."""

    def rounding(x: Tensor) -> Tensor:
        scale = x.abs().amax().clamp(min=1e-12) / largest
        return quantise(x / scale) * scale

    return rounding


def per_channel(rounding: Rounding) -> Rounding:
    """Applies a rounding to each output channel of a weight by itself."""
    return lambda weight: torch.stack([rounding(row) for row in weight])


INT8 = scaled(lambda x: x.round().clamp(-127, 127), 127.0)
FP8 = scaled(through(torch.float8_e4m3fn), 448.0)


def unchanged(x: Tensor) -> Tensor:
    """Rounds nothing."""
    return x


@contextmanager
def rounded(model: nn.Module, weight: Rounding, entry: Rounding, exit_: Rounding = unchanged) -> Iterator[None]:
    """Rounds every convolution's weights, inputs and outputs; sums inside a convolution stay float32."""
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv1d | nn.ConvTranspose1d)]
    kept = [m.weight.data for m in convolutions]
    hooks = []
    for module in convolutions:
        # A transposed convolution keeps its output channels second.
        turned = isinstance(module, nn.ConvTranspose1d)
        data = module.weight.data.transpose(0, 1) if turned else module.weight.data
        data = weight(data)
        module.weight.data = data.transpose(0, 1).contiguous() if turned else data
        hooks.append(module.register_forward_pre_hook(lambda _, args: (entry(args[0]),)))
        hooks.append(module.register_forward_hook(lambda _module, _args, output: exit_(output)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for module, data in zip(convolutions, kept, strict=True):
            module.weight.data = data


def emulate(weight: Rounding, entry: Rounding, exit_: Rounding = unchanged) -> Callable[[nn.Module, Tensor], Tensor]:
    """A way of running the network with everything that a kernel reads or writes rounded."""

    def run(network: nn.Module, mel: Tensor) -> Tensor:
        with rounded(network, weight, entry, exit_):
            output: Tensor = network(mel)
        return output

    return run


def natively(dtype: torch.dtype) -> Callable[[nn.Module, Tensor], Tensor]:
    """Runs PyTorch's own kernels in a floating-point type."""

    def run(network: nn.Module, mel: Tensor) -> Tensor:
        # A copy: casting back would leave the weights rounded.
        output: Tensor = copy.deepcopy(network).to(dtype)(mel.to(dtype))
        return output

    return run


def autocast(network: nn.Module, mel: Tensor) -> Tensor:
    """PyTorch's autocast to float16."""
    with torch.autocast("cpu", torch.float16):
        output: Tensor = network(mel)
    return output


def by_fft(network: nn.Module, mel: Tensor) -> Tensor:
    """Float32 with stride-1 convolutions by FFT: another exact algorithm, and the least accurate cuDNN may choose."""

    def convolve(module: nn.Conv1d, args: tuple[Tensor, ...], _: Tensor) -> Tensor:
        x, kernel, dilation, padding = args[0], module.weight, module.dilation[0], int(module.padding[0])
        taps = torch.zeros(*kernel.shape[:2], (kernel.shape[2] - 1) * dilation + 1)
        taps[..., ::dilation] = kernel.flip(-1)
        size = 1 << (x.shape[-1] + taps.shape[-1] - 2).bit_length()
        product = torch.einsum("bit,oit->bot", torch.fft.rfft(x, size), torch.fft.rfft(taps, size))
        y = torch.fft.irfft(product, size)[..., taps.shape[-1] - 1 - padding :][..., : x.shape[-1]]
        exact: Tensor = y if module.bias is None else y + module.bias[:, None]
        return exact

    convolutions = [m for m in network.modules() if type(m) is nn.Conv1d]
    hooks = [module.register_forward_hook(convolve) for module in convolutions]
    output: Tensor = network(mel)
    for hook in hooks:
        hook.remove()
    return output


HALF, BRAIN = through(torch.float16), through(torch.bfloat16)
VARIANTS: dict[tuple[str, str], Callable[[nn.Module, Tensor], Tensor]] = {
    ("fp32", "float64"): natively(torch.float64),
    ("fp32", "convolutions by FFT"): by_fft,
    ("tf32", "inputs and weights rounded"): emulate(tf32, tf32),
    ("fp16", "rounded, float32 sums"): emulate(HALF, HALF, HALF),
    ("fp16", "PyTorch on the CPU"): natively(torch.float16),
    ("bf16", "rounded, float32 sums"): emulate(BRAIN, BRAIN, BRAIN),
    ("bf16", "PyTorch on the CPU"): natively(torch.bfloat16),
    ("autocast", "PyTorch on the CPU, float16"): autocast,
    ("int8", "weights by channel"): emulate(per_channel(INT8), unchanged),
    ("int8", "weights by channel, inputs by tensor"): emulate(per_channel(INT8), INT8),
    ("fp8", "E4M3 weights by channel"): emulate(per_channel(FP8), unchanged),
    ("fp8", "E4M3 weights by channel, inputs by tensor"): emulate(per_channel(FP8), FP8),
}
