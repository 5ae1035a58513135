"""What adding in float16 costs, which layers it comes from, and what shorter sums gain.

    python benchmarks/float16_sums.py [--version v3] [--frames 24] [--sound speech] [--terms 192 --terms 384 ...]

TensorRT 8.6 takes kernels whose sums are float16 and cannot be told to take others. This simulates them on any
machine: a tensor core adds sixteen products, and the sum so far is rounded to float16. All else is float16 as PyTorch
computes it. First the vocoder as it is, with some convolutions adding in float32; then with sums in parts
(``bench/vocoders/short_sums.py``); then with parts and some convolutions kept in float32, whose kernels are TF32's
and cut the weights off, which are rounded before or not; at last with the matrix products of v3's activations
adding in float16 too, which would show in steady sounds if frames were longer than a mel frame:
``--only products --sound silence --frames 468``. Give ``--weights`` for weights of your own.
"""

import argparse
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.errors import InputError
from bench.inputs import speech_inputs
from bench.onnx_export import equal_form
from bench.quality.fidelity import compare_items, worst
from bench.quality.verdict import judge
from bench.trt.native import DEFAULT_TERMS
from bench.vocoders import SPECS, Vocoder, load_vocoder
from bench.vocoders.alias_free import AliasFreeActivation
from bench.vocoders.mixed import Float32, round_to_tf32
from bench.vocoders.polyphase import DEFAULT_FORM, FORMS, Ends, EngineActivation

# Products that a tensor core adds at once in float16: the depth of its smallest matrix product.
DEPTH = 16
# After how many products what the matrix products of TensorRT 8.6 round repeats, by the log-spectral distances of
# engines on an H100, docs/tensorrt.md.
PERIOD = 32
TERMS = (96, 192, 384, 768)
# As the networks name their layers; a stage has three residual blocks.
GROUPS = {
    "all": ".*",
    "conv_pre": "conv_pre",
    "ups": "ups",
    **{f"blocks of stage {i}": rf"resblocks\.({3 * i}|{3 * i + 1}|{3 * i + 2})\." for i in range(3)},
    "conv_pre and ups": "conv_pre|ups",
}
KEPT = ("ups", "conv_pre|ups", "conv_pre|ups|conv_post")
# Activations whose products add in float16, whether their frames hold four mel frames, and the convolutions that add in
# float16; v4 has no such activations.
PRODUCTS = {
    "float32": ("$", False, "(?!ups)"),
    "float16": ("", False, "(?!ups)"),
    "float16, convolutions in float32": ("", False, "$"),
    "float16, long frames": ("", True, "(?!ups)"),
    "the same but for stage 0": (r"(?!resblocks\.[012]\.)", True, "(?!ups)"),
}
PARTS = ("sums", "products")
SOUNDS = ("speech", "other speech", "higher voice", "loud", "quiet", "pause", "silence")
Convolution = nn.Conv1d | nn.ConvTranspose1d


def add_in_float16(conv: Convolution, x: Tensor) -> Tensor:
    """An ungrouped convolution in float16 that rounds its sums as they grow."""
    weight = conv.weight.detach().half().float()
    [padding], [dilation] = conv.padding, conv.dilation
    x = x.half().float()
    if isinstance(conv, nn.ConvTranspose1d):
        # The input with gaps, filtered by the reversed kernel; gaps add nothing, and so round nothing.
        [rate] = conv.stride
        spread = x.new_zeros(*x.shape[:2], (x.shape[-1] - 1) * rate + 1)
        spread[..., ::rate] = x
        x, weight = spread, weight.flip(2).transpose(0, 1)
        padding = conv.kernel_size[0] - 1 - int(padding)
    x = F.pad(x, (int(padding), int(padding)))
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
            module.forward = within(module.forward)  # type: ignore[method-assign]
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


