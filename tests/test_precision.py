"""What a precision sets, and what refuses it."""

import subprocess
import sys
from typing import Any

import pytest
import torch

from bench.errors import InputError
from bench.precision import PRECISIONS, find_precision, flags, unsupported_reason

CPU = torch.device("cpu")
# PyTorch's annotations leave some of them out.
BACKENDS: Any = torch.backends
SWITCHES = (BACKENDS.cuda.matmul, BACKENDS.cudnn.conv, BACKENDS.mkldnn.matmul, BACKENDS.mkldnn.conv)


def settings() -> list[str]:
    """What PyTorch's switches say now."""
    return [switch.fp32_precision for switch in SWITCHES]


def test_fp32_switches_tf32_off_everywhere() -> None:
    """fp32 sets strict float32 in every switch, also those that PyTorch leaves at TF32, and puts them back."""
    before = settings()
    with flags(PRECISIONS["fp32"]):
        assert settings() == ["ieee"] * 4
    assert settings() == before


def test_tf32_is_for_the_gpu_only() -> None:
    """tf32 allows the rounding in the GPU's convolutions and products, and nowhere on the CPU."""
    with flags(PRECISIONS["tf32"]):
        assert settings() == ["tf32", "tf32", "ieee", "ieee"]


def test_switches_are_put_back_after_an_error() -> None:
    """A case that fails leaves no switch behind for the next."""
    before = settings()
    with pytest.raises(ZeroDivisionError), flags(PRECISIONS["tf32"]):
        raise ZeroDivisionError
    assert settings() == before


def test_what_a_device_cannot_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """TF32 off NVIDIA GPUs, TF32 or bfloat16 before Ampere, and fp8 before Ada, are refused in one sentence."""
    assert unsupported_reason(PRECISIONS["tf32"], CPU) == "tf32 exists on NVIDIA GPUs only."
    assert [name for name in PRECISIONS if unsupported_reason(PRECISIONS[name], CPU)] == ["tf32"]
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    refused = [name for name in PRECISIONS if unsupported_reason(PRECISIONS[name], torch.device("cuda:0"))]
    assert refused == ["tf32", "bf16", "fp8"]
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    assert not any(unsupported_reason(precision, torch.device("cuda:0")) for precision in PRECISIONS.values())


def test_unknown_precision() -> None:
    """A precision that does not exist is answered with those that do."""
    with pytest.raises(InputError, match="unknown precision 'int4'; choose from fp32, tf32, fp16, bf16, autocast"):
        find_precision("int4")


def test_precisions_are_read_without_pytorch() -> None:
    """A command that only reads a sweep does not wait for PyTorch; the data types are PyTorch's all the same."""
    code = "import sys, bench.precision; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
    assert [precision.dtype for precision in PRECISIONS.values()][:4] == [
        torch.float32,
        torch.float32,
        torch.float16,
        torch.bfloat16,
    ]
