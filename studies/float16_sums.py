"""What adding in float16 costs, which layers it comes from, and what float32 gains where it counts.

    python studies/float16_sums.py [--version v3] [--frames 24] [--sound speech]

TensorRT 8.6 takes kernels whose sums are float16 and cannot be told to take others. This simulates them on any
machine: a tensor core adds sixteen products, and the sum so far is rounded to float16. All else is float16 as PyTorch
computes it. First the vocoder as it is, with some convolutions adding in float32; then with some kept in float32,
whose kernels are TF32's and cut the weights off, which are rounded before or not; at last, of v3, what engines are
built as: its trunk in float32, too, and the matrix products of its activations adding in float16, which would show in
steady sounds if frames were longer than a mel frame: ``--only products --sound silence --frames 468``. Give
``--weights`` for weights of your own.
"""

import argparse
import copy
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.audio.speech import Voice
from bench.errors import InputError
from bench.lowering.activation import DEFAULT_FORM, FORMS, Ends, EngineActivation
from bench.lowering.engine_form import lower_layers
from bench.lowering.mixed_precision import Float32, round_to_tf32
from bench.quality.fidelity import compare_items, worst
from bench.quality.verdict import judge
from bench.spec import SPECS
from bench.trt.float32 import DEFAULT_FLOAT32
from bench.vocoders import Vocoder, load_vocoder
from bench.vocoders.alias_free import AliasFreeActivation
from bench.vocoders.bigvgan import AmpBlock, BigVgan

# Products that a tensor core adds at once in float16: the depth of its smallest matrix product.
DEPTH = 16
# After how many products what the matrix products of TensorRT 8.6 round repeats, by the log-spectral distances of
# engines on an H100, docs/tensorrt.md.
PERIOD = 32
# As the networks name their layers; a stage has three residual blocks.
GROUPS = {
    "all": ".*",
    "conv_pre": "conv_pre",
    "ups": "ups",
    **{f"blocks of stage {i}": rf"resblocks\.({3 * i}|{3 * i + 1}|{3 * i + 2})\." for i in range(3)},
    "conv_pre and ups": "conv_pre|ups",
}
# What is kept in TF32, by what to call it.
STAGES = r"conv_pre|ups|conv_post|resblocks\.(%s)\.convs"
KEPT = {
    "v3": {
        "ups": "ups",
        "all but blocks": "conv_pre|ups|conv_post",
        "all but blocks from stage 3": STAGES % r"\d",
        "all but blocks from stage 4": DEFAULT_FLOAT32["v3"],
    },
    "v4": {
        "conv_pre": "conv_pre",
        "conv_pre, ups.0": r"conv_pre|ups\.0",
        "conv_pre, ups.0, ups.1": DEFAULT_FLOAT32["v4"],
        "conv_pre, ups": "conv_pre|ups",
    },
}
# The activations whose products add in float16, and whether their frames hold four mel frames.
PRODUCTS = {"float32": ("$", False), "float16": ("", False), "float16, long frames": ("", True)}
PARTS = ("sums", "products")
SOUNDS = ("speech", "other speech", "higher voice", "loud", "quiet", "pause", "silence")
Convolution = nn.Conv1d | nn.ConvTranspose1d


def add_in_float16(conv: Convolution, x: Tensor) -> Tensor:
    """An ungrouped convolution in float16 that rounds its sums as they grow."""
    weight = conv.weight.detach().half().float()
    padding, dilation = int(conv.padding[0]), conv.dilation[0]
    x = x.half().float()
    if isinstance(conv, nn.ConvTranspose1d):
        # The input with gaps, filtered by the reversed kernel; gaps add nothing, and so round nothing.
        [rate] = conv.stride
        spread = x.new_zeros(*x.shape[:2], (x.shape[-1] - 1) * rate + 1)
        spread[..., ::rate] = x
        x, weight = spread, weight.flip(2).transpose(0, 1)
        padding = conv.kernel_size[0] - 1 - padding
    x = F.pad(x, (padding, padding))
    taps = weight.shape[2]
    samples = x.shape[-1] - dilation * (taps - 1)
    total = x.new_zeros(x.shape[0], weight.shape[0], samples)
    for tap in range(taps):
        window = x[..., tap * dilation : tap * dilation + samples]
        for begin in range(0, weight.shape[1], DEPTH):
            part = weight[:, begin : begin + DEPTH, tap] @ window[:, begin : begin + DEPTH]
            total = (total + part).half().float()
    if conv.bias is not None:
        total = total + conv.bias.detach().half().float().unsqueeze(-1)
    return total.half()


