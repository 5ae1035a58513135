"""What a compiled kernel takes of a GPU, from the assembler's report, and the limits that it is held to.

``limits.toml`` has a table for every kernel of both vocoders: the most registers of a thread, bytes of spills and
bytes of static shared memory, over all GPUs that it is compiled for.
"""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from bench.kernels.compile import compile_kernel
from bench.kernels.sources import Kernel

LIMITS = Path(__file__).with_name("limits.toml")
ARCHITECTURES = ("sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120")
HOPPER_ARCHITECTURES = ("sm_90a",)


@dataclass(frozen=True)
class Resources:
    """Of one kernel.

    Attributes:
        registers: Of a thread.
        spill_bytes: Stored to local memory for want of registers.
        shared_bytes: Static shared memory of a block.
        serialised: Whether the assembler had to put waits between products of ``wgmma``, which costs up to a third.
    """

    registers: int
    spill_bytes: int
    shared_bytes: int
    serialised: bool

    def exceeds(self, limit: "Resources") -> list[str]:
        """What is above its limit, in words."""
        found = [
            f"{name} {getattr(self, name)} > {getattr(limit, name)}"
            for name in ("registers", "spill_bytes", "shared_bytes")
            if getattr(self, name) > getattr(limit, name)
        ]
        return found + (["products are serialised"] if self.serialised else [])


def parse_report(report: str) -> Resources:
    r"""Reads what ``ptxas -v`` says of one kernel.

    >>> text = "0 bytes stack frame, 4 bytes spill stores, 8 bytes spill loads\nUsed 64 registers, 128 bytes smem"
    >>> parse_report(text)
    Resources(registers=64, spill_bytes=4, shared_bytes=128, serialised=False)

    Raises:
        ValueError: it says nothing.
    """
    registers = re.search(r"Used (\d+) registers", report)
    if registers is None:
        raise ValueError(f"the assembler reported no registers: {report!r}")
    spills = re.search(r"(\d+) bytes spill stores", report)
    shared = re.search(r"(\d+) bytes smem", report)
    return Resources(
        int(registers[1]),
        int(spills[1]) if spills else 0,
        int(shared[1]) if shared else 0,
        "C7515" in report or "C7520" in report or "serialized" in report,
    )


def measure(kernel: Kernel, arch: str) -> Resources:
    """Compiles a kernel and reads the assembler's report; needs no GPU."""
    return parse_report(compile_kernel(kernel, arch, report=True)[1])


def architectures(kernel: Kernel) -> tuple[str, ...]:
    """The GPUs that a kernel is compiled for."""
    return HOPPER_ARCHITECTURES if kernel.hopper else ARCHITECTURES


def read_limits(path: Path = LIMITS) -> dict[Kernel, Resources]:
    """The table of limits."""
    entries = tomllib.loads(path.read_text(encoding="utf-8"))["kernel"]
    limits = {}
    for entry in entries:
        constants = tuple(sorted((name, int(value)) for name, value in entry["constants"].items()))
        kernel = Kernel(entry["name"], constants, entry["element"], entry["hopper"])
        limits[kernel] = Resources(entry["registers"], entry["spill_bytes"], entry["shared_bytes"], serialised=False)
    return limits
