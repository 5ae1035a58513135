"""CUDA graphs of a function of one mel, one for each shape: the host launches once what it launched kernel by kernel.

A shape's graph is captured when the shape is first seen, which costs a call or two and the capture. Graphs share one
pool of memory, because they never run at the same time, and the least recently used one goes when there are too many.
"""

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.errors import WrongOutputError

# Graphs kept for different shapes; their outputs and inputs stay allocated, a few MiB each.
MOST_GRAPHS = 16
# Largest relative error between a graph's replay and the call that it was captured from. Both run the same kernels, so
# that a difference is a replay that left something out; algorithms that add in no fixed order stay far below it.
TOLERANCE = 1e-2


@dataclass(frozen=True)
class Captured:
    """A graph, and the memory that it reads and writes."""

    mel: Tensor
    audio: Tensor
    replay: Callable[[], None]


class Capture(ABC):
    """What turns a call into something to replay."""

    @abstractmethod
    def capture(self, function: Callable[[Tensor], Tensor], mel: Tensor) -> Captured:
        """Captures ``function`` at ``mel``, whose memory is the graph's own."""

    @abstractmethod
    def pool_bytes(self) -> int:
        """Device memory that the graphs hold."""


class CudaCapture(Capture):
    """Capture by PyTorch on one GPU.

    Args:
        device: The GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.pool = torch.cuda.graph_pool_handle()
        self.stream = torch.cuda.Stream(device)

    def capture(self, function: Callable[[Tensor], Tensor], mel: Tensor) -> Captured:
        """Calls once on a side stream, where libraries set themselves up, then captures."""
        current = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            function(mel)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool, stream=self.stream):
            audio = function(mel)
        current.wait_stream(self.stream)
        return Captured(mel, audio, graph.replay)

    def pool_bytes(self) -> int:
        """Sum of the pool's segments in PyTorch's allocator."""
        segments = torch.cuda.memory_snapshot()
        return sum(int(part["total_size"]) for part in segments if tuple(part["segment_pool_id"]) == tuple(self.pool))


class ShapeGraphs:
    """A function that is replayed, shape by shape.

    Args:
        function: ``(batch, bands, frames)`` to ``(batch, 1, samples)`` in PyTorch, without a synchronisation.
        capture: What captures it.
        most: Graphs kept at most.
    """

    def __init__(self, function: Callable[[Tensor], Tensor], capture: Capture, most: int = MOST_GRAPHS) -> None:
        self.function, self.most = function, most
        self._capture = capture
        self._graphs: OrderedDict[tuple[int, ...], Captured] = OrderedDict()

    def __call__(self, mel: Tensor) -> Tensor:
        """Replays the graph of ``mel``'s shape; the output's memory is used again by the next call.

        Raises:
            WrongOutputError: a new graph's replay differs from the call that it was captured from.
        """
        shape = tuple(mel.shape)
        found = self._graphs.get(shape)
        if found is None:
            return self._add(shape, mel)
        self._graphs.move_to_end(shape)
        with torch.inference_mode():
            found.mel.copy_(mel)
            found.replay()
        return found.audio

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes that have a graph, the least recently used first."""
        return tuple(self._graphs)

    def pool_bytes(self) -> int:
        """Device memory that the graphs hold."""
        return self._capture.pool_bytes()

    def close(self) -> None:
        """Drops every graph."""
        self._graphs.clear()

    def _add(self, shape: tuple[int, ...], mel: Tensor) -> Tensor:
        with torch.inference_mode():
            expected = self.function(mel)
            captured = self._capture.capture(self.function, torch.zeros_like(mel))
            captured.mel.copy_(mel)
            captured.replay()
        error = _relative_error(captured.audio, expected)
        # A comparison with NaN is false, so that a network that makes NaN is left to whoever looks at its output.
        if error > TOLERANCE:
            raise WrongOutputError(f"a CUDA graph's replay differs from its call by {error:.2g} of the signal.")
        self._graphs[shape] = captured
        while len(self._graphs) > self.most:
            self._graphs.popitem(last=False)
        return captured.audio


def _relative_error(audio: Tensor, expected: Tensor) -> float:
    """Root of the mean square of the difference over that of what is expected; infinity for silence that is none."""
    if audio.shape != expected.shape:
        return float("inf")
    difference = torch.linalg.vector_norm(audio.float() - expected.float())
    return float(difference / torch.linalg.vector_norm(expected.float()).clamp_min(1e-30))
