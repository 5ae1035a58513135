"""The numeric precisions of a sweep: what is set, and what was in effect.

``fp32`` switches TF32 off everywhere, which PyTorch does not do by itself: its convolutions use TF32 on
every NVIDIA GPU since Ampere. ``autocast`` keeps float32 weights and lets PyTorch choose per operation.
``int8`` and ``fp8`` are float16 around convolutions of eight bits; they exist in engines only.
"""

import json
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

# The profiler's own notes on starting and stopping; read when torch loads it.
os.environ.setdefault("KINETO_LOG_LEVEL", "99")

import torch
from torch import Tensor

from bench.errors import InputError, WrongOutputError
from bench.record import EffectivePrecision


@dataclass(frozen=True)
class Precision:
    """One way of computing.

    Attributes:
        name: As in case ids.
        dtype: Of weights, input and output.
        tf32: Whether float32 convolutions and products may round their factors to TF32 (10-bit mantissa).
        autocast: Whether PyTorch chooses the data type of every operation.
        quantised: Data type of the convolutions' factors where it is none of PyTorch's arithmetic; else empty.
    """

    name: str
    dtype: torch.dtype
    tf32: bool = False
    autocast: bool = False
    quantised: str = ""

    @property
    def compute(self) -> torch.dtype | None:
        """The data type that every convolution works in; None where autocast chooses it by device."""
        return None if self.autocast else self.dtype


PRECISIONS = {
    precision.name: precision
    for precision in (
        Precision("fp32", torch.float32),
        Precision("tf32", torch.float32, tf32=True),
        Precision("fp16", torch.float16),
        Precision("bf16", torch.bfloat16),
        Precision("autocast", torch.float32, autocast=True),
        Precision("int8", torch.float16, quantised="int8"),
        Precision("fp8", torch.float16, quantised="float8"),
    )
}


def find_precision(name: str) -> Precision:
    """The precision of that name.

    Raises:
        InputError: there is none.
    """
    if name not in PRECISIONS:
        raise InputError(f"unknown precision {name!r}; choose from {', '.join(PRECISIONS)}")
    return PRECISIONS[name]


def unsupported_reason(precision: Precision, device: torch.device) -> str | None:
    """Why PyTorch cannot compute so on ``device``, in one sentence; None where it can."""
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        if major < 8 and (precision.tf32 or precision.dtype is torch.bfloat16):
            return f"{precision.name} needs compute capability 8.0, this GPU has {major}.{minor}."
        if precision.quantised == "float8" and (major, minor) < (8, 9):
            return f"fp8 needs compute capability 8.9, this GPU has {major}.{minor}."
    elif precision.tf32:
        return "tf32 exists on NVIDIA GPUs only."
    return None


def autocast_dtype(device: torch.device) -> torch.dtype:
    """What autocast lowers convolutions to on ``device``, PyTorch's default for it."""
    return torch.get_autocast_dtype(device.type)


# The places where PyTorch keeps a float32 precision, each with an attribute ``fp32_precision``; torch's type
# information leaves some of them out.
_BACKENDS: Any = torch.backends
_GPU_SWITCHES = (_BACKENDS.cuda.matmul, _BACKENDS.cudnn.conv)
_OTHER_SWITCHES = (_BACKENDS.cudnn.rnn, _BACKENDS.mkldnn.conv, _BACKENDS.mkldnn.matmul)


@contextmanager
def flags(precision: Precision) -> Iterator[None]:
    """Sets PyTorch's TF32 switches for ``precision``, on the GPU and on the CPU, and puts them back."""
    with ExitStack() as stack:
        for switch in (*_GPU_SWITCHES, *_OTHER_SWITCHES):
            stack.callback(setattr, switch, "fp32_precision", switch.fp32_precision)
            switch.fp32_precision = "tf32" if precision.tf32 and switch in _GPU_SWITCHES else "ieee"
        yield


@contextmanager
def autocast(precision: Precision, device: torch.device) -> Iterator[None]:
    """Autocast for ``precision``; part of an inference, because it converts the weights at every call."""
    if precision.autocast:
        with torch.autocast(device.type, dtype=autocast_dtype(device)):
            yield
    else:
        yield


# How the profiler writes C++ types.
_TYPES = {"float": "float32", "double": "float64", "c10::Half": "float16", "c10::BFloat16": "bfloat16"}


