"""Running a network at any shape: graphs for shapes that come again, plain launches for the first time.

A shape's first call sends its launches one by one. Its second call captures them as a CUDA graph, which later calls
replay. The number of shapes that keep memory and a graph is bounded; the least recently used one goes first.
"""

import ctypes
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.errors import InputError
from bench.kernels import driver
from bench.kernels.network import Network
from bench.kernels.schedule import Fork, Item, Schedule, Send

_DISABLE_TIMING = 2


@dataclass
class _Shape:
    """What a shape keeps."""

    schedule: Schedule
    mel: int
    graph: driver.Graph | None = None


class _Lanes:
    """Streams beside the caller's, and the events between them."""

    def __init__(self, count: int, device: torch.device) -> None:
        self.streams = [torch.cuda.Stream(device) for _ in range(count - 1)]
        self._fork = _event()
        self._joins = [_event() for _ in self.streams]

    def send(self, schedule: Schedule, stream: int) -> None:
        """Sends a schedule, lane 0 on ``stream``."""
        send = self.sink(stream)
        for item in schedule.items:
            send(item)

    def sink(self, stream: int) -> Callable[[Item], None]:
        """What sends one item."""
        handles = [stream, *(other.cuda_stream for other in self.streams)]

        def send(item: Item) -> None:
            if isinstance(item, Send):
                item.launch.run(handles[item.lane])
            elif isinstance(item, Fork):
                _record(self._fork, stream)
                for handle in handles[1 : item.lanes]:
                    _wait(handle, self._fork)
            else:
                for event, handle in zip(self._joins, handles[1 : item.lanes], strict=False):
                    _record(event, handle)
                    _wait(stream, event)

        return send


def _event() -> ctypes.c_void_p:
    event = ctypes.c_void_p()
    driver.call("cuEventCreate", ctypes.byref(event), _DISABLE_TIMING)
    return event


def _record(event: ctypes.c_void_p, stream: int) -> None:
    driver.call("cuEventRecord", event, ctypes.c_void_p(stream))


def _wait(stream: int, event: ctypes.c_void_p) -> None:
    driver.call("cuStreamWaitEvent", ctypes.c_void_p(stream), event, 0)


class Runtime:
    """A network at any shape, on the current stream; calls that follow each other are on one stream or synchronised.

    Args:
        network: With its modules loaded.
        graphs: Shapes that keep memory and a graph; at least one.
    """

    def __init__(self, network: Network, graphs: int) -> None:
        self.network, self.graphs = network, graphs
        lanes = max(len(stage.branches) for stage in network.plan.stages)
        self._lanes = _Lanes(lanes, network.device)
        self._capture_stream = torch.cuda.Stream(network.device)
        self._shapes: OrderedDict[tuple[int, int], _Shape] = OrderedDict()
        self._memory: Tensor | None = None

    def run(self, mel: Tensor) -> Tensor:
        """``(batch, bands, frames)`` float32 mel to float32 ``(batch, 1, samples)`` audio.

        The audio's memory is used again at the next call.

        Raises:
            InputError: the mel has another data type or number of bands, which the kernels would misread.
        """
        batch, bands, frames = mel.shape
        if mel.dtype is not torch.float32 or bands != self.network.plan.bands:
            raise InputError(
                f"the kernels read a float32 mel of {self.network.plan.bands} bands, not {bands} of {mel.dtype}"
            )
        mel = mel.contiguous()
        stream = torch.cuda.current_stream(mel.device).cuda_stream
        shape = self._shapes.get((batch, frames))
        if shape is None:
            return self._first_run(batch, frames, mel.data_ptr(), stream)
        self._shapes.move_to_end((batch, frames))
        if shape.mel != mel.data_ptr():
            self._set_mel(shape, mel.data_ptr(), batch, frames)
        if shape.graph is None:
            shape.graph = self._capture(shape.schedule)
        shape.graph.run(stream)
        return shape.schedule.audio

    def counts(self, batch: int, frames: int) -> dict[str, int]:
        """Launches of a shape by kernel."""
        counts = self.network.counts(self._shapes[batch, frames].schedule)
        return {kernel.label: count for kernel, count in sorted(counts.items())}

    @property
    def memory_bytes(self) -> int:
        """Tensors of the shapes that are kept, without their graphs; shapes share a block where they fit."""
        blocks = {shape.schedule.memory.data_ptr(): shape.schedule.memory.numel() for shape in self._shapes.values()}
        return sum(blocks.values())

    def close(self) -> None:
        """Gives the graphs' and the tensors' memory back."""
        torch.cuda.synchronize(self.network.device)
        while self._shapes:
            self._drop(self._shapes.popitem()[1])
        self._memory = None

    def _first_run(self, batch: int, frames: int, mel: int, stream: int) -> Tensor:
        """Sends the launches while they are prepared."""
        while len(self._shapes) >= self.graphs:
            # What is running may still use it; its graph is destroyed when it has finished.
            torch.cuda.synchronize(self.network.device)
            self._drop(self._shapes.popitem(last=False)[1])
        schedule = self.network.schedule(batch, frames, mel, self._lanes.sink(stream), self._memory)
        self._memory = schedule.memory
        self._shapes[batch, frames] = _Shape(schedule, mel)
        return schedule.audio

    @staticmethod
    def _drop(shape: _Shape) -> None:
        if shape.graph is not None:
            shape.graph.close()

    def _set_mel(self, shape: _Shape, address: int, batch: int, frames: int) -> None:
        launch = self.network.input_launch(shape.schedule, address, batch, frames)
        first = shape.schedule.items[0]
        if isinstance(first, Send):
            first.launch.take_arguments(launch)
        if shape.graph is not None:
            shape.graph.set_root(launch)
        shape.mel = address

    def _capture(self, schedule: Schedule) -> driver.Graph:
        stream = self._capture_stream.cuda_stream
        return driver.Graph(stream, lambda: self._lanes.send(schedule, stream))
