"""A deserialised engine with its execution context, called like a module."""

import json
from statistics import median
from typing import Any

import torch
from torch import Tensor

from bench.errors import UnsupportedError, WrongOutputError
from bench.trt.build import AUDIO, MEL
from bench.trt.library import Library
from bench.trt.shapes import Shapes

_TYPES = {"FLOAT": torch.float32, "HALF": torch.float16, "BF16": torch.bfloat16}


class EngineRefusedError(Exception):
    """TensorRT cannot deserialise a plan: another version, another GPU, or not a plan."""


class Engine:
    """An engine on a GPU.

    Work is enqueued on the caller's current stream, which must not be the default one: there TensorRT would
    synchronise by itself. The output's memory is reused by the next call. The context's memory is taken from
    PyTorch's allocator, so that its statistics show it; the weights' is TensorRT's own.

    Args:
        library: Which TensorRT.
        plan: The serialised engine.
        shapes: Which it was built for.
        dtype: Data type of mel and audio.
        device: Where to run.
        cuda_graph: Whether to replay a CUDA graph, captured anew for every shape.

    Raises:
        EngineRefusedError: the plan cannot be loaded here.
        WrongOutputError: its input or output has another data type.
    """

    def __init__(
        self,
        library: Library,
        plan: bytes,
        shapes: Shapes,
        dtype: torch.dtype,
        device: torch.device,
        cuda_graph: bool = False,
    ) -> None:
        self._trt, self._shapes, self._dtype, self._device = library.trt, shapes, dtype, device
        # An engine refers to its runtime, and that to its logger.
        self._logger = library.logger()
        self._runtime = self._trt.Runtime(self._logger)
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise EngineRefusedError(f"{library.name} {library.version} cannot load the engine")
        for name in (MEL, AUDIO):
            found = _TYPES.get(self._engine.get_tensor_dtype(name).name)
            if found is not dtype:
                raise WrongOutputError(f"the engine's {name} is {found} instead of {dtype}.")
        self._context, self._memory = self._create_context()
        self._profile = 0
        self._bound: tuple[int, ...] | None = None
        self._mel: Tensor | None = None
        self._audio: Tensor | None = None
        self._graph: torch.cuda.CUDAGraph | None = None
        self._captures = cuda_graph
        self._profiler: Any = None

    @property
    def context_bytes(self) -> int:
        """Device memory of the execution context: activations and workspace, for the largest shape it takes."""
        name = "device_memory_size_v2" if hasattr(self._engine, "device_memory_size_v2") else "device_memory_size"
        return int(getattr(self._engine, name))

    def _create_context(self) -> tuple[Any, Tensor]:
        memory = torch.empty(max(self.context_bytes, 1), dtype=torch.uint8, device=self._device)
        strategy = getattr(self._trt, "ExecutionContextAllocationStrategy", None)
        if strategy is None:
            context = self._engine.create_execution_context_without_device_memory()
        else:
            context = self._engine.create_execution_context(strategy.USER_MANAGED)
        if context is None:
            raise torch.OutOfMemoryError("TensorRT could not create an execution context: cannot allocate memory")
        if hasattr(context, "set_device_memory"):
            context.set_device_memory(memory.data_ptr(), self.context_bytes)
        else:
            context.device_memory = memory.data_ptr()
        return context, memory

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Whether ``(batch, bands, frames)`` is inside a profile."""
        return self._shapes.pick((shape[0], shape[2])) is not None

    def __call__(self, mel: Tensor) -> Tensor:
        """One inference: ``(batch, bands, frames)`` to ``(batch, 1, samples)``.

        Raises:
            UnsupportedError: a shape outside every profile.
        """
        stream = torch.cuda.current_stream(self._device)
        if tuple(mel.shape) != self._bound:
            self._bind(mel, stream)
        if self._graph is not None and self._mel is not None:
            self._mel.copy_(mel)
            self._graph.replay()
        else:
            mel = mel.contiguous()
            self._context.set_tensor_address(MEL, mel.data_ptr())
            self._enqueue(stream)
            # Kept until the next call: the stream may still be reading it.
            self._mel = mel
        if self._audio is None:
            raise RuntimeError("TensorRT engine was closed")
        return self._audio

    def _enqueue(self, stream: torch.cuda.Stream) -> None:
        if not self._context.execute_async_v3(stream.cuda_stream):
            raise RuntimeError("TensorRT could not enqueue the engine")

    def _bind(self, mel: Tensor, stream: torch.cuda.Stream) -> None:
        shape = tuple(mel.shape)
        index = self._shapes.pick((shape[0], shape[2]))
        if index is None:
            ranges = " or ".join(map(str, self._shapes.profiles))
            raise UnsupportedError(
                f"batch {shape[0]} with {shape[2]} frames is outside the engine's profile (smallest_best_largest "
                f"batch x frames: {ranges}); build one with the option shapes."
            )
        self._graph, self._bound = None, None
        if index != self._profile:
            self._context.set_optimization_profile_async(index, stream.cuda_stream)
            stream.synchronize()
            self._profile = index
        if not self._context.set_input_shape(MEL, shape):
            raise WrongOutputError(f"the engine does not take the shape {shape}.")
        out = tuple(self._context.get_tensor_shape(AUDIO))
        self._audio = torch.empty(out, dtype=self._dtype, device=self._device)
        self._context.set_tensor_address(AUDIO, self._audio.data_ptr())
        if self._captures:
            self._capture(mel, stream)
        self._bound = shape

    def _capture(self, mel: Tensor, stream: torch.cuda.Stream) -> None:
        self._mel = mel.clone(memory_format=torch.contiguous_format)
        self._context.set_tensor_address(MEL, self._mel.data_ptr())
        # The first run after a change of shape does work that must not be captured.
        self._enqueue(stream)
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):
            self._enqueue(stream)
        self._graph = graph

    def close(self) -> None:
        """Gives back the context's and the weights' memory."""
        self._graph = self._mel = self._audio = self._bound = None
        self._context = self._memory = self._engine = self._runtime = None  # type: ignore[assignment]

    def layer_times_ms(self, mel: Tensor, rounds: int = 10) -> dict[str, float]:
        """Median milliseconds of every layer, by TensorRT's own profiler; their sum is more than an inference takes.

        Args:
            mel: As for a call.
            rounds: Inferences; the first two are left out.

        Raises:
            ValueError: the engine replays a CUDA graph, in which no layer can be timed.
        """
        if self._captures:
            raise ValueError("layers cannot be timed in a CUDA graph")
        times: dict[str, list[float]] = {}
        # The context refers to it for as long as it lives.
        self._profiler = type("Profiler", (self._trt.IProfiler,), {"report_layer_time": _reporter(times)})()
        self._context.profiler = self._profiler
        for _ in range(2 + rounds):
            self(mel)
            torch.cuda.current_stream(self._device).synchronize()
        return {name: median(seen[2:]) for name, seen in times.items()}

    def layers(self) -> list[Any]:
        """What the engine's inspector says of every layer."""
        inspector = self._engine.create_engine_inspector()
        if self._shapes.dynamic:
            inspector.execution_context = self._context
        text = inspector.get_engine_information(self._trt.LayerInformationFormat.JSON)
        # TensorRT writes line ends into strings as they are.
        return list(json.loads(text, strict=False)["Layers"])


def _reporter(times: dict[str, list[float]]) -> Any:
    def report_layer_time(_: Any, layer_name: str, ms: float) -> None:
        times.setdefault(layer_name, []).append(ms)

    return report_layer_time
