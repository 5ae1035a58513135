"""What a case's time is made of, by PyTorch's profiler."""

from dataclasses import dataclass
from typing import Annotated

from bench.records.facts import Facts
from bench.records.kind import Result


@dataclass(frozen=True)
class ProfiledKernel:
    """Work of one name.

    Attributes:
        name: Of the kernel; of the operator on a CPU.
        calls: How often it ran in one inference.
        ms: Its time in one inference.
    """

    name: str
    calls: float
    ms: float


@dataclass(frozen=True)
class ProfiledLayer:
    """One layer of the network, in the order that layers run in.

    Attributes:
        name: As in the network's state.
        kind: ``"conv"``, ``"transposed conv"`` or ``"activation"``.
        flops: Floating-point operations of one inference.
        floor_ms: What the machine allows for it.
        bound_by: What sets that floor: ``"compute"`` or ``"memory"``.
        ms: What it took in one inference; None where the backend does not tell its layers apart.
    """

    name: str
    kind: str
    flops: int
    floor_ms: float
    bound_by: str
    ms: float | None = None


@dataclass(frozen=True, kw_only=True)
class Profile(Result, kind="profile", title="profile", compared=False):
    """A case taken apart by ``vocoder-bench profile``. The profiler slows the host down: none of it is a speed.

    Attributes:
        kernel_count: Kernels of one inference; operators on a CPU.
        kernels_ms: Their time together.
        busy_percent: Share of the time between the first kernel's begin and the last one's end in which one ran;
            None on a CPU.
        kernels: The longest first.
        layers: Every layer, in the order that they run in.
    """

    kernel_count: Annotated[float, Facts("Kernels")]
    kernels_ms: Annotated[float, Facts("Time in kernels", "ms")]
    busy_percent: Annotated[float | None, Facts("GPU busy", "%")] = None
    kernels: tuple[ProfiledKernel, ...] = ()
    layers: tuple[ProfiledLayer, ...] = ()
