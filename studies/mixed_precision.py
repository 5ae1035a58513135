"""Which layers of a vocoder put the noise into its lower precision, and what keeping them in float32 gains.

    python studies/mixed_precision.py [--version v3] [--precision fp16|bf16|int8|fp8] [--frames 468]

Only some layers have the lower precision at a time, the others stay in float32: a group of layers that adds little is
left whole, a group that adds much is halved and looked at again, down to single layers. Then the worst ones are kept
in float32 one after the other, and the sound of each step is judged as the suite judges a backend. Runs in PyTorch,
where float16 products are added up in float32 as in TensorRT; give ``--weights`` for weights of your own.

For int8 and fp8, which PyTorch only simulates, it shows instead what leaving layers alone is worth.
"""

import argparse
import copy
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.audio.mel import default_speech, log_mel, speech_mels
from bench.errors import InputError, UnsupportedError
from bench.lowering.engine_form import lower_activations
from bench.lowering.mixed_precision import Float32, convert, layers
from bench.lowering.quantization import KEPT, quantise
from bench.precision import find_precision, flags
from bench.quality.fidelity import compare_items, worst
from bench.quality.verdict import judge
from bench.spec import SPECS
from bench.vocoders import Vocoder, load_vocoder

Waves = NDArray[np.float32]
HEAD = "{:<52}" + f"{'layers':>7}{'SNR dB':>8}{'LSD dB':>8}  verdict"
NEGLIGIBLE = 0.02  # of the noise of all layers
SHOWN = 12


