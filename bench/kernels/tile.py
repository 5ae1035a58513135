"""Convolutions on ``mma.sync``: every layer of the portable path, and on Hopper those that ``wgmma`` does not take."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from bench.kernels import packing
from bench.kernels.driver import Launch
from bench.kernels.layers import NEVER_SHIFTED, WARP, Context, round_up
from bench.kernels.plan import Convolution
from bench.kernels.sources import Kernel, kernel

PIECE = 32


@dataclass(frozen=True)
class Tile:
    """What a block of the tile convolution makes, and with what.

    Attributes:
        columns: Output channels.
        samples: Output samples.
        along: Warps along the samples.
        across: Warps across the columns.
        chunk: Input channels at a time.
        stages: Weight tiles in flight.
        blocks: Blocks a multiprocessor is to hold.
    """

    columns: int
    samples: int
    along: int
    across: int
    chunk: int
    stages: int
    blocks: int


# Tiles in the order of preference, each with the fewest blocks a multiprocessor for which it is taken, and the most
# taps. Measured on an H100 (docs/kernels.md); there the first table is 5 to 60 % faster, and needs the shared memory of
# an A100 or a larger card. The second is for the others, on which nobody has measured yet.
FULL, MANY, ANY_TAPS = 0.85, 3.0, 1 << 30
ROOMY_LIMIT = 160_000
ROOMY_TILES = (
    (Tile(128, 128, 2, 4, 64, 3, 2), MANY, 8),
    (Tile(128, 128, 2, 2, 64, 3, 2), MANY, ANY_TAPS),
    (Tile(96, 256, 4, 1, 32, 3, 1), MANY, ANY_TAPS),
    (Tile(96, 128, 2, 3, 64, 3, 2), FULL, ANY_TAPS),
    (Tile(96, 128, 2, 3, 32, 4, 2), FULL, ANY_TAPS),
    (Tile(128, 256, 4, 2, 64, 3, 1), FULL, ANY_TAPS),
    (Tile(64, 256, 4, 2, 64, 3, 2), FULL, ANY_TAPS),
    (Tile(64, 128, 2, 2, 64, 3, 3), FULL, ANY_TAPS),
    (Tile(64, 128, 2, 2, 32, 4, 3), FULL, ANY_TAPS),
    (Tile(32, 128, 4, 1, 32, 4, 4), FULL, ANY_TAPS),
)
TILES = (
    (Tile(128, 128, 2, 4, 32, 4, 2), FULL, ANY_TAPS),
    (Tile(96, 128, 2, 3, 32, 4, 2), FULL, ANY_TAPS),
    (Tile(64, 128, 2, 2, 32, 4, 3), FULL, ANY_TAPS),
    (Tile(32, 128, 4, 1, 32, 4, 4), FULL, ANY_TAPS),
)
# For few samples: narrow tiles and many weights in flight.
DEEP = Tile(32, 64, 4, 1, 64, 7, 2)
# Layers of at most this many columns keep all weights in shared memory, where they fit.
RESIDENT_COLUMNS = 48


class TileConvolution:
    """A convolution on ``mma.sync``.

    Args:
        layer: The plan's.
        element: Data type of tensors.
        leaky: Whether results are stored as leaky ReLUs.
        shared_limit: Shared memory that a block may have, in bytes.
        device: The GPU.
    """

    def __init__(
        self, layer: Convolution, element: torch.dtype, leaky: bool, shared_limit: int, device: torch.device
    ) -> None:
        self.layer, self.element, self.leaky, self.shared_limit = layer.bare(), element, leaky, shared_limit
        self._memory: dict[Kernel, tuple[int, int]] = {}
        self.columns = layer.columns if layer.columns <= 56 else round_up(layer.columns, 32)
        self.piece = 16 if layer.inputs <= 16 else 48 if layer.inputs == 48 else 32
        self.weight = packing.pack_tile(layer.weight.to(device), self.columns, self.piece, element)
        self.bias = F.pad(layer.bias.to(device), (0, self.columns - layer.columns)).contiguous()
        self._addresses = self.weight.data_ptr(), self.bias.data_ptr()
        resident = self._resident()
        if resident is not None and self.shared_bytes(resident) <= shared_limit:
            self._choices = [(resident, 0.0)]
        else:
            self._choices = [pair for pair in self._ring() if self.shared_bytes(pair[0]) <= shared_limit]
        self.kernels = tuple(chosen for chosen, _ in self._choices)

    def _kernel(self, tile: Tile, *, resident: bool = False) -> Kernel:
        return kernel(
            "tile_convolution",
            self.element,
            COLUMNS=tile.columns,
            BLOCK_SAMPLES=tile.samples,
            WARPS_ALONG=tile.along,
            WARPS_ACROSS=tile.across,
            BLOCKS_PER_SM=tile.blocks,
            CHUNK=tile.chunk,
            WEIGHT_STAGES=tile.stages,
            RESIDENT=int(resident),
            PIECE=self.piece,
            LEAKY=int(self.leaky),
        )

    def _resident(self) -> Kernel | None:
        if self.columns > RESIDENT_COLUMNS:
            return None
        samples = 512 if self.columns <= 16 else 256
        return self._kernel(Tile(self.columns, samples, 8, 1, self.piece, 2, 2), resident=True)

    def _ring(self) -> list[tuple[Kernel, float]]:
        """In the order of preference, each with the fewest blocks a multiprocessor for which it is taken."""
        layer = self.layer
        if self.columns % 32:
            return [(self._kernel(Tile(self.columns, 128, 4, 1, self.piece, 4, 2)), 0.0)]
        boundary = layer.shifted_from or 0
        roomy = self.piece == PIECE and self.shared_limit >= ROOMY_LIMIT
        found = []
        for tile, fewest, most_taps in ROOMY_TILES if roomy else TILES:
            divides = self.columns % tile.columns == 0 and boundary % tile.columns == 0
            whole = tile.chunk == PIECE or layer.inputs % tile.chunk == 0
            if divides and whole and layer.taps <= most_taps:
                fitted = tile if self.piece == PIECE else replace(tile, chunk=self.piece)
                found.append((self._kernel(fitted), fewest))
        if self.piece == PIECE and layer.inputs > PIECE:
            found.append((self._kernel(DEEP), 0.0))
        return found

    def input_stages(self, chosen: Kernel) -> int:
        """Chunks of input that shared memory holds: a weight in flight may belong to a chunk as far ahead."""
        values = chosen.values
        chunks = -(-self.layer.inputs // values["CHUNK"])
        if values["RESIDENT"]:
            return chunks
        return min(1 + -(-(values["WEIGHT_STAGES"] - 1) // self.layer.taps), chunks)

    def memory(self, chosen: Kernel) -> tuple[int, int]:
        """Chunks of input in shared memory, and its bytes."""
        if chosen not in self._memory:
            self._memory[chosen] = self.input_stages(chosen), self.shared_bytes(chosen)
        return self._memory[chosen]

    def shared_bytes(self, chosen: Kernel) -> int:
        """Shared memory of a block."""
        values = chosen.values
        row = (values["CHUNK"] // 8 | 1) * 16
        chunks = -(-self.layer.inputs // values["CHUNK"])
        stages = chunks * self.layer.taps if values["RESIDENT"] else values["WEIGHT_STAGES"]
        rows = values["BLOCK_SAMPLES"] + self.layer.halo
        return self.input_stages(chosen) * rows * row + stages * values["COLUMNS"] * row

    def choose(self, batch: int, samples: int, processors: int) -> Kernel:
        """The first tile that makes enough blocks, else the last one."""
        for candidate, fewest in self._choices:
            values = candidate.values
            blocks = batch * -(-samples // values["BLOCK_SAMPLES"]) * (self.columns // values["COLUMNS"])
            if blocks >= fewest * processors:
                return candidate
        return self.kernels[-1]

    def launch(
        self, context: Context, chosen: Kernel, x: int, out: int, residual: int, batch: int, samples: int
    ) -> Launch:
        """``out = [leaky](convolution(x) + residual)``."""
        layer, values = self.layer, chosen.values
        shifted = NEVER_SHIFTED if layer.shifted_from is None else layer.shifted_from // values["COLUMNS"]
        chunks = -(-layer.inputs // values["CHUNK"])
        input_stages, shared = self.memory(chosen)
        arguments = (
            *(x, *self._addresses, residual, out),
            *(samples, layer.inputs, layer.columns, self.columns, chunks, layer.taps, layer.dilation, layer.offset),
            *(shifted, input_stages),
        )
        grid = (-(-samples // values["BLOCK_SAMPLES"]), self.columns // values["COLUMNS"], batch)
        threads = WARP * values["WARPS_ALONG"] * values["WARPS_ACROSS"]
        module = context.modules[chosen]
        return Launch(module, grid, threads, shared, "5P10i", arguments, overlap=context.overlap)