class Float16Products(TorchFunctionMode):
    """Matrix products of float16 that round their sums as they grow."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Takes the place of ``@``."""
        if func is not torch.Tensor.matmul or args[0].dtype is not torch.float16:
            return func(*args, **(kwargs or {}))
        left, right = (factor.float() for factor in args)
        total = left.new_zeros(())
        for begin in range(0, left.shape[-1], PERIOD):
            part = torch.matmul(left[..., begin : begin + PERIOD], right[..., begin : begin + PERIOD, :])
            total = (total + part).half().float()
        return total.half()


def with_float16_products(form: nn.Module, chosen: Callable[[str], bool]) -> nn.Module:
    """Lets the products of the activations with chosen names add in float16, in place."""

    def within(forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def run(x: Tensor) -> Tensor:
            with Float16Products():
                return forward(x)

        return run

    for name, module in form.named_modules():
        if isinstance(module, EngineActivation) and chosen(name):
            module.forward = within(module.forward)
    return form


def with_long_frames(form: nn.Module, vocoder: nn.Module) -> nn.Module:
    """Cuts the activations of a form into frames of up to four mel frames, as engines were built once, in place."""
    for name, module in list(form.named_modules()):
        original = vocoder.get_submodule(name) if isinstance(module, Ends) else None
        if isinstance(module, Ends) and isinstance(original, AliasFreeActivation):
            longer = FORMS[DEFAULT_FORM](original, 4 * module.size).to(module.between.dtype)
            parent, _, child = name.rpartition(".")
            setattr(form.get_submodule(parent), child, longer)
    return form


class Float32Trunk(nn.Module):
    """BigVGAN in float16 that adds what its blocks compute in float32.

    Args:
        form: Lowered.
    """

    def __init__(self, form: BigVgan) -> None:
        super().__init__()
        self.form = form

    def forward(self, mel: Tensor) -> Tensor:
        """As the form."""
        kernels = len(self.form.config.resblock_kernel_sizes)
        x = in_float32(self.form.conv_pre, mel)
        for stage, up in enumerate(self.form.ups):
            x = in_float32(up[0], x)  # type: ignore[index] # a list of one
            blocks = cast("list[AmpBlock]", self.form.resblocks[stage * kernels : (stage + 1) * kernels])
            x = torch.stack([self.block(block, x) for block in blocks]).sum(0) / kernels
        return torch.clamp(self.form.conv_post(self.form.activation_post(x.half())), min=-1.0, max=1.0)

    def block(self, block: AmpBlock, x: Tensor) -> Tensor:
        """What one residual block makes of the trunk, both float32."""
        for conv1, conv2, act1, act2 in zip(
            block.convs1, block.convs2, block.activations[::2], block.activations[1::2], strict=True
        ):
            x = x + in_float32(conv2, act2(conv1(act1(x.half()))))
        return x


def in_float32(conv: nn.Module, x: Tensor) -> Tensor:
    """What a convolution makes of a signal, not rounded to float16 if it is kept in float32."""
    y: Tensor = conv.layer(x.float()) if isinstance(conv, Float32) else conv(x.half())
    return y.float()


def kept_in_tf32(vocoder: nn.Module, mel: Tensor, pattern: str, change: Callable[[Tensor], Tensor]) -> nn.Module:
    """The lowered vocoder in float16, with some convolutions in float32 whose weights are changed to TF32's."""
    form = lower_layers(vocoder, mel.half(), pattern)
    for module in form.modules():
        if isinstance(module, Float32):
            weight = module.layer.get_parameter("weight")
            weight.data = change(weight.data)
    return form


def cut_to_tf32(x: Tensor) -> Tensor:
    """What a TF32 kernel reads of float32."""
    return (x.contiguous().view(torch.int32) & ~0x1FFF).view(torch.float32)


def with_float16_sums(form: nn.Module, chosen: Callable[[str], bool]) -> nn.Module:
    """Lets the convolutions with chosen names add in float16, in place."""
    for name, module in form.named_modules():
        if isinstance(module, Convolution) and chosen(name):
            module.forward = add_in_float16.__get__(module)  # type: ignore[method-assign]
    return form


def matched(pattern: str) -> Callable[[str], bool]:
    """Chooses the layers whose names match from their first letter."""
    return lambda name: re.match(pattern, name) is not None


def unmatched(pattern: str) -> Callable[[str], bool]:
    """Chooses the others."""
    return lambda name: re.match(pattern, name) is None


def count(text: str) -> int:
    """A number from one."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number from 1, not {text!r}")
    return int(text)


@dataclass(frozen=True)
class Simulation:
    """A vocoder and the log-mel that it is tried on."""

    vocoder: Vocoder
    mel: Tensor

    @cached_property
    def truth(self) -> NDArray[np.float32]:
        """The vocoder's own waveform."""
        with torch.inference_mode():
            wave: NDArray[np.float32] = self.vocoder(self.mel).flatten(1).numpy()
        return wave

    def show(self, title: str, chosen: Callable[[str], bool], form: nn.Module) -> None:
        """Prints the row of a form whose convolutions with chosen names add in float16."""
        form = with_float16_sums(form, chosen)
        layers = sum(isinstance(module, Convolution) for module in form.modules())
        with torch.inference_mode():
            wave = form(self.mel.half()).float().flatten(1).numpy()
        fidelity = worst(compare_items(self.truth, wave, self.vocoder.spec.sample_rate))
        verdict = judge(fidelity, "fp16")
        figures = f"{layers:>7}{fidelity.snr_db or 0:>8.1f}{fidelity.lsd_db or 0:>8.2f}  {verdict.tier}"
        print(f"{title:<40}{figures}{f' ({verdict.decided_by})' if verdict.decided_by else ''}", flush=True)

    def show_sums(self) -> None:
        """What the convolutions' sums cost, which layers it comes from, and what TF32 gains back."""
        form = lower_layers(self.vocoder, self.mel.half())
        self.show("none", lambda _: True, copy.deepcopy(form))
        for title, pattern in GROUPS.items():
            self.show(title, unmatched(pattern), copy.deepcopy(form))
        print("\nin TF32 with weights that are")
        for title, pattern in KEPT[self.version].items():
            for how, change in {"rounded": round_to_tf32, "cut off": cut_to_tf32}.items():
                form = kept_in_tf32(self.vocoder, self.mel, pattern, change)
                self.show(f"{title}, {how}", unmatched(pattern), form)

    def show_products(self) -> None:
        """What the products of v3's activations cost, in engines as they are built and with longer frames."""
        kept = DEFAULT_FLOAT32["v3"]
        print("\nas built by default, and activations whose products add in")
        for title, (pattern, long) in PRODUCTS.items():
            form = kept_in_tf32(self.vocoder, self.mel, kept, round_to_tf32)
            if long:
                form = with_long_frames(form, self.vocoder)
            with_float16_products(form, matched(pattern))
            with_float16_sums(form, unmatched(kept))
            if isinstance(form, BigVgan):
                self.show(title, lambda _: False, Float32Trunk(form))

    @property
    def version(self) -> str:
        """``v3`` or ``v4``."""
        return "v3" if isinstance(self.vocoder, BigVgan) else "v4"


def main() -> int:
    """Prints a row for each choice; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", choices=list(SPECS), default="v3")
    parser.add_argument("--frames", type=count, default=24)
    parser.add_argument("--sound", choices=SOUNDS, default="speech")
    parser.add_argument("--only", choices=PARTS, help="convolutions' sums, or the products of v3's activations")
    parser.add_argument("--weights")
    arguments = parser.parse_args()
    products = arguments.only != "sums" and arguments.version == "v3"
    if arguments.only == "products" and not products:
        print("error: --only products is for v3: v4 has no activations with matrix products", file=sys.stderr)
        return 2
    if products and arguments.frames % 4:
        print("error: --frames is a multiple of 4 where frames of four mel frames are shown", file=sys.stderr)
        return 2
    spec = SPECS[arguments.version]
    try:
        vocoder = load_vocoder(arguments.version, arguments.weights)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    simulation = Simulation(vocoder, Voice(None, spec).inputs(1, arguments.frames)[arguments.sound])
    print(f"{arguments.version} fp16, {arguments.frames} frames of {arguments.sound}, simulated")
    print(f"\n{'convolutions that add in float32':<40}{'layers':>7}{'SNR dB':>8}{'LSD dB':>8}  verdict")
    if arguments.only != "products":
        simulation.show_sums()
    if products:
        simulation.show_products()
    return 0


if __name__ == "__main__":
    sys.exit(main())
