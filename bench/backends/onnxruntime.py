"""ONNX Runtime on its CPU or CUDA provider.

ONNX Runtime runs a node that a provider cannot take on another one, and says so in its log at most. The session that
is timed is therefore profiled once before: where each node ran, and in which data type the convolutions worked.
"""

import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.backend import Backend, Request, Runner, register
from bench.case import Case
from bench.errors import InputError, UnsupportedError, WrongOutputError
from bench.lowering.activation import ORIGINAL, known_form
from bench.lowering.onnx_export import OPSET, export_onnx
from bench.measure.precision import report_engine
from bench.precision import Precision, unsupported_reason
from bench.records.schema import Build, EffectivePrecision

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
# As the network is written, which is what people export; ONNX Runtime's depthwise convolutions are fast.
DEFAULT_FORM = ORIGINAL
_CONVOLUTIONS = frozenset({"Conv", "FusedConv", "ConvTranspose", "NhwcConv", "NhwcFusedConv"})
# How ONNX Runtime's profile writes element types.
_FLOATS = {"float": "float32", "float16": "float16", "bfloat16": "bfloat16", "double": "float64"}


@register
class OnnxRuntime(Backend):
    """An exported graph with open shapes, in a session for the case's shape or for any.

    Options:
        shapes: ``static`` (default) fixes the session's shape to the case's, ``dynamic`` leaves it open.
        activation: The alias-free activation's form; see :data:`bench.lowering.activation.FORMS`.
    """

    name = "onnxruntime"
    options = ("shapes", "activation")
    keeps_engines = True

    def unavailable_reason(self, device: torch.device) -> str | None:
        """A missing package, or a build without the device's provider."""
        for package in ("onnx", "onnxruntime"):
            if find_spec(package) is None:
                return f"{package} is not installed: pip install -e '.[onnx]'."
        try:
            import onnxruntime
        except Exception as error:  # noqa: BLE001 - a broken installation raises whatever its loader raises
            lines = str(error).splitlines() or [type(error).__name__]
            return f"onnxruntime cannot be imported: {lines[0]}"
        if PROVIDERS[device.type] not in onnxruntime.get_available_providers():
            return f"this onnxruntime has no {PROVIDERS[device.type]}: pip install onnxruntime-gpu."
        return None

    def check(self, case: Case) -> None:
        """Shapes are static or dynamic, and the form exists."""
        options = dict(case.options)
        if options.get("shapes", "static") not in ("static", "dynamic"):
            raise InputError(f"option shapes of onnxruntime is static or dynamic, not {options['shapes']!r}")
        form = options.get("activation", DEFAULT_FORM)
        if form != ORIGINAL:
            known_form(form)

    def prepare(self, request: Request) -> Runner:
        """Exports, or takes the exported graph from the cache; then opens a session and looks where its nodes run."""
        _refuse(request.precision, request.device)
        dynamic = dict(request.case.options).get("shapes") == "dynamic"
        mel = request.mel.to(request.precision.dtype)
        graph, build = _exported(request)
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as directory:
            session = open_session(graph, request, Path(directory), shape=None if dynamic else tuple(mel.shape))
            call = _call(session, request.device)
            call(mel)
            nodes = read_profile(json.loads(Path(session.end_profiling()).read_text(encoding="utf-8")))
        load_s = time.perf_counter() - started
        provider = PROVIDERS[request.device.type]
        check_nodes(nodes, provider)
        details = {
            **build.details,
            "provider": provider,
            "nodes": len(nodes),
            "shapes": "dynamic" if dynamic else "static",
        }
        return Runner(
            run=call,
            dtype=request.precision.dtype,
            build=Build(0.0, build.engine_bytes, details, build.build_s, load_s, build.from_cache),
            takes=lambda shape: dynamic or shape == tuple(mel.shape),
            synchronous=True,
            effective=lambda mel: _effective(nodes, call, request.precision, mel),
        )


def _refuse(precision: Precision, device: torch.device) -> None:
    reason = unsupported_reason(precision, device)
    if precision.autocast or precision.quantised:
        reason = f"{precision.name} is not exported for ONNX Runtime: take fp32, tf32 or fp16."
    elif precision.dtype is torch.bfloat16:
        reason = "ONNX Runtime's providers have no bfloat16 convolution."
    elif precision.dtype is torch.float16 and device.type == "cpu":
        reason = "ONNX Runtime's CPU provider computes float16 in float32."
    if reason is not None:
        raise UnsupportedError(reason)


def _exported(request: Request) -> tuple[bytes, Build]:
    """The graph in ONNX, from the cache where there is one, and what it cost."""
    case, precision = request.case, request.precision
    form = dict(case.options).get("activation", DEFAULT_FORM)

    def build() -> bytes:
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory) / "vocoder.onnx"
            export_onnx(request.vocoder, request.mel.to(precision.dtype), file, OPSET, dynamic=True, activation=form)
            return file.read_bytes()

    key = {
        "kind": "onnx",
        "version": case.version,
        "weights": request.weights_sha256,
        "data type": str(precision.dtype),
        "activation": form if case.version == "v3" else "",
        "opset": str(OPSET),
        "torch": torch.__version__,
    }
    details = {"activation": form} if case.version == "v3" else {}
    if request.engine_cache is None:
        started = time.perf_counter()
        graph = build()
        return graph, Build(0.0, len(graph), details, build_s=time.perf_counter() - started)
    found = request.engine_cache.fetch(key, build)
    return found.plan, Build(0.0, len(found.plan), details, build_s=found.build_s, from_cache=found.from_cache)


