"""The numeric precisions of a sweep: what is set, and what was in effect.

``fp32`` switches TF32 off everywhere, which PyTorch does not do by itself: its convolutions use TF32 on
every NVIDIA GPU since Ampere. ``autocast`` keeps float32 weights and lets PyTorch choose per operation.
``int8`` and ``fp8`` are float16 around convolutions of eight bits; they exist in engines only.

Precisions are plain data, so that a sweep can be read without PyTorch; what acts on them imports it.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.errors import InputError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Precision:
    """One way of computing.

    Attributes:
        name: As in case ids.
        data_type: PyTorch's name for the data type of weights, input and output.
        tf32: Whether float32 convolutions and products may round their factors to TF32 (10-bit mantissa).
        autocast: Whether PyTorch chooses the data type of every operation.
        quantised: Data type of the convolutions' factors where it is none of PyTorch's arithmetic; else empty.
    """

    name: str
    data_type: str
    tf32: bool = False
    autocast: bool = False
    quantised: str = ""

    @property
    def dtype(self) -> "torch.dtype":
        """Data type of weights, input and output."""
        import torch

        dtype: torch.dtype = getattr(torch, self.data_type)
        return dtype

    @property
    def compute(self) -> "torch.dtype | None":
        """The data type that every convolution works in; None where autocast chooses it by device."""
        return None if self.autocast else self.dtype


PRECISIONS = {
    precision.name: precision
    for precision in (
        Precision("fp32", "float32"),
        Precision("tf32", "float32", tf32=True),
        Precision("fp16", "float16"),
        Precision("bf16", "bfloat16"),
        Precision("autocast", "float32", autocast=True),
        Precision("int8", "float16", quantised="int8"),
        Precision("fp8", "float16", quantised="float8"),
    )
}


def find_precision(name: str) -> Precision:
    """The precision of that name.

    Raises:
        InputError: there is none.
    """
    if name not in PRECISIONS:
        raise InputError(f"unknown precision {name!r}; choose from {', '.join(PRECISIONS)}")
    return PRECISIONS[name]


def unsupported_reason(precision: Precision, device: "torch.device") -> str | None:
    """Why PyTorch cannot compute so on ``device``, in one sentence; None where it can."""
    import torch

    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        if major < 8 and (precision.tf32 or precision.data_type == "bfloat16"):
            return f"{precision.name} needs compute capability 8.0, this GPU has {major}.{minor}."
        if precision.quantised == "float8" and (major, minor) < (8, 9):
            return f"fp8 needs compute capability 8.9, this GPU has {major}.{minor}."
    elif precision.tf32:
        return "tf32 exists on NVIDIA GPUs only."
    return None


def autocast_dtype(device: "torch.device") -> "torch.dtype":
    """What autocast lowers convolutions to on ``device``, PyTorch's default for it."""
    import torch

    return torch.get_autocast_dtype(device.type)


def gpu_switches() -> tuple[Any, Any]:
    """Where PyTorch keeps the float32 precision of a GPU's products and convolutions: ``fp32_precision`` of each."""
    import torch

    backends: Any = torch.backends  # torch's type information leaves some of them out
    return backends.cuda.matmul, backends.cudnn.conv


@contextmanager
def flags(precision: Precision) -> Iterator[None]:
    """Sets PyTorch's TF32 switches for ``precision``, on the GPU and on the CPU, and puts them back."""
    import torch

    backends: Any = torch.backends
    others = (backends.cudnn.rnn, backends.mkldnn.conv, backends.mkldnn.matmul)
    with ExitStack() as stack:
        for switch in (*gpu_switches(), *others):
            stack.callback(setattr, switch, "fp32_precision", switch.fp32_precision)
            switch.fp32_precision = "tf32" if precision.tf32 and switch not in others else "ieee"
        yield


@contextmanager
def autocast(precision: Precision, device: "torch.device") -> Iterator[None]:
    """Autocast for ``precision``; part of an inference, because it converts the weights at every call."""
    import torch

    if precision.autocast:
        with torch.autocast(device.type, dtype=autocast_dtype(device)):
            yield
    else:
        yield
