"""Eager runs the module in the label's precision."""

from dataclasses import replace

import pytest
import torch

from bench.backend import Request
from bench.backends.eager import Eager, place
from bench.case import Case
from bench.errors import InputError, UnsupportedError
from tests.backends.pytorch_requests import assert_runs_its_label, assert_takes_any_shape, request


@pytest.mark.parametrize(("precision", "weights"), [("fp32", "float32"), ("bf16", "bfloat16"), ("autocast", "float32")])
def test_it_runs_its_label(precision: str, weights: str) -> None:
    """In float32, in bfloat16 throughout, and under autocast with float32 weights."""
    assert assert_runs_its_label(Eager(), precision).weights == weights


def test_it_takes_any_shape() -> None:
    """At another batch and length it gives the module's output."""
    assert_takes_any_shape(Eager())


def test_an_unsupported_precision_is_refused_before_copying() -> None:
    """What the device cannot compute is unsupported."""
    with pytest.raises(UnsupportedError, match="tf32 exists on NVIDIA GPUs only"):
        place(request("tf32"))


@pytest.mark.parametrize("precision", ["int8", "fp8"])
def test_eight_bits_are_for_engines(precision: str) -> None:
    """PyTorch would compute in float16 under such a label."""
    with pytest.raises(UnsupportedError, match=f"{precision} convolutions exist in engines only"):
        place(request(precision))


def with_options(**options: str) -> Request:
    """A request of eager with options."""
    asked = request("fp32")
    return replace(asked, case=replace(asked.case, backend="eager", options=tuple(sorted(options.items()))))


@pytest.mark.parametrize("options", [{"empty_cache": "on"}, {"memory_fraction": "0.5"}])
def test_memory_options_are_a_gpu_s(options: dict[str, str]) -> None:
    """A processor has no such allocator: unsupported, and no row that looks like a measurement."""
    Eager().check(with_options(**options).case)
    with pytest.raises(UnsupportedError, match="allocator on an NVIDIA GPU"):
        Eager().prepare(with_options(**options))


@pytest.mark.parametrize("text", ["0", "1.5", "nan", "half", "-1"])
def test_a_wrong_fraction_is_refused(text: str) -> None:
    """A sentence before anything runs."""
    with pytest.raises(InputError, match="over 0 and up to 1"):
        Eager().check(Case("v3", "eager", "fp32", 1, 3, (("memory_fraction", text),)))
    with pytest.raises(InputError, match="on or off"):
        Eager().check(Case("v3", "eager", "fp32", 1, 3, (("empty_cache", text),)))


class FakeCuda:
    """Stands in for PyTorch's allocator, and keeps what it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[object] = []
        monkeypatch.setattr(torch.cuda, "empty_cache", lambda: self.asked.append("empty"))
        monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda value, _: self.asked.append(value))


class OnGpu(torch.nn.Module):
    """A vocoder that stays where it is, so that a device without a GPU can stand for one."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        """The first band."""
        return mel[:, :1] * self.weight


def on_gpu(monkeypatch: pytest.MonkeyPatch, **options: str) -> Request:
    """A request for a GPU that is not there."""
    monkeypatch.setattr("bench.backends.eager.place", lambda _: OnGpu())
    return replace(with_options(**options), device=torch.device("cuda:0"))


def test_the_cache_is_emptied_after_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a call, and the time until a call returns is not taken for launching."""
    cuda, asked = FakeCuda(monkeypatch), on_gpu(monkeypatch, empty_cache="on")
    runner = Eager().prepare(asked)
    assert (runner.synchronous, runner.alone, cuda.asked) == (True, True, [])
    for _ in range(2):
        runner.run(asked.mel)
    assert cuda.asked == ["empty", "empty"]
    kept = Eager().prepare(on_gpu(monkeypatch, empty_cache="off"))
    kept.run(asked.mel)
    assert (kept.synchronous, kept.alone, len(cuda.asked)) == (False, False, 2)


def test_the_limit_ends_with_the_case(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cases share a process: the limit is there before the weights, and gone afterwards, also where they do not fit."""
    cuda, asked = FakeCuda(monkeypatch), on_gpu(monkeypatch, memory_fraction="0.5")
    runner = Eager().prepare(asked)
    assert runner.alone
    assert cuda.asked == ["empty", 0.5]
    runner.close()
    assert cuda.asked == ["empty", 0.5, 1.0]

    def full(_: Request) -> OnGpu:
        assert cuda.asked[-1] == 0.5
        raise torch.OutOfMemoryError("planted")

    monkeypatch.setattr("bench.backends.eager.place", full)
    with pytest.raises(torch.OutOfMemoryError):
        Eager().prepare(asked)
    assert cuda.asked[-1] == 1.0
