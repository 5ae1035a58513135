"""What an engine's inspector tells of its layers: the data types that convolutions take, and those that they add in."""

import re
from collections import Counter
from typing import Any

TF32 = "tf32"

_ACCUMULATOR = re.compile(r"_f16f16_f16f(16|32)_")

# How the inspector writes data types, in the order to look: "float8" and "bfloat16" hold float32's word.
_FORMATS = {
    "int8": ("int8",),
    "float8": ("fp8", "float8", "e4m3"),
    "bfloat16": ("bfloat16", "bf16"),
    "float16": ("half", "fp16"),
    "float32": ("float", "fp32"),
}


def convolution_types(layers: list[Any]) -> dict[str, int]:
    """Data types that an engine's convolutions take, with the number of convolutions of each.

    ``tf32`` is float32 whose kernel, by its name, computes in TF32.

    Args:
        layers: The inspector's ``Layers``, objects at detailed verbosity.
    """
    counts: dict[str, int] = {}
    for layer in layers:
        if not _is_convolution(layer):
            continue
        text = str(layer["Inputs"][0].get("Format/Datatype", "")).lower()
        for name, spellings in _FORMATS.items():
            if any(spelling in text for spelling in spellings):
                if name == "float32" and TF32 in str(layer.get("TacticName", "")):
                    name = TF32
                counts[name] = counts.get(name, 0) + 1
                break
    return counts


def accumulators(layers: list[Any]) -> str:
    """Data types that an engine's float16 convolutions add in, with the number of convolutions of each.

    From the kernels' names, in which ``f16f16_f16f32`` is float16 inputs and float32 sums; empty where the names do
    not tell. Sums in float16 are noisier, and nothing else in an engine shows them.

    Args:
        layers: The inspector's ``Layers``, objects at detailed verbosity.
    """
    found = [
        match[1]
        for layer in layers
        if _is_convolution(layer) and (match := _ACCUMULATOR.search(str(layer.get("TacticName", ""))))
    ]
    counts = Counter(f"float{bits}" for bits in found)
    return ", ".join(f"{name} ({count})" for name, count in sorted(counts.items()))


def _is_convolution(layer: Any) -> bool:
    # CaskConvolution, CaskDeconvolutionV2, CaskGemmDeconvolution and what other versions call them.
    return isinstance(layer, dict) and "convolution" in str(layer.get("LayerType", "")).lower()
