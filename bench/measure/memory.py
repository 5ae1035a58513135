"""Memory of one case, by three witnesses: torch's allocator, NVML, and the operating system.

torch's allocator does not see the CUDA context, nor what TensorRT allocates; NVML sees the process whole. The
figures are taken in a pass of their own, before any baseline is loaded and outside every timed span.
"""

import ctypes
import ctypes.util
import gc
import threading
from collections.abc import Callable
from types import TracebackType

import psutil
import torch

from bench.measure.nvml import nvml_handle, process_bytes, used_bytes
from bench.records.schema import Memory

_POLL_S = 0.002


class RssPeak:
    """Context manager that polls this process's resident set; ``peak_bytes`` holds the largest seen."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self.peak_bytes = 0

    def _read(self) -> None:
        self.peak_bytes = max(self.peak_bytes, self._process.memory_info().rss)

    def _poll(self) -> None:
        while not self._done.wait(_POLL_S):
            self._read()

    def __enter__(self) -> "RssPeak":
        self._read()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        self._read()


# PyTorch has no type of its own for memory that the host refuses; its allocator's name is the only sign.
_HOST_ALLOCATOR = "DefaultCPUAllocator"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that an allocation was refused, on the GPU or on the host."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return type(error) is RuntimeError and _HOST_ALLOCATOR in str(error)


def trim() -> None:
    """Hands memory that was freed, but kept by the C library, back to the system; only glibc can be asked to."""
    library = ctypes.util.find_library("c")
    release = getattr(ctypes.CDLL(library), "malloc_trim", None) if library else None
    if release is not None:
        release(0)


class MemoryMeter:
    """Weighs one case: construct before preparing, call :meth:`weigh` with the prepared runner's call.

    Args:
        device: Where the case runs.
    """

    def __init__(self, device: torch.device) -> None:
        gc.collect()
        trim()
        self.device = device
        self.rss_before = psutil.Process().memory_info().rss
        self.handle = nvml_handle(device)
        self.used_before = None
        if device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.synchronize(device)
            torch.cuda.reset_peak_memory_stats(device)
            self.allocated_before = torch.cuda.memory_allocated(device)
            self.reserved_before = torch.cuda.memory_reserved(device)
            self.used_before = used_bytes(self.handle)

    def weigh(self, call: Callable[[], object], runs: int = 2) -> Memory:
        """Runs ``call`` a few times and reads every witness.

        Args:
            call: One inference; it may return before the GPU is done.
            runs: How often.
        """
        cuda = self.device.type == "cuda"
        model_bytes = None
        if cuda:
            torch.cuda.synchronize(self.device)
            # Building may have peaked higher than running; that is the build's, not the inference's.
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)
            model_bytes = torch.cuda.memory_allocated(self.device) - self.allocated_before
        with RssPeak() as rss:
            for _ in range(runs):
                call()
            if cuda:
                torch.cuda.synchronize(self.device)
        used_after = used_bytes(self.handle)
        return Memory(
            allocated_peak_bytes=(
                torch.cuda.max_memory_allocated(self.device) - self.allocated_before if cuda else None
            ),
            reserved_peak_bytes=torch.cuda.max_memory_reserved(self.device) - self.reserved_before if cuda else None,
            model_bytes=model_bytes,
            process_gpu_bytes=process_bytes(self.handle),
            device_delta_bytes=(
                used_after - self.used_before if used_after is not None and self.used_before is not None else None
            ),
            rss_peak_bytes=rss.peak_bytes,
            # Less than before means that an earlier case's memory went back meanwhile: no figure of this case.
            rss_delta_bytes=rss.peak_bytes - self.rss_before if rss.peak_bytes > self.rss_before else None,
        )
