"""The precision that was in effect: read back and probed, not assumed."""

import os
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import torch
from torch import Tensor

from bench.errors import WrongOutputError
from bench.precision import Precision, autocast_dtype, gpu_switches
from bench.records.schema import EffectivePrecision

# The profiler's own notes on starting and stopping go to standard error; it reads the level at its first use.
os.environ.setdefault("KINETO_LOG_LEVEL", "99")

# How the profiler writes C++ types.
_TYPES = {"float": "float32", "double": "float64", "c10::Half": "float16", "c10::BFloat16": "bfloat16"}


def _convolutions(run: Callable[[], Tensor]) -> tuple[Tensor, list[tuple[str, str]]]:
    """The output of ``run`` and the data types (input, weight) of each convolution that ran in it."""
    with TemporaryDirectory() as directory:
        trace = Path(directory) / "trace.json"
        with warnings.catch_warnings():
            # A remark of some releases on cycles of a schedule, of which there is none here.
            warnings.filterwarnings("ignore", "Warning: Profiler clears events", UserWarning)
            # torch.profiler would import the compiler at its first use, which takes seconds.
            with torch.autograd.profiler.profile(record_shapes=True, use_kineto=True) as profile:
                output = run()
        profile.export_chrome_trace(str(trace))
        events = msgspec.json.decode(trace.read_bytes())["traceEvents"]
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
    matmul, convolution = ((switch.fp32_precision == "tf32" if probe else precision.tf32) for switch in gpu_switches())
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
