"""A vocoder whose convolutions take eight bits: int8, or fp8 (E4M3), by NVIDIA's Model Optimizer.

Weights are scaled channel by channel (fp8: as a whole), inputs as a whole, to the largest magnitude that speech of the
project's own clip reaches. Convolutions where rates change, the first and the last are left in the graph's data type,
because rounding them costs the sound most: ``studies/mixed_precision.py --precision int8`` measures it.
"""

import contextlib
import io
import warnings
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import UnsupportedError

PACKAGE = "nvidia-modelopt"
# Module names, as in checkpoints, that are left alone.
KEPT = ("conv_pre", "conv_post", "ups")
CALIBRATION_FRAMES = 500
_FORMATS: dict[str, dict[str, Any]] = {
    "int8": {"weight": {"num_bits": 8, "axis": 0}, "input": {"num_bits": 8, "axis": None}},
    "fp8": {"weight": {"num_bits": (4, 3), "axis": None}, "input": {"num_bits": (4, 3), "axis": None}},
}


def missing_package() -> str | None:
    """Why nothing can be quantised here, in one sentence; None where it can."""
    absent = [name for name in ("modelopt", "huggingface_hub", "onnx") if find_spec(name) is None]
    return f"needs {', '.join(absent)}: pip install -e '.[quantise]'." if absent else None


def quantise(vocoder: nn.Module, kind: str, speech: Tensor, *, half: bool, kept: tuple[str, ...] = KEPT) -> nn.Module:
    """Puts quantisers before the convolutions of a float32 vocoder, in place, and sets their scales.

    In PyTorch they round and scale back; exported to ONNX they are the pairs that TensorRT builds eight-bit kernels
    from.

    Args:
        vocoder: Lowered.
        kind: ``"int8"`` or ``"fp8"``.
        speech: Log-mel ``(1, bands, frames)`` on the vocoder's device, to set the scales by.
        half: Whether the rest of the graph will be float16.
        kept: Beginnings of the names of layers that are left alone.

    Raises:
        UnsupportedError: Model Optimizer is not installed.
    """
    reason = missing_package()
    if reason is not None:
        raise UnsupportedError(f"{kind} {reason}")
    rest = {"trt_high_precision_dtype": "Half" if half else "Float"}
    formats = _FORMATS[kind]
    settings: list[dict[str, Any]] = [
        {"quantizer_name": "*", "enable": False},
        {"quantizer_name": "*weight_quantizer", "cfg": {**formats["weight"], **rest}},
        {"quantizer_name": "*input_quantizer", "cfg": {**formats["input"], **rest}},
        *({"quantizer_name": f"{name}.*", "enable": False} for name in kept),
    ]
    frames = speech[..., -CALIBRATION_FRAMES:]

    def calibrate(model: nn.Module) -> None:
        model(frames)

    # It prints how many quantisers it made, and warns of packages for language models.
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
        warnings.simplefilter("ignore")
        import modelopt.torch.quantization as modelopt

        made: nn.Module = modelopt.quantize(vocoder, {"quant_cfg": settings, "algorithm": "max"}, calibrate)
    return made
