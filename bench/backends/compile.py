"""``torch.compile`` of the channels-last form: the best that PyTorch does by itself.

The compiler fuses what stands around the convolutions and leaves these to cuDNN, which runs them without changing
layouts because the form has channels last already. A part that would stay outside the compiled graph is an error, and
so is a call that would compile again.
"""

import os
import shutil
import time
import types
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from bench.backend import Backend, Request, Runner, register
from bench.case import Case
from bench.errors import InputError, UnsupportedError, WrongOutputError
from bench.lowering.channels_last import channels_last
from bench.lowering.graphs import CudaCapture, ShapeGraphs
from bench.measure.precision import observe
from bench.precision import unsupported_reason
from bench.records.schema import Build

# What a graph of open length takes: the compiler takes a size of one for a constant.
LENGTHS = (2, 16384)
_CHOICES = {"graphs": ("on", "off"), "dynamic": ("on", "off")}


@register
class Compile(Backend):
    """TorchInductor at the case's shape, or at any length of its batch.

    Options:
        graphs: ``on`` (default on a GPU) replays a CUDA graph a shape, ``off`` launches kernel by kernel.
        dynamic: ``on`` leaves the number of frames open, ``off`` (default) compiles for the case's.
    """

    name = "compile"
    options = ("graphs", "dynamic")
    on_request = True

    def unavailable_reason(self, device: torch.device) -> str | None:
        """No compiler for the device."""
        host = (
            _compiler("CC", ("cc", "gcc", "clang")) if device.type == "cuda" else _compiler("CXX", ("g++", "clang++"))
        )
        if device.type == "cuda" and find_spec("triton") is None:
            return "torch.compile needs Triton, which is not installed."
        kind = "C" if device.type == "cuda" else "C++"
        return None if host else f"torch.compile needs a {kind} compiler, and there is none here."

    def check(self, case: Case) -> None:
        """Both options are on or off."""
        for name, value in case.options:
            if value not in _CHOICES[name]:
                raise InputError(f"option {name} of compile is {' or '.join(_CHOICES[name])}, not {value!r}")

    def prepare(self, request: Request) -> Runner:
        """Compiles, calls once, and captures where graphs are on."""
        precision, case, device = request.precision, request.case, request.device
        options = dict(case.options)
        dynamic = options.get("dynamic") == "on"
        graphs = options.get("graphs", "on" if device.type == "cuda" else "off") == "on"
        _refuse(request, graphs=graphs, dynamic=dynamic)
        mel = request.mel.to(precision.dtype)
        started = time.perf_counter()
        hits = _cache_hits()
        compiled = compiled_form(
            channels_last(request.vocoder, precision.dtype, device), mel, LENGTHS if dynamic else None
        )
        compile_s = time.perf_counter() - started
        from_cache = _cache_hits() > hits
        replayed = ShapeGraphs(compiled, CudaCapture(device)) if graphs else None
        details: dict[str, Any] = {"compile_s": compile_s, "graphs": graphs, "dynamic": dynamic}
        if replayed is not None:
            replayed(mel)
            details["graph_pool_bytes"] = replayed.pool_bytes()
        return Runner(
            run=replayed or compiled,
            dtype=precision.dtype,
            build=Build(seconds=0.0, build_s=None if from_cache else compile_s, from_cache=from_cache, details=details),
            takes=lambda shape: _takes(tuple(mel.shape), shape, dynamic=dynamic),
            close=replayed.close if replayed else lambda: None,
            # A replay shows the profiler no operators; the compiled call that was captured does.
            effective=lambda mel: observe(compiled, mel, precision),
        )


def _refuse(request: Request, *, graphs: bool, dynamic: bool) -> None:
    precision, device = request.precision, request.device
    reason = unsupported_reason(precision, device)
    if precision.autocast:
        reason = "the compiled form has one data type: take fp16 or bf16 instead of autocast."
    elif precision.quantised:
        reason = f"{precision.name} convolutions exist in engines only; PyTorch would compute in float16."
    elif graphs and device.type != "cuda":
        reason = "CUDA graphs need an NVIDIA GPU: take graphs=off."
    elif dynamic and device.type != "cuda":
        reason = "on a processor PyTorch chooses a convolution's algorithm by its length: take dynamic=off."
    elif dynamic and not LENGTHS[0] <= request.case.frames <= LENGTHS[1]:
        reason = f"an open length is one of {LENGTHS[0]} to {LENGTHS[1]} frames."
    if reason is not None:
        raise UnsupportedError(reason)


def compiled_form(
    form: torch.nn.Module, mel: Tensor, lengths: tuple[int, int] | None = None
) -> Callable[[Tensor], Tensor]:
    """A module compiled for ``mel``'s shape, or for its batch and a range of lengths, and called once.

    Args:
        form: In eval mode, on ``mel``'s device and in its data type.
        mel: An input.
        lengths: The fewest and the most frames; None for ``mel``'s alone.

    Raises:
        UnsupportedError: the compiler needs the length, or a part of its range, to be known.
        WrongOutputError: what was compiled would compile again for a call that it was compiled for.
    """

    def forward(mel: Tensor) -> Tensor:
        made: Tensor = form(mel)
        return made

    # The compiler keeps its results, of which it allows a few, at the function's code: this one's are its own.
    own = types.FunctionType(forward.__code__.replace(), globals(), "forward", None, forward.__closure__)
    compiled = torch.compile(own, fullgraph=True, dynamic=None if lengths else False)

    def run(mel: Tensor) -> Tensor:
        # Tensors from inside and outside inference mode are two kinds to the compiler; a copy is always of the first.
        made: Tensor = compiled(mel.clone())
        return made

    with torch.inference_mode(), warnings.catch_warnings():
        # Advice on TF32, which the precision decides, and the compiler's own deprecations.
        warnings.simplefilter("ignore")
        first = mel.clone()
        if lengths is not None:
            torch._dynamo.mark_dynamic(first, 2, min=lengths[0], max=lengths[1])
        _compile_at(compiled, first)
        longer = torch.cat([mel, mel[..., :1]], dim=-1) if lengths else mel
        try:
            with torch.compiler.set_stance("fail_on_recompile"):
                run(longer)
        except RuntimeError as error:
            if "recompile" not in str(error).lower():
                raise
            raise WrongOutputError("torch.compile would compile again for a call that it was compiled for.") from error
    return run


def _compile_at(compiled: Callable[[Tensor], Tensor], mel: Tensor) -> None:
    try:
        compiled(mel)
    except torch.fx.experimental.symbolic_shapes.ConstraintViolationError as error:
        reason = "torch.compile cannot leave the length open: it chooses by it, or takes it for a constant."
        raise UnsupportedError(reason) from error


def _takes(built: tuple[int, ...], shape: tuple[int, ...], *, dynamic: bool) -> bool:
    if dynamic:
        return shape[:2] == built[:2] and LENGTHS[0] <= shape[2] <= LENGTHS[1]
    return shape == built


def _compiler(variable: str, names: tuple[str, ...]) -> str | None:
    asked = os.environ.get(variable)
    return next((found for name in ((asked,) if asked else names) if (found := shutil.which(name))), None)


def _cache_hits() -> int:
    """How often the compiler has found a whole graph in its own cache on disk, in this process."""
    return int(torch._dynamo.utils.counters["inductor"]["fxgraph_cache_hit"])
