"""The launches of a shape: in what order, on which streams, and what collects them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from bench.kernels.driver import Launch
from bench.kernels.layers import Context, ConvolutionLayer


@dataclass(frozen=True)
class Send:
    """A launch on a lane: 0 is the caller's stream."""

    lane: int
    launch: Launch


@dataclass(frozen=True)
class Fork:
    """The lanes up to ``lanes - 1`` wait for lane 0."""

    lanes: int


@dataclass(frozen=True)
class Join:
    """Lane 0 waits for the lanes up to ``lanes - 1``."""

    lanes: int


@dataclass(frozen=True)
class Schedule:
    """The launches of a shape.

    Attributes:
        items: In order; the first is the launch that reads the mel.
        memory: The block that tensors lie in.
        audio: The output, in ``memory``.
    """

    items: tuple[Send | Fork | Join, ...]
    memory: torch.Tensor
    audio: torch.Tensor


Item = Send | Fork | Join


def nowhere(_: Item) -> None:
    """For schedules that are sent later."""


class Emitter:
    """Collects launches for a batch.

    Args:
        context: What launches need.
        batch: Of every tensor.
        addresses: Of tensors, by name.
        sink: Gets every item at once.
    """

    def __init__(
        self, context: Context, batch: int, addresses: Mapping[str, int], sink: Callable[[Item], None]
    ) -> None:
        self.context, self.batch, self.addresses = context, batch, addresses
        self.items: list[Send | Fork | Join] = []
        self.sink = sink
        self.lane = 0
        self.after_fork = False

    def send(self, launch: Launch) -> None:
        """Adds a launch on the current lane."""
        # The first kernel of a branch waits for another stream's, which launches cannot overlap with.
        if self.after_fork:
            launch.serialise()
        self.after_fork = False
        self.add(Send(self.lane, launch))

    def add(self, item: Item) -> None:
        """Adds an item."""
        self.items.append(item)
        self.sink(item)

    def convolution(self, layer: ConvolutionLayer, x: str, out: str, samples: int, residual: str = "") -> None:
        """Adds a convolution between named tensors."""
        chosen = layer.choose(self.batch, samples, self.context.processors)
        at = self.addresses
        kept = at[residual] if residual else 0
        self.send(layer.launch(self.context, chosen, at[x], at[out], kept, self.batch, samples))
