"""The few functions of NVIDIA's driver that launching needs, called directly.

A launch costs a microsecond or two this way; a network has some 170. Every result is checked.
"""

import ctypes
import re
import struct
import sys
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

# CUfunction_attribute, CUlaunchAttributeID, CUstreamCaptureMode and the tensor map's enums, from cuda.h.
MAX_DYNAMIC_SHARED = 8
PROGRAMMATIC_STREAM_SERIALIZATION = 6
CAPTURE_THREAD_LOCAL = 1
TENSOR_FLOAT16, TENSOR_BFLOAT16 = 6, 9
SWIZZLE_128B, L2_PROMOTION_256B = 3, 3
MAP_BYTES = 128


class DriverError(RuntimeError):
    """A driver call failed."""


class LaunchAttribute(ctypes.Structure):
    """``CUlaunchAttribute`` with a whole number as its value."""

    _fields_ = (("id", ctypes.c_int), ("pad", ctypes.c_char * 4), ("value", ctypes.c_int), ("rest", ctypes.c_char * 60))


# Blocks of a grid, threads of a block, and shared memory, as both structures below have them.
_GEOMETRY = tuple(
    (name, ctypes.c_uint) for name in ("grid_x", "grid_y", "grid_z", "block_x", "block_y", "block_z", "shared_bytes")
)


class LaunchConfig(ctypes.Structure):
    """``CUlaunchConfig``."""

    _fields_ = (
        *_GEOMETRY,
        ("stream", ctypes.c_void_p),
        ("attributes", ctypes.POINTER(LaunchAttribute)),
        ("attribute_count", ctypes.c_uint),
    )


_OVERLAP = LaunchAttribute(id=PROGRAMMATIC_STREAM_SERIALIZATION, value=1)
_OVERLAPPING = ctypes.pointer(_OVERLAP)


class KernelNodeParams(ctypes.Structure):
    """``CUDA_KERNEL_NODE_PARAMS`` of version 2."""

    _fields_ = (
        ("function", ctypes.c_void_p),
        *_GEOMETRY,
        ("parameters", ctypes.c_void_p),
        ("extra", ctypes.c_void_p),
        ("kernel", ctypes.c_void_p),
        ("context", ctypes.c_void_p),
    )


@cache
def library() -> Any:
    """The driver's library.

    Raises:
        DriverError: there is none.
    """
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        return ctypes.CDLL(name)
    except OSError as error:
        raise DriverError(f"NVIDIA's driver library cannot be loaded: {error}") from error


def call(name: str, *arguments: object) -> None:
    """Calls a function and checks its result.

    Raises:
        DriverError: the result is not success.
    """
    check(getattr(library(), name)(*arguments), name)


def check(code: int, what: str) -> None:
    """Raises :class:`DriverError` for a result other than success."""
    if code:
        text = ctypes.c_char_p()
        library().cuGetErrorString(code, ctypes.byref(text))
        raise DriverError(f"{what}: {(text.value or b'unknown error').decode()} ({code})")


def version() -> int:
    """The driver's CUDA version, such as 13000."""
    value = ctypes.c_int()
    call("cuDriverGetVersion", ctypes.byref(value))
    return value.value


def current_context() -> ctypes.c_void_p:
    """The calling thread's context."""
    context = ctypes.c_void_p()
    call("cuCtxGetCurrent", ctypes.byref(context))
    return context


class Module:
    """A compiled kernel on the GPU of the current context.

    Args:
        cubin: The machine code.
        name: The kernel's name.
    """

    def __init__(self, cubin: bytes, name: str) -> None:
        self._module, self.function = ctypes.c_void_p(), ctypes.c_void_p()
        call("cuModuleLoadData", ctypes.byref(self._module), cubin)
        call("cuModuleGetFunction", ctypes.byref(self.function), self._module, name.encode())
        self._shared_bytes = 0

    def allow_shared(self, size: int) -> None:
        """Lets blocks have ``size`` bytes of dynamic shared memory."""
        if size > self._shared_bytes:
            call("cuFuncSetAttribute", self.function, MAX_DYNAMIC_SHARED, ctypes.c_int(size))
            self._shared_bytes = size


def tensor_map(address: int, element_code: int, sizes: Sequence[int], box: Sequence[int]) -> bytes:
    """A map of a dense ``(batch, samples, channels)`` tensor of 16-bit elements, rows of the box swizzled by 128 bytes.

    Args:
        address: Of the tensor, a multiple of 16.
        element_code: ``TENSOR_FLOAT16`` or ``TENSOR_BFLOAT16``.
        sizes: ``(channels, samples, batch)``.
        box: The same of what one copy brings.

    Returns:
        ``CUtensorMap``.
    """
    # The driver writes a map at a multiple of 64 bytes only.
    storage = (ctypes.c_char * (MAP_BYTES + 64))()
    place = (ctypes.addressof(storage) + 63) // 64 * 64
    dimensions = (ctypes.c_uint64 * 3)(*sizes)
    strides = (ctypes.c_uint64 * 2)(sizes[0] * 2, sizes[0] * sizes[1] * 2)
    call(
        "cuTensorMapEncodeTiled",
        ctypes.c_void_p(place),
        element_code,
        3,
        ctypes.c_void_p(address),
        dimensions,
        strides,
        (ctypes.c_uint32 * 3)(*box),
        (ctypes.c_uint32 * 3)(1, 1, 1),
        0,
        SWIZZLE_128B,
        L2_PROMOTION_256B,
        0,
    )
    return ctypes.string_at(place, MAP_BYTES)


