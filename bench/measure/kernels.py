"""What a case's call is made of, by PyTorch's profiler: kernels, how busy they keep the GPU, and each layer's time.

A pass of its own, never timed: the profiler slows the host down, which the busy share of a launch-bound call shows.
"""

import json
import tempfile
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bench.records.kinds.profile import ProfiledKernel

# Trace categories of work on the GPU.
_DEVICE = frozenset({"kernel", "gpu_memcpy", "gpu_memset"})
LAYER = "layer: "


@dataclass(frozen=True)
class Trace:
    """What one inference ran.

    Attributes:
        kernels: The longest first: kernels on a GPU, operators on a CPU.
        count: Kernels of one inference.
        busy_percent: Share of the time between the first kernel's begin and the last one's end in which one ran; None
            on a CPU.
        layers_ms: Time of each layer of one inference; empty where no layer was marked.
    """

    kernels: tuple[ProfiledKernel, ...]
    count: float
    busy_percent: float | None
    layers_ms: Mapping[str, float]


def trace(call: Callable[[], object], device: torch.device, calls: int = 3) -> Trace:
    """Profiles a warm call.

    Args:
        call: One inference.
        device: Where it runs.
        calls: How often to call; times are means.
    """
    kinds = [torch.profiler.ProfilerActivity.CPU]
    if device.type == "cuda":
        kinds.append(torch.profiler.ProfilerActivity.CUDA)
    with tempfile.TemporaryDirectory() as directory, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Warning: Profiler clears events", UserWarning)
        with torch.profiler.profile(activities=kinds) as profile:
            for _ in range(calls):
                call()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
        file = Path(directory) / "trace.json"
        profile.export_chrome_trace(str(file))
        events = json.loads(file.read_text(encoding="utf-8"))["traceEvents"]
    return read_trace([event for event in events if event.get("ph") == "X"], calls)


def read_trace(events: Sequence[Mapping[str, Any]], calls: int) -> Trace:
    """A trace from complete events in Chrome's format, whose times are microseconds."""
    work = [event for event in events if event.get("cat") in _DEVICE]
    on_gpu = bool(work)
    if not on_gpu:
        work = [event for event in events if event.get("cat") == "cpu_op"]
        work = _outermost(work)
    found: defaultdict[str, list[float]] = defaultdict(list)
    for event in work:
        found[event["name"]].append(event["dur"])
    kernels = [ProfiledKernel(name, len(durs) / calls, sum(durs) / 1000 / calls) for name, durs in found.items()]
    return Trace(
        kernels=tuple(sorted(kernels, key=lambda kernel: -kernel.ms)),
        count=len(work) / calls,
        busy_percent=_busy_percent(work) if on_gpu else None,
        layers_ms=_layers_ms(events, work if on_gpu else [], calls),
    )


def _outermost(events: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Operators that no other operator of their thread called."""
    kept: list[Mapping[str, Any]] = []
    end: dict[object, float] = {}
    for event in sorted(events, key=lambda event: (event["ts"], -event["dur"])):
        thread = event.get("tid")
        if event["ts"] >= end.get(thread, 0.0):
            kept.append(event)
            end[thread] = event["ts"] + event["dur"]
    return kept


def _busy_percent(work: Iterable[Mapping[str, Any]]) -> float:
    """Length of the union of the kernels' intervals over that of their whole span."""
    spans = sorted((event["ts"], event["ts"] + event["dur"]) for event in work)
    first, last = spans[0][0], max(end for _, end in spans)
    busy, reached = 0.0, first
    for begin, end in spans:
        busy += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return 100 * busy / (last - first) if last > first else 100.0


def _layers_ms(
    events: Sequence[Mapping[str, Any]], kernels: Sequence[Mapping[str, Any]], calls: int
) -> dict[str, float]:
    """Time of each marked layer: that of the kernels launched inside its mark, or on a CPU of the mark itself."""
    marks = [
        event
        for event in events
        if str(event.get("name", "")).startswith(LAYER) and event["cat"] != "gpu_user_annotation"
    ]
    if not kernels:
        found: defaultdict[str, float] = defaultdict(float)
        for mark in marks:
            found[mark["name"].removeprefix(LAYER)] += mark["dur"] / 1000 / calls
        return dict(found)
    launches = {
        event["args"]["correlation"]: event["ts"]
        for event in events
        if event.get("cat") in ("cuda_runtime", "cuda_driver") and "correlation" in event.get("args", {})
    }
    marks.sort(key=lambda mark: mark["ts"])
    found = defaultdict(float)
    for kernel in kernels:
        launched = launches.get(kernel.get("args", {}).get("correlation"))
        inside = [m for m in marks if launched is not None and m["ts"] <= launched <= m["ts"] + m["dur"]]
        if inside:
            found[inside[-1]["name"].removeprefix(LAYER)] += kernel["dur"] / 1000 / calls
    return dict(found)


def mark_layers(vocoder: nn.Module, names: Iterable[str]) -> None:
    """Names the spans of a module's layers in traces, in place.

    Args:
        vocoder: A copy that is the caller's own.
        names: Submodules to mark.
    """
    for name in names:
        open_marks: list[Any] = []

        def begin(*_: Any, name: str = name, open_marks: list[Any] = open_marks) -> None:
            mark = torch.profiler.record_function(LAYER + name)
            mark.__enter__()
            open_marks.append(mark)

        def end(*_: Any, open_marks: list[Any] = open_marks) -> None:
            open_marks.pop().__exit__(None, None, None)

        module = vocoder.get_submodule(name)
        module.register_forward_pre_hook(begin)
        module.register_forward_hook(end)