def _convolutions(run: Callable[[], Tensor]) -> tuple[Tensor, list[tuple[str, str]]]:
    """The output of ``run`` and the data types (input, weight) of each convolution that ran in it."""
    with TemporaryDirectory() as directory:
        trace = Path(directory) / "trace.json"
        activities = [torch.profiler.ProfilerActivity.CPU]
        with warnings.catch_warnings():
            # A remark of some releases on cycles of a schedule, of which there is none here.
            warnings.filterwarnings("ignore", "Warning: Profiler clears events", UserWarning)
            with torch.profiler.profile(activities=activities, record_shapes=True) as profile:
                output = run()
        profile.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    types = [
        event["args"]["Input type"][:2]
        for event in events
        if event.get("name") == "aten::_convolution" and "Input type" in event.get("args", {})
    ]
    return output, [(_TYPES.get(mel, mel), _TYPES.get(weight, weight)) for mel, weight in types]


def observe(
    run: Callable[[Tensor], Tensor], mel: Tensor, precision: Precision, weights: str | None = None
) -> EffectivePrecision:
    """Runs once under PyTorch's profiler to see what its convolutions work in, and reads the switches back.

    Call it as the timed rounds call ``run``: under :func:`flags` and ``torch.inference_mode``.

    Args:
        run: The runner's call, in PyTorch (eager or TorchScript).
        mel: Its input.
        precision: What the label says.
        weights: Data types of the stored weights, where the convolutions see converted ones.

    Raises:
        WrongOutputError: the convolutions worked in another data type, or with another TF32 setting.
    """
    output, types = _convolutions(lambda: run(mel))
    compute = ", ".join(sorted({dtype for pair in types for dtype in pair}))
    device = mel.device
    expected = _name(precision.compute or autocast_dtype(device))
    if compute != expected:
        raise WrongOutputError(f"labelled {precision.name}, but the convolutions ran in {compute or 'nothing'}.")
    return _effective(
        precision,
        device,
        weights=weights or ", ".join(sorted({weight for _, weight in types})),
        compute=compute,
        output=_name(output.dtype),
        evidence=f"{len(types)} convolutions seen by PyTorch's profiler",
    )


def report_engine(
    precision: Precision,
    device: torch.device,
    *,
    weights: str,
    compute: str,
    output: torch.dtype,
    evidence: str,
    tf32: bool = False,
) -> EffectivePrecision:
    """The effective precision of an engine outside PyTorch, from the engine's own account of itself.

    Args:
        precision: What the case is labelled.
        device: Where it ran.
        weights: Data types of the convolutions' weights.
        compute: Data types that the convolutions ran in.
        output: Data type of the audio.
        evidence: Where that is known from.
        tf32: Whether convolutions ran in TF32, whatever the label allows.
    """
    found = _effective(
        precision,
        device,
        weights=weights,
        compute=compute,
        output=_name(output),
        evidence=evidence,
        probe=False,
    )
    return replace(found, tf32_convolution=True) if tf32 and found.tf32_convolution is False else found


def _effective(
    precision: Precision,
    device: torch.device,
    *,
    weights: str,
    compute: str,
    output: str,
    evidence: str,
    probe: bool = True,
) -> EffectivePrecision:
    cuda = device.type == "cuda"
    observed = tf32_rounding(device) if cuda and probe else None
    if observed and not precision.tf32:
        raise WrongOutputError(f"labelled {precision.name}, but a float32 convolution rounded to TF32.")
    matmul, convolution = ((switch.fp32_precision == "tf32" if probe else precision.tf32) for switch in _GPU_SWITCHES)
    return EffectivePrecision(
        weights=weights,
        compute=compute,
        output=output,
        tf32_convolution=convolution if cuda else None,
        tf32_matmul=matmul if cuda else None,
        tf32_observed=observed,
        autocast=_name(autocast_dtype(device)) if precision.autocast else None,
        evidence=evidence,
    )


def tf32_rounding(device: torch.device) -> bool:
    """Whether a float32 convolution on ``device`` loses the 13th bit, which TF32 does not have."""
    x = torch.full((1, 64, 1024), 1 + 2.0**-13, device=device)
    identity = torch.eye(64, device=device).unsqueeze(-1)
    return bool((torch.nn.functional.conv1d(x, identity) != x).any())


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