class Rounded(nn.Module):
    """A layer in a lower precision between float32 neighbours."""

    def __init__(self, layer: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.layer, self.dtype = copy.deepcopy(layer).to(dtype), dtype

    def forward(self, x: Tensor) -> Tensor:
        """Converts, computes, converts back."""
        y: Tensor = self.layer(x.to(self.dtype))
        return y.float()


class Bench:
    """A vocoder, its float32 answer, and the noise of some of its layers in a lower precision."""

    def __init__(self, vocoder: nn.Module, mel: Tensor, dtype: torch.dtype) -> None:
        self.vocoder, self.mel, self.dtype = lower_activations(vocoder).to(mel.device), mel, dtype
        self.names = list(layers(self.vocoder))
        with torch.inference_mode():
            self.truth = self.vocoder(mel)

    def noise(self, names: Iterable[str]) -> float:
        """Noise power over signal power when only these layers have the lower precision."""
        originals = {name: self.vocoder.get_submodule(name) for name in names}
        try:
            for name, layer in originals.items():
                _put(self.vocoder, name, Rounded(layer, self.dtype))
            with torch.inference_mode():
                wave = self.vocoder(self.mel)
        finally:
            for name, layer in originals.items():
                _put(self.vocoder, name, layer)
        return float((wave - self.truth).square().sum() / self.truth.square().sum())

    def blame(self) -> dict[str, float]:
        """Noise of single layers, by bisection; what adds up to less than a fiftieth together is left out."""
        total = self.noise(self.names)
        found: dict[str, float] = {}

        def look(names: Sequence[str]) -> None:
            share = self.noise(names)
            if share < NEGLIGIBLE * total:
                return
            if len(names) == 1:
                found[names[0]] = share
                return
            look(names[: len(names) // 2])
            look(names[len(names) // 2 :])

        look(self.names)
        return dict(sorted(found.items(), key=lambda item: -item[1]))


def _put(vocoder: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(vocoder.get_submodule(parent), child, layer)


def main() -> int:
    """Prints the worst layers, then what keeping them is worth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", choices=list(SPECS), default="v3")
    parser.add_argument("--precision", choices=["fp16", "bf16", "int8", "fp8"], default="fp16")
    parser.add_argument("--frames", type=int)
    parser.add_argument("--device", default="cuda:0" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--weights")
    arguments = parser.parse_args()
    spec = SPECS[arguments.version]
    precision = find_precision(arguments.precision)
    try:
        vocoder = load_vocoder(arguments.version, arguments.weights)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    frames = arguments.frames or spec.t_ref
    speech = log_mel(default_speech(), spec).to(arguments.device)
    mel = speech_mels(speech, 1, frames)
    if precision.quantised:
        try:
            eight_bits(vocoder, precision.name, speech, mel)
        except UnsupportedError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        return 0
    with flags(find_precision("fp32")):
        bench = Bench(vocoder, mel, precision.dtype)
        everything = bench.noise(bench.names)
        blamed = bench.blame()
        print(f"{arguments.version} {precision.name}, {frames} frames, {len(bench.names)} layers that can be kept")
        print(f"\n{'layer':<36}{'noise alone, dB':>16}{'of all noise':>14}")
        for name, noise in list(blamed.items())[:SHOWN]:
            print(f"{name:<36}{10 * torch.log10(torch.tensor(noise)).item():>16.1f}{noise / everything:>14.1%}")
        rest = len(blamed) - SHOWN
        if rest > 0:
            print(f"and {rest} more that were told apart")
    with flags(precision):
        truth = bench.truth.flatten(1).cpu().numpy()
        print(f"\n{HEAD.format('kept in float32')}")
        kinds = {"nothing": [], "activations": _of(bench, "act"), "convolutions": _of(bench, "")}
        worst_first = {f"the worst {count}": list(blamed)[:count] for count in (1, 2, 4, 8, 16) if count <= len(blamed)}
        stages = {"last layers": _of(bench, "post")}
        for title, kept in {**kinds, **stages, **worst_first}.items():
            pattern = "|".join(f"{re.escape(name)}$" for name in kept)
            model = convert(lower_activations(vocoder), precision.dtype, pattern).to(arguments.device)
            with torch.inference_mode():
                wave = model(mel.to(precision.dtype)).float().flatten(1).cpu().numpy()
            count = sum(isinstance(module, Float32) for module in model.modules())
            print(line(title, count, truth, wave, spec.sample_rate, precision.name))
    return 0


def line(title: str, count: int, truth: Waves, wave: Waves, sample_rate: int, tier: str) -> str:
    """A row of the table of what was kept."""
    fidelity = worst(compare_items(truth, wave, sample_rate))
    verdict = judge(fidelity, tier)
    figures = f"{count:>7}{fidelity.snr_db or 0:>8.1f}{fidelity.lsd_db or 0:>8.2f}"
    return f"{title:<52}{figures}  {verdict.tier}{f' ({verdict.decided_by})' if verdict.decided_by else ''}"


def eight_bits(vocoder: Vocoder, kind: str, speech: Tensor, mel: Tensor) -> None:
    """Prints what leaving layers out of int8 or fp8 is worth, from none to the last blocks too."""
    with flags(find_precision("fp32")), torch.inference_mode():
        truth = vocoder.to(mel.device)(mel).flatten(1).cpu().numpy()
    lowered = lower_activations(vocoder).to(mel.device)
    blocks = {int(name.split(".")[1]) for name in layers(lowered) if name.startswith("resblocks.")}
    last = tuple(f"resblocks.{number}" for number in sorted(blocks)[-3:])
    kinds = {
        "nothing": (),
        "where rates change": ("ups",),
        "and the last": ("ups", "conv_post"),
        "and the first (the suite's choice)": KEPT,
        "and the last three blocks": (*KEPT, *last),
    }
    print(f"{vocoder.spec.version} {kind}, {mel.shape[-1]} frames, simulated")
    print(f"\n{HEAD.format('left alone')}")
    for title, kept in kinds.items():
        model = quantise(copy.deepcopy(lowered), kind, speech, half=False, kept=kept)
        with flags(find_precision("fp32")), torch.inference_mode():
            wave = model(mel).flatten(1).cpu().numpy()
        count = sum(name.startswith(kept) for name in layers(lowered)) if kept else 0
        print(line(title, count, truth, wave, vocoder.spec.sample_rate, kind), flush=True)


def _of(bench: Bench, kind: str) -> list[str]:
    if kind == "":
        convolutions = (nn.Conv1d, nn.ConvTranspose1d)
        return [name for name in bench.names if isinstance(bench.vocoder.get_submodule(name), convolutions)]
    return [name for name in bench.names if kind in name]


if __name__ == "__main__":
    sys.exit(main())