def kept_in_tf32(
    vocoder: nn.Module, mel: Tensor, pattern: str, terms: int, change: Callable[[Tensor], Tensor]
) -> nn.Module:
    """The form for engines in float16, with some convolutions in float32 whose weights are changed to TF32's."""
    form = equal_form(vocoder, mel.half(), pattern, terms=terms)
    for module in form.modules():
        if isinstance(module, Float32):
            module.layer.weight.data = change(module.layer.weight.data)
    return form


def cut_to_tf32(x: Tensor) -> Tensor:
    """What a TF32 kernel reads of float32."""
    return (x.contiguous().view(torch.int32) & ~0x1FFF).view(torch.float32)


def with_float16_sums(form: nn.Module, chosen: Callable[[str], bool]) -> nn.Module:
    """Lets the convolutions with chosen names add in float16, in place."""
    for name, module in form.named_modules():
        if isinstance(module, Convolution) and chosen(name):
            module.forward = add_in_float16.__get__(module)  # type: ignore[method-assign, assignment]
    return form


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
            return self.vocoder(self.mel).flatten(1).numpy()

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

    def form(self, terms: int = 0) -> nn.Module:
        """The form for engines in float16."""
        return equal_form(self.vocoder, self.mel.half(), terms=terms)

    def show_sums(self, terms: int, others: tuple[int, ...]) -> None:
        """What the convolutions' sums cost, which layers it comes from, and what gains it back."""
        self.show("none", lambda _: True, self.form())
        for title, pattern in GROUPS.items():
            self.show(title, lambda name, pattern=pattern: not re.match(pattern, name), self.form())
        print("\nnone, but sums of the trunk have at most")
        for most in others:
            self.show(f"{most} terms", lambda _: True, self.form(most))
        print(f"\n{terms} terms, but in TF32 with weights that are")
        for pattern in KEPT:
            for how, change in {"rounded": round_to_tf32, "cut off": cut_to_tf32}.items():
                form = kept_in_tf32(self.vocoder, self.mel, pattern, terms, change)
                self.show(f"{pattern}, {how}", lambda name, pattern=pattern: not re.match(pattern, name), form)

    def show_products(self, terms: int) -> None:
        """What the products of v3's activations cost, in engines as they are built and as they were."""
        print(f"\n{terms} terms, ups in TF32, rounded, and activations whose products add in")
        for title, (pattern, long, convolutions) in PRODUCTS.items():
            form = kept_in_tf32(self.vocoder, self.mel, "ups", terms, round_to_tf32)
            if long:
                form = with_long_frames(form, self.vocoder)
            with_float16_products(form, lambda name, pattern=pattern: re.match(pattern, name) is not None)
            self.show(title, lambda name, convolutions=convolutions: re.match(convolutions, name) is not None, form)


def main() -> int:
    """Prints a row for each choice; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", choices=list(SPECS), default="v3")
    parser.add_argument("--frames", type=count, default=24)
    parser.add_argument("--terms", type=count, action="append", help=f"default: {', '.join(map(str, TERMS))}")
    parser.add_argument("--sound", choices=SOUNDS, default="speech")
    parser.add_argument("--only", choices=PARTS, help="convolutions' sums, or the products of v3's activations")
    parser.add_argument("--weights")
    arguments = parser.parse_args()
    if arguments.only != "sums" and arguments.frames % 4:
        print("error: --frames is a multiple of 4 where frames of four mel frames are shown", file=sys.stderr)
        return 2
    spec = SPECS[arguments.version]
    try:
        vocoder = load_vocoder(arguments.version, arguments.weights)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    simulation = Simulation(vocoder, speech_inputs(None, spec, 1, arguments.frames)[arguments.sound])
    print(f"{arguments.version} fp16, {arguments.frames} frames of {arguments.sound}, simulated")
    print(f"\n{'convolutions that add in float32':<40}{'layers':>7}{'SNR dB':>8}{'LSD dB':>8}  verdict")
    terms = DEFAULT_TERMS[arguments.version]
    if arguments.only != "products":
        simulation.show_sums(terms, tuple(arguments.terms or TERMS))
    if arguments.only != "sums":
        simulation.show_products(terms)
    return 0


if __name__ == "__main__":
    sys.exit(main())