@cache
def _layout(form: str) -> tuple[struct.Struct, tuple[int, ...]]:
    """How arguments are packed into one block, and where each one begins.

    Args:
        form: As in :mod:`struct`: ``P`` an address, ``i`` and ``I`` whole numbers, ``f`` a float32, ``128s`` a map.
    """
    offsets = []
    end = ""
    for count, kind in re.findall(r"(\d*)(\w)", form):
        for item in [count + kind] if kind == "s" else [kind] * int(count or 1):
            end += item
            offsets.append(struct.calcsize(end) - struct.calcsize(item))
    return struct.Struct(end), tuple(offsets)


class Launch:
    """A kernel with its grid and arguments, ready to be sent to any stream.

    Args:
        module: The kernel.
        grid: Blocks.
        threads: Of a block.
        shared_bytes: Dynamic shared memory of a block.
        form: Types of the arguments, see :func:`struct.pack`.
        arguments: In the kernel's order.
        overlap: Whether it may start while the kernel in front ends (programmatic dependent launch).
    """

    __slots__ = ("_buffer", "_config", "_pointers", "_reference", "arguments", "module")

    def __init__(
        self,
        module: Module,
        grid: tuple[int, int, int],
        threads: int,
        shared_bytes: int,
        form: str,
        arguments: tuple[Any, ...],
        *,
        overlap: bool = False,
    ) -> None:
        module.allow_shared(shared_bytes)
        self.module, self.arguments = module, arguments
        layout, offsets = _layout(form)
        packed = layout.pack(*arguments)
        self._buffer = ctypes.create_string_buffer(packed, len(packed))
        base = ctypes.addressof(self._buffer)
        self._pointers = (ctypes.c_void_p * len(offsets))(*[base + offset for offset in offsets])
        attributes, count = (_OVERLAPPING, 1) if overlap else (None, 0)
        self._config = LaunchConfig(*grid, threads, 1, 1, shared_bytes, None, attributes, count)
        self._reference = ctypes.byref(self._config)

    @property
    def grid(self) -> tuple[int, int, int]:
        """Blocks."""
        config = self._config
        return config.grid_x, config.grid_y, config.grid_z

    def take_arguments(self, other: "Launch") -> None:
        """Takes the arguments of another launch of the same kernel."""
        self.arguments = other.arguments
        self._buffer, self._pointers = other._buffer, other._pointers

    def serialise(self) -> None:
        """Starts it only when the kernels in front are done."""
        self._config.attribute_count = 0

    def run(self, stream: int) -> None:
        """Sends it to a stream."""
        self._config.stream = stream
        code = library().cuLaunchKernelEx(self._reference, self.module.function, self._pointers, None)
        if code:
            check(code, "cuLaunchKernelEx")

    def node_params(self) -> KernelNodeParams:
        """The same as a graph's node wants it."""
        config = self._config
        return KernelNodeParams(
            self.module.function,
            *self.grid,
            config.block_x,
            config.block_y,
            config.block_z,
            config.shared_bytes,
            ctypes.cast(self._pointers, ctypes.c_void_p),
            None,
            None,
            None,
        )


class Graph:
    """What is sent to a stream, as one launch.

    Args:
        stream: The stream to capture.
        send: Sends the work to it, and to streams that fork from it and join it again.
    """

    def __init__(self, stream: int, send: Callable[[], None]) -> None:
        call("cuStreamBeginCapture_v2", ctypes.c_void_p(stream), CAPTURE_THREAD_LOCAL)
        self._graph, self._executable, self._root = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
        try:
            send()
        finally:
            # Ends the capture also where sending failed, which makes the capture invalid.
            code = library().cuStreamEndCapture(ctypes.c_void_p(stream), ctypes.byref(self._graph))
        check(code, "cuStreamEndCapture")
        count = ctypes.c_size_t(1)
        call("cuGraphGetRootNodes", self._graph, ctypes.byref(self._root), ctypes.byref(count))
        call("cuGraphInstantiateWithFlags", ctypes.byref(self._executable), self._graph, ctypes.c_ulonglong(0))

    def set_root(self, launch: Launch) -> None:
        """Gives the first kernel other arguments, for launches from now on."""
        params = launch.node_params()
        call("cuGraphExecKernelNodeSetParams_v2", self._executable, self._root, ctypes.byref(params))

    def run(self, stream: int) -> None:
        """Sends it to a stream."""
        code = library().cuGraphLaunch(self._executable, ctypes.c_void_p(stream))
        if code:
            check(code, "cuGraphLaunch")

    def close(self) -> None:
        """Gives its memory back."""
        call("cuGraphExecDestroy", self._executable)
        # The executable refers to the graph's nodes when their arguments change, so the graph lives as long.
        call("cuGraphDestroy", self._graph)