def open_session(graph: bytes, request: Request, directory: Path, shape: tuple[int, ...] | None) -> Any:
    """A session on the device's provider alone, whose calls are profiled until ``end_profiling``.

    Args:
        graph: ONNX with the open sizes ``batch`` and ``frames``.
        request: Device and precision.
        directory: For the profile.
        shape: ``(batch, bands, frames)`` to fix; None to leave it open.

    Raises:
        WrongOutputError: ONNX Runtime left the asked provider out.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    options.enable_profiling = True
    options.profile_file_prefix = str(directory / "profile")
    if shape is not None:
        options.add_free_dimension_override_by_name("batch", shape[0])
        options.add_free_dimension_override_by_name("frames", shape[2])
    device, provider = request.device, PROVIDERS[request.device.type]
    settings: dict[str, str] = {}
    if device.type == "cuda":
        # TF32 is ONNX Runtime's default and no float32.
        settings = {"device_id": str(device.index or 0), "use_tf32": str(int(request.precision.tf32))}
    session = onnxruntime.InferenceSession(graph, options, providers=[(provider, settings)])
    if session.get_providers()[0] != provider:
        raise WrongOutputError(f"ONNX Runtime opened the session without {provider}: {session.get_providers()}.")
    return session


def _call(session: Any, device: torch.device) -> Callable[[Tensor], Tensor]:
    """One inference; memory is shared with PyTorch on both sides, and on a GPU the call returns when it is done."""
    if device.type == "cpu":
        return lambda mel: torch.from_numpy(session.run(None, {"mel": mel.numpy()})[0])

    def run(mel: Tensor) -> Tensor:
        mel = mel.contiguous()
        kind = np.float16 if mel.dtype is torch.float16 else np.float32
        binding = session.io_binding()
        binding.bind_input("mel", "cuda", device.index or 0, kind, tuple(mel.shape), mel.data_ptr())
        binding.bind_output("audio", "cuda", device.index or 0)
        # ONNX Runtime works on a stream of its own.
        torch.cuda.current_stream(device).synchronize()
        session.run_with_iobinding(binding)
        return torch.utils.dlpack.from_dlpack(binding.get_outputs()[0]._ortvalue.to_dlpack())

    return run


@dataclass(frozen=True)
class Node:
    """One node of a graph as it ran.

    Attributes:
        operator: Its operator.
        provider: Where it ran.
        inputs, outputs: Element types, in the profile's words.
    """

    operator: str
    provider: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def read_profile(events: Sequence[Mapping[str, Any]]) -> list[Node]:
    """The nodes of an ONNX Runtime profile of one call."""
    return [
        Node(
            operator=event["args"]["op_name"],
            provider=event["args"]["provider"],
            inputs=_types(event["args"].get("input_type_shape", ())),
            outputs=_types(event["args"].get("output_type_shape", ())),
        )
        for event in events
        if event.get("cat") == "Node" and "provider" in event.get("args", {})
    ]


def _types(tensors: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(name for tensor in tensors for name in tensor)


def check_nodes(nodes: Sequence[Node], provider: str) -> None:
    """Raises :class:`WrongOutputError` where a node that makes or takes floating-point numbers ran elsewhere.

    The arithmetic of shapes, in whole numbers, belongs on the host.
    """
    if not any(node.operator in _CONVOLUTIONS for node in nodes):
        raise WrongOutputError("ONNX Runtime's profile shows no convolution.")
    elsewhere = Counter(
        f"{node.operator} on {node.provider}"
        for node in nodes
        if node.provider != provider and any(kind in _FLOATS for kind in (*node.inputs, *node.outputs))
    )
    if elsewhere:
        named = ", ".join(f"{count} {what}" for what, count in sorted(elsewhere.items()))
        raise WrongOutputError(f"ONNX Runtime ran nodes outside {provider}: {named}.")


def _effective(
    nodes: Sequence[Node], call: Callable[[Tensor], Tensor], precision: Precision, mel: Tensor
) -> EffectivePrecision:
    convolutions = [node for node in nodes if node.operator in _CONVOLUTIONS]
    seen = {_FLOATS.get(kind, kind) for node in convolutions for kind in node.inputs}
    compute, expected = ", ".join(sorted(seen)), str(precision.dtype).removeprefix("torch.")
    if compute != expected:
        raise WrongOutputError(f"labelled {precision.name}, but ONNX Runtime's convolutions ran in {compute}.")
    weights = {_FLOATS.get(kind, kind) for node in convolutions for kind in node.inputs[1:2]}
    return report_engine(
        precision,
        mel.device,
        weights=", ".join(sorted(weights)),
        compute=compute,
        output=call(mel).dtype,
        evidence=f"{len(convolutions)} convolutions in ONNX Runtime's profile of the timed session",
    )
