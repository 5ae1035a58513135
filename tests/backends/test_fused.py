"""The fused backend says what it cannot run, and its options are checked before anything runs."""

import pytest
import torch

from bench.backend import Request
from bench.backends import find_backend
from bench.backends.fused import Fused
from bench.case import Case
from bench.errors import InputError, UnsupportedError
from bench.precision import PRECISIONS
from tests.kernels.networks import bigvgan

CPU = torch.device("cpu")


def case(precision: str = "fp16", **options: str) -> Case:
    """A case of the backend."""
    return Case("v3", "fused", precision, 1, 4, tuple(sorted(options.items())))


def request(of: Case) -> Request:
    """A request for a small network."""
    return Request(bigvgan(), of, PRECISIONS[of.precision], torch.zeros(1, 100, 4), CPU)


def test_it_is_found() -> None:
    """By its name, as every backend."""
    assert isinstance(find_backend("fused"), Fused)


def test_a_processor_has_no_kernels() -> None:
    """One sentence says so."""
    assert Fused().unavailable_reason(CPU) == "fused kernels need an NVIDIA GPU."


def test_an_old_gpu_has_no_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turing's tensor cores have no bfloat16 and no asynchronous copies."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    assert "7.5" in str(Fused().unavailable_reason(torch.device("cuda")))


@pytest.mark.parametrize("options", [{"graphs": "0"}, {"graphs": "many"}, {"path": "fastest"}])
def test_a_wrong_option_is_an_input_error(options: dict[str, str]) -> None:
    """Before the weights are packed."""
    name = next(iter(options))
    with pytest.raises(InputError, match=name):
        Fused().check(case(**options))


@pytest.mark.parametrize("options", [{}, {"graphs": "1"}, {"path": "portable"}, {"path": "hopper", "graphs": "20"}])
def test_right_options_pass(options: dict[str, str]) -> None:
    """Each alone and both together."""
    Fused().check(case(**options))


@pytest.mark.parametrize("precision", ["fp32", "tf32", "autocast", "int8", "fp8"])
def test_a_precision_without_kernels_is_unsupported(precision: str) -> None:
    """No other precision runs under its label."""
    with pytest.raises(UnsupportedError, match=precision):
        Fused().prepare(request(case(precision)))


def test_the_hopper_path_wants_a_hopper(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for on another card it is unsupported; left open, the card decides."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (12, 0))
    with pytest.raises(UnsupportedError, match=r"12\.0"):
        Fused().prepare(request(case(path="hopper")))
