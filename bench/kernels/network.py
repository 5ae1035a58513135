"""A plan on a GPU: which kernel computes which layer, and the launches of a shape in their order.

Both code paths differ in the layers that :func:`build` picks; what follows is the same: branches of a stage run on
streams of their own, the longest one on the first, and everything lies in one block of memory per shape.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch

from bench.errors import UnsupportedError
from bench.kernels import hopper
from bench.kernels.driver import Launch, Module
from bench.kernels.layers import (
    ActivationLayer,
    Context,
    ConvolutionLayer,
    FinalLayer,
    MelLayer,
    SumLayer,
    bands_on,
    round_up,
)
from bench.kernels.plan import Convolution, Plan, Stage, Step
from bench.kernels.schedule import Emitter, Fork, Item, Join, Schedule, Send, nowhere
from bench.kernels.sources import Kernel
from bench.kernels.tile import TileConvolution

PATHS = ("hopper", "portable")
# Below this many frames a batch, kernels overlap with the ones in front: launches are what the time is made of.
OVERLAP_FRAMES = 200
ALIGNMENT = 1024
# Shared memory of a block by compute capability, in bytes; others have at least the least of these.
SHARED_LIMITS = {(8, 0): 166912, (8, 7): 166912, (9, 0): 232448, (10, 0): 232448, (10, 3): 232448}
LEAST_SHARED_LIMIT = 101376


class _Layer(Protocol):
    @property
    def kernels(self) -> tuple[Kernel, ...]: ...


_AnyLayer = TypeVar("_AnyLayer", bound=_Layer)
# Sends a step from one tensor to another: (emitter, x, out, spare, samples).
StepSender = Callable[[Emitter, str, str, str, int], None]


@dataclass(frozen=True)
class _StageLayers:
    upsample: ConvolutionLayer
    branches: tuple[tuple[StepSender, ...], ...]
    total: SumLayer
    stage: Stage


class Network:
    """A plan's layers on a GPU.

    Args:
        plan: The plan.
        path: ``"hopper"`` or ``"portable"``.
        device: The GPU.

    Raises:
        UnsupportedError: no kernel takes a layer.
    """

    def __init__(self, plan: Plan, path: str, device: torch.device) -> None:
        self.plan, self.path, self.device = plan.bare(), path, device
        properties = torch.cuda.get_device_properties(device)
        self.processors = properties.multi_processor_count
        capability = (properties.major, properties.minor)
        self.shared_limit = SHARED_LIMITS.get(capability, LEAST_SHARED_LIMIT)
        self._kernels: set[Kernel] = set()
        self._weights: list[torch.Tensor] = []
        self.bands = bands_on(device, plan.element)
        self.mel = self._keep(MelLayer(plan.bands, plan.element))
        self.first = self._convolution(plan.first)
        self.stages = [self._stage(*pair) for pair in zip(plan.stages, self.plan.stages, strict=True)]
        self.final = self._keep(FinalLayer(plan.last, self.bands, plan.element))
        self.modules: Mapping[Kernel, Module] = {}

    @property
    def kernels(self) -> frozenset[Kernel]:
        """Every kernel that some shape may need."""
        return frozenset(self._kernels)

    @property
    def weight_bytes(self) -> int:
        """Packed weights on the GPU."""
        return sum(weight.numel() * weight.element_size() for weight in self._weights)

    def products(self) -> list[torch.Tensor]:
        """Weights of the matrix products."""
        return [weight for weight in self._weights if weight.dim() > 2]

    def schedule(
        self,
        batch: int,
        frames: int,
        mel: int = 0,
        sink: Callable[[Item], None] = nowhere,
        memory: torch.Tensor | None = None,
    ) -> Schedule:
        """The launches of a shape.

        Args:
            batch: Of the mel.
            frames: Of the mel.
            mel: Its address.
            sink: Gets every item as soon as it is made, so that a GPU can begin while the rest is being prepared.
            memory: Bytes that the tensors may lie in; where they do not fit, or for None, there is a new block.
        """
        sizes, samples = self._sizes(batch, frames)
        offsets, total = {}, 0
        for name, size in sizes.items():
            offsets[name] = total
            total += round_up(size, ALIGNMENT)
        if memory is None or memory.numel() < total + ALIGNMENT:
            memory = torch.empty(total + ALIGNMENT, dtype=torch.uint8, device=self.device)
        base = round_up(memory.data_ptr(), ALIGNMENT)
        addresses = {name: base + offset for name, offset in offsets.items()}
        overlap = batch * frames < OVERLAP_FRAMES
        context = Context(self.modules, self.plan.element, self.processors, overlap)
        emitter = Emitter(context, batch, addresses, sink)
        self._emit(emitter, mel, frames)
        start = addresses["audio"] - memory.data_ptr()
        audio = memory[start : start + 4 * batch * samples].view(torch.float32).view(batch, 1, samples)
        return Schedule(tuple(emitter.items), memory, audio)

    def counts(self, schedule: Schedule) -> Mapping[Kernel, int]:
        """Launches of a schedule by kernel."""
        kernels = {id(module): kernel for kernel, module in self.modules.items()}
        return Counter(kernels[id(item.launch.module)] for item in schedule.items if isinstance(item, Send))

    def input_launch(self, schedule: Schedule, mel: int, batch: int, frames: int) -> Launch:
        """The first launch of a schedule, reading another mel."""
        first = schedule.items[0]
        assert isinstance(first, Send)  # noqa: S101 - _emit begins so
        rows = first.launch.arguments[1]
        return self.mel.launch(Context(self.modules, self.plan.element, self.processors), mel, rows, batch, frames)

    def _sizes(self, batch: int, frames: int) -> tuple[dict[str, int], int]:
        """Bytes of each tensor, and the output's samples."""
        rows = batch * frames
        sizes = {"mel": 2 * rows * self.plan.first.inputs}
        main, widest = [2 * rows * self.plan.first.columns], 0
        samples = frames
        for stage in self.plan.stages:
            samples *= stage.upsample.rate
            widest = max(widest, 2 * batch * samples * stage.channels)
            main.append(2 * batch * samples * stage.channels)
        sizes["main0"], sizes["main1"] = max(main[0::2]), max(main[1::2])
        sizes["up"] = widest
        for branch in range(max(len(stage.branches) for stage in self.plan.stages)):
            sizes |= {f"{name}{branch}": widest for name in ("spare", "even", "odd")}
        sizes["audio"] = 4 * batch * samples
        return sizes, samples

    def _emit(self, emitter: Emitter, mel: int, frames: int) -> None:
        at, batch = emitter.addresses, emitter.batch
        emitter.send(self.mel.launch(emitter.context, mel, at["mel"], batch, frames))
        emitter.convolution(self.first, "mel", "main0", frames)
        samples = frames
        for number, layers in enumerate(self.stages):
            x, out = f"main{number % 2}", f"main{(number + 1) % 2}"
            emitter.convolution(layers.upsample, x, "up", samples)
            samples *= layers.stage.upsample.rate
            results = self._emit_branches(emitter, layers, samples)
            addresses = [at[name] for name in results]
            count = batch * samples * layers.stage.channels
            emitter.send(layers.total.launch(emitter.context, addresses, at[out], count))
        x = f"main{len(self.stages) % 2}"
        emitter.send(self.final.launch(emitter.context, at[x], at["audio"], batch, samples))

    @staticmethod
    def _emit_branches(emitter: Emitter, layers: _StageLayers, samples: int) -> list[str]:
        """Sends the branches, the longest first and on lane 0; returns the names of their results in order."""
        work = [sum(c.taps for step in branch for c in step.convolutions) for branch in layers.stage.branches]
        order = sorted(range(len(work)), key=lambda index: -work[index])
        results = [""] * len(work)
        if len(order) > 1:
            emitter.add(Fork(len(order)))
        for lane, branch in enumerate(order):
            emitter.lane, emitter.after_fork = lane, True
            x = "up"
            for number, step in enumerate(layers.branches[branch]):
                out = f"{'even' if number % 2 == 0 else 'odd'}{branch}"
                step(emitter, x, out, f"spare{branch}", samples)
                x = out
            results[branch] = x
        emitter.lane = 0
        if len(order) > 1:
            emitter.add(Join(len(order)))
        return results

    def _keep(self, layer: _AnyLayer) -> _AnyLayer:
        """Notes a layer's kernels and weights."""
        self._kernels.update(layer.kernels)
        if hasattr(layer, "weight"):
            self._weights.append(layer.weight)
        return layer

    def _convolution(self, layer: Convolution, *, plain: bool = False) -> ConvolutionLayer:
        """A convolution's layer; leaky where HiFi-GAN stores results activated, which ``plain`` says it does not."""
        leaky = not self.plan.snake and not plain
        if self.path == "hopper" and hopper.fits_wide(layer):
            return self._keep(hopper.WideConvolution(layer, self.plan.element, leaky, self.device))
        made = TileConvolution(layer, self.plan.element, leaky, self.shared_limit, self.device)
        if not made.kernels:
            raise UnsupportedError(
                f"a convolution of {layer.inputs} to {layer.columns} channels over {layer.halo + 1} samples needs more "
                f"shared memory than this GPU's {self.shared_limit} bytes."
            )
        return self._keep(made)

    def _stage(self, stage: Stage, bare: Stage) -> _StageLayers:
        element = self.plan.element
        total = SumLayer(not self.plan.snake, len(stage.branches), stage.slope, element)
        branches = tuple(tuple(self._step(step) for step in branch) for branch in stage.branches)
        return _StageLayers(self._convolution(stage.upsample), branches, self._keep(total), bare)

    def _step(self, step: Step) -> StepSender:
        if self.plan.snake:
            return self._snake_step(step)
        if self.path == "hopper" and hopper.fits_leaky_step(step):
            fused = self._keep(hopper.LeakyStep(step, self.plan.element, self.device))
            return lambda to, x, out, _, samples: to.send(
                fused.launch(to.context, to.addresses[x], to.addresses[out], to.batch, samples)
            )
        layers = [self._convolution(layer) for layer in step.convolutions]

        def send(to: Emitter, x: str, out: str, spare: str, samples: int) -> None:
            if len(layers) == 2:
                to.convolution(layers[0], x, spare, samples)
                to.convolution(layers[1], spare, out, samples, x)
            else:
                to.convolution(layers[0], x, out, samples, x)

        return send

    def _snake_step(self, step: Step) -> StepSender:
        element, narrow = self.plan.element, self.path == "hopper"
        if narrow and hopper.fits_snake_step(step):
            fused = self._keep(hopper.SnakeStep(step, self.bands, element))
            return lambda to, x, out, _, samples: to.send(
                fused.launch(to.context, to.addresses[x], to.addresses[out], to.batch, samples)
            )
        if narrow and all(hopper.fits_activated(layer) for layer in step.convolutions):
            return self._activated_step(step)
        activations = [self._keep(ActivationLayer(snake, self.bands, element)) for snake in step.snakes]
        layers = [self._convolution(layer) for layer in step.convolutions]

        def send(to: Emitter, x: str, out: str, spare: str, samples: int) -> None:
            at, source = to.addresses, x
            for number, (activation, layer) in enumerate(zip(activations, layers, strict=True)):
                last = number == len(layers) - 1
                to.send(activation.launch(to.context, at[source], at[spare], to.batch, samples))
                to.convolution(layer, spare, out, samples, x if last else "")
                source = out

        return send

    def _activated_step(self, step: Step) -> StepSender:
        pairs = zip(step.convolutions, step.snakes, strict=True)
        layers = [
            self._keep(hopper.ActivatedConvolution(layer, snake, self.bands, self.plan.element))
            for layer, snake in pairs
        ]

        def send(to: Emitter, x: str, out: str, spare: str, samples: int) -> None:
            at = to.addresses
            first = spare if len(layers) == 2 else out
            kept = 0 if len(layers) == 2 else at[x]
            to.send(layers[0].launch(to.context, at[x], at[first], kept, to.batch, samples))
            if len(layers) == 2:
                to.send(layers[1].launch(to.context, at[spare], at[out], at[x], to.batch, samples))

        return send
