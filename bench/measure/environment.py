"""What this machine is: everything a figure depends on that the case does not name."""

import os
import platform
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
import pynvml
import torch

from bench.measure.nvml import ask, nvml_handle

# PyTorch's annotations leave these functions out.
_CUDNN: Any = torch.backends.cudnn
# Distributions whose version can change a figure.
DISTRIBUTIONS = (
    "torch",
    "triton",
    "torch-tensorrt",
    "torch-tensorrt-rtx",
    "tensorrt",
    "tensorrt-cu13",
    "tensorrt-cu12",
    "tensorrt-rtx",
    "nvidia-modelopt",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "numpy",
    "librosa",
    "auraloss",
    "pesq",
    "pystoi",
    "visqol-python",
    "pytest",
    "pytest-benchmark",
    "gpt-sovits-vocoder-bench",
)


def distribution_version(name: str) -> str | None:
    """Version of an installed distribution; None if it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def physical_cores() -> int:
    """Physical cores that this process may use."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(allowed, psutil.cpu_count(logical=False) or allowed)


def capture(device: torch.device, machine_facts: dict[str, Any] | None = None) -> dict[str, Any]:
    """The environment of a record, JSON values only.

    Args:
        device: Where the case runs.
        machine_facts: From :func:`machine`, read before; None to read them now.

    Returns:
        ``gpu`` (None on a CPU), ``cpu``, ``memory_bytes``, ``versions``, ``threads``, ``git``, ``flags``,
        ``os``, ``python`` and ``command``. What the machine does not tell is None.
    """
    return {
        **(machine() if machine_facts is None else machine_facts),
        "gpu": gpu(device) if device.type == "cuda" else None,
        "threads": torch.get_num_threads(),
        "flags": {
            "cudnn_benchmark": torch.backends.cudnn.benchmark,
            "cudnn_deterministic": torch.backends.cudnn.deterministic,
            "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
            "inputs": "on the device, the same in every round (caches are warm)",
            "cuda_visible_devices": os.environ.get("CUDA_VISIBLE_DEVICES"),
            "pytorch_alloc_conf": os.environ.get("PYTORCH_ALLOC_CONF") or os.environ.get("PYTORCH_CUDA_ALLOC_CONF"),
        },
    }


def machine() -> dict[str, Any]:
    """What does not change while a process runs: processor, memory, versions, commit and command."""
    return {
        "cpu": {"name": _cpu_name(), "cores": physical_cores(), "architecture": platform.machine()},
        "memory_bytes": psutil.virtual_memory().total,
        "versions": {
            **{name: distribution_version(name) for name in DISTRIBUTIONS},
            "torch_build": torch.__version__,
            "cuda": torch.version.cuda,
            "cudnn": _CUDNN.version() if _CUDNN.is_available() else None,
            "tensorrt_library": tensorrt_version(),
        },
        "git": _git(),
        "os": platform.platform(),
        "python": platform.python_version(),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    }


def _cpu_name() -> str:
    """The processor's marketing name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def tensorrt_version() -> str | None:
    """Version of the TensorRT library itself, which may lack distribution metadata."""
    try:
        import tensorrt
    except Exception:  # noqa: BLE001 - a broken installation raises whatever its loader raises
        return None
    return getattr(tensorrt, "__version__", None)


def _git() -> dict[str, Any]:
    """Commit of the checkout that this code runs from; blanks for an installed package.

    Where the code was copied without its repository, as into a container, ``VOCODER_BENCH_COMMIT`` may name it.
    """
    here = Path(__file__).resolve().parent

    def run(*arguments: str) -> str | None:
        try:
            done = subprocess.run(  # noqa: S603 - fixed arguments
                ["git", "-C", str(here), *arguments],  # noqa: S607 - the user's git
                capture_output=True,
                text=True,
                check=True,
                timeout=10,
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    commit = run("rev-parse", "HEAD")
    if commit is None:
        return {"commit": os.environ.get("VOCODER_BENCH_COMMIT"), "dirty": None}
    status = run("status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": None if status is None or commit is None else bool(status)}


def gpu(device: torch.device) -> dict[str, Any]:
    """Name, driver, limits and clocks of one GPU."""
    properties = torch.cuda.get_device_properties(device)
    handle = nvml_handle(device)
    limit_mw = ask("nvmlDeviceGetPowerManagementLimit", handle)
    return {
        "name": properties.name,
        "capability": f"{properties.major}.{properties.minor}",
        "multiprocessors": properties.multi_processor_count,
        "memory_bytes": properties.total_memory,
        "driver": ask("nvmlSystemGetDriverVersion"),
        "power_limit_w": None if limit_mw is None else limit_mw / 1000,
        "max_sm_clock_mhz": ask("nvmlDeviceGetMaxClockInfo", handle, pynvml.NVML_CLOCK_SM),
        "max_memory_clock_mhz": ask("nvmlDeviceGetMaxClockInfo", handle, pynvml.NVML_CLOCK_MEM),
        "application_sm_clock_mhz": ask("nvmlDeviceGetApplicationsClock", handle, pynvml.NVML_CLOCK_SM),
        "persistence_mode": ask("nvmlDeviceGetPersistenceMode", handle),
    }
