"""Kernels from source to the GPU: NVRTC through ``cuda-core``, each kernel checked once and then kept.

A kernel that has not been compiled for this GPU, driver and compiler is compiled, loaded and checked against its
PyTorch meaning before it goes into the engine cache; what the cache holds has passed. Without a cache every process
compiles and checks again.
"""

import hashlib
import io
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from bench.errors import UnsupportedError
from bench.kernels import driver
from bench.kernels.sources import Kernel, source

OPTIONS: dict[str, Any] = {"std": "c++17", "device_as_default_execution_space": True}
# The form of what the self-check looks at; a stricter check raises it, and kernels are checked again.
CHECK = "1"


class Kept(Protocol):
    """What a cache hands out."""

    @property
    def plan(self) -> bytes:
        """The machine code."""

    @property
    def from_cache(self) -> bool:
        """Whether it was read rather than built."""


class KernelStore(Protocol):
    """The engine cache, as far as kernels need it."""

    def fetch(self, key: Mapping[str, str], build: Callable[[], bytes]) -> Kept:
        """What is kept under a key, built if need be."""


@dataclass(frozen=True)
class Compiled:
    """Kernels on the GPU, and what it took.

    Attributes:
        modules: By kernel.
        seconds: Compiling, checking, reading, loading.
        size_bytes: Machine code.
        from_cache: Whether all came from the cache.
    """

    modules: Mapping[Kernel, driver.Module]
    seconds: float
    size_bytes: int
    from_cache: bool


def unavailable_reason() -> str | None:
    """Why kernels cannot be compiled here, in one sentence; None when they can."""
    try:
        from cuda.bindings import nvrtc
        from cuda.core import Program  # noqa: F401 - whether it is there

        nvrtc.nvrtcVersion()
    except Exception as error:  # noqa: BLE001 - a broken installation raises anything
        return f"kernels need cuda-core and NVRTC (pip install 'gpt-sovits-vocoder-bench[fused]'): {error}."
    return None


def compiler_version() -> str:
    """Of NVRTC and cuda-core."""
    import cuda.core
    from cuda.bindings import nvrtc

    _, major, minor = nvrtc.nvrtcVersion()
    return f"nvrtc {major}.{minor}, cuda-core {cuda.core.__version__}"


def architecture(kernel: Kernel, capability: tuple[int, int]) -> str:
    """The compiler's name of the GPU that a kernel is compiled for."""
    return f"sm_{capability[0]}{capability[1]}" + ("a" if kernel.hopper else "")


def compile_kernel(kernel: Kernel, arch: str, *, report: bool = False) -> tuple[bytes, str]:
    """Compiles a kernel; needs no GPU.

    Args:
        kernel: The kernel.
        arch: Such as ``"sm_90a"``.
        report: Whether the assembler says what the kernel takes.

    Returns:
        The machine code, and what compiler and assembler said.
    """
    from cuda.core import Program, ProgramOptions

    # Without the second option NVRTC 13.0 takes a generic lambda for a host function.
    options: dict[str, Any] = {"arch": arch, **OPTIONS, "name": f"{kernel.name}.cu"}
    if report:
        options["ptxas_options"] = ["-v"]
    said = io.StringIO()
    program = Program(source(kernel), "c++", ProgramOptions(**options))
    code = program.compile("cubin", logs=said).code
    return bytes(code), said.getvalue().replace("\0", "")


def key(kernel: Kernel, arch: str, gpu: str) -> dict[str, str]:
    """What a compiled and checked kernel depends on."""
    return {
        "backend": "fused",
        "precision": kernel.element,
        "shapes": kernel.name,
        "kernel": kernel.label,
        "source": hashlib.sha256(source(kernel).encode()).hexdigest(),
        "options": repr(OPTIONS),
        "arch": arch,
        "gpu": gpu,
        "driver": str(driver.version()),
        "compiler": compiler_version(),
        "check": CHECK,
    }


def load(
    kernels: Iterable[Kernel],
    device: torch.device,
    store: KernelStore | None,
    check: Callable[[Kernel, driver.Module], None],
) -> Compiled:
    """The kernels on a GPU, from the cache or compiled and checked.

    Args:
        kernels: Which.
        device: Of the current context.
        store: The engine cache; None to keep nothing.
        check: Raises :class:`bench.errors.WrongOutputError` for a kernel that computes something else.

    Raises:
        UnsupportedError: a kernel does not compile.
        WrongOutputError: a kernel failed its check.
    """
    started = time.perf_counter()
    wanted = sorted(set(kernels))
    capability, gpu = torch.cuda.get_device_capability(device), torch.cuda.get_device_name(device)
    context, one_at_a_time = driver.current_context(), threading.Lock()
    compiler_version()  # imports cuda-core, which two threads cannot do at the same time

    def build(kernel: Kernel, arch: str) -> bytes:
        try:
            code = compile_kernel(kernel, arch)[0]
        except Exception as error:
            raise UnsupportedError(f"{kernel.label} does not compile for {arch}: {error}") from error
        with one_at_a_time:
            check(kernel, driver.Module(code, kernel.name))
        return code

    def fetch(kernel: Kernel) -> tuple[bytes, bool]:
        driver.call("cuCtxSetCurrent", context)
        arch = architecture(kernel, capability)
        if store is None:
            return build(kernel, arch), False
        engine = store.fetch(key(kernel, arch, gpu), lambda: build(kernel, arch))
        return engine.plan, engine.from_cache

    # Compiling is most of a first use and runs in parallel; the checks run one by one.
    with ThreadPoolExecutor() as pool:
        fetched = dict(zip(wanted, pool.map(fetch, wanted), strict=True))
    modules = {kernel: driver.Module(code, kernel.name) for kernel, (code, _) in fetched.items()}
    return Compiled(
        modules,
        time.perf_counter() - started,
        sum(len(code) for code, _ in fetched.values()),
        all(cached for _, cached in fetched.values()),
    )
