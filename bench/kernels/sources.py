"""The CUDA sources: one self-contained text for each kernel and set of constants.

Includes are written into the text, so that compiling needs no headers on the machine and the text is all that a
compiled kernel depends on beside the compiler.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import torch

from bench.kernels import filters

FOLDER = Path(__file__).parent / "cuda"
_INCLUDE = re.compile(r'^#include "([^"]+)"\n', re.MULTILINE)


@dataclass(frozen=True, order=True)
class Kernel:
    """A kernel with its compile-time constants.

    Attributes:
        name: File in ``cuda/`` and function in it.
        constants: Sorted ``(name, value)`` pairs.
        element: Data type that tensors are stored in, ``"float16"`` or ``"bfloat16"``.
        hopper: Whether it needs compute capability 9.0 exactly (``sm_90a``).
    """

    name: str
    constants: tuple[tuple[str, int], ...] = ()
    element: str = "float16"
    hopper: bool = False

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.name, self.constants, self.element))

    @property
    def label(self) -> str:
        """The name in tables and messages."""
        return " ".join([self.name, *(f"{name}={value}" for name, value in self.constants), self.element])

    @cached_property
    def values(self) -> dict[str, int]:
        """The constants by name."""
        return dict(self.constants)


def kernel(name: str, element: torch.dtype, /, **constants: int) -> Kernel:
    """A kernel of every GPU, with constants by keyword."""
    return _kernel(name, element, tuple(sorted(constants.items())), False)


def hopper_kernel(name: str, element: torch.dtype, /, **constants: int) -> Kernel:
    """A kernel of Hopper, with constants by keyword."""
    return _kernel(name, element, tuple(sorted(constants.items())), True)


@cache
def _kernel(name: str, element: torch.dtype, constants: tuple[tuple[str, int], ...], hopper: bool) -> Kernel:
    """One object for a kernel, so that looking it up compares no constants."""
    return Kernel(name, constants, str(element).removeprefix("torch."), hopper)


def source(wanted: Kernel) -> str:
    """The whole text of a kernel."""
    head = ["#define BFLOAT16\n"] if wanted.element == "bfloat16" else []
    head += [f"constexpr int {name} = {value};\n" for name, value in wanted.constants]
    made = {
        "wgmma_widths.cuh": _wgmma(wanted.values.get("COLUMNS") or wanted.values.get("CHANNELS") or 8),
        "filter.cuh": _filter(getattr(torch, wanted.element)),
    }
    seen: set[str] = set()
    return "".join(head) + _expand(f"{wanted.name}.cu", made, seen)


def _expand(name: str, made: Mapping[str, str], seen: set[str]) -> str:
    if name in seen:
        return ""
    seen.add(name)
    text = made[name] if name in made else _read(name)
    return _INCLUDE.sub(lambda match: _expand(match[1], made, seen), text.replace("#pragma once\n", ""))


@cache
def _read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _filter(element: torch.dtype) -> str:
    values = ", ".join(f"{tap:.9g}f" for tap in filters.taps())
    return (
        f"__device__ constexpr float FILTER[12] = {{{values}}};\nconstexpr float SCALE = {filters.SCALES[element]}f;\n"
    )


@cache
def _wgmma(width: int) -> str:
    """``Wgmma<width>``: inline assembly has to name each register of the sums."""
    count = width // 2
    registers = ", ".join(f"%{i}" for i in range(count))
    operands = ", ".join(f'"+f"(sums[{i}])' for i in range(count))
    return (
        "template <int N> struct Wgmma;\n"
        f"template <> struct Wgmma<{width}> {{\n"
        f"  static DEVICE void add(float (&sums)[{count}], u64 a, u64 b) {{\n"
        f'    asm volatile("{{.reg .pred p; setp.eq.u32 p, 0, 0; wgmma.mma_async.sync.aligned.m64n{width}k16."\n'
        f'                 WGMMA_TYPES " {{{registers}}}, %{count}, %{count + 1}, p, 1, 1, 0, 0;}}"\n'
        f'                 : {operands} : "l"(a), "l"(b));\n  }}\n}};\n'
    )
