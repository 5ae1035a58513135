"""Requests for backends that run in PyTorch, and what each of them is held to."""

import torch

from bench.backend import Backend, Request
from bench.case import Case
from bench.precision import PRECISIONS, flags
from bench.records.schema import EffectivePrecision
from tests.conftest import small_v3
from tests.small_vocoders import smooth


def request(precision: str, batch: int = 1, frames: int = 2) -> Request:
    """A request of a small v3 on the CPU."""
    torch.manual_seed(0)
    mel = torch.randn(batch, 100, frames)
    vocoder = smooth(small_v3(resblock_kernel_sizes=[3], resblock_dilation_sizes=[[1, 3]]))
    case = Case("v3", "any", precision, batch, frames)
    return Request(vocoder, case, PRECISIONS[precision], mel, torch.device("cpu"))


def assert_runs_its_label(backend: Backend, precision: str) -> EffectivePrecision:
    """It gives the module's output in the label's precision, and leaves the module, which cases share, as it was."""
    asked = request(precision)
    before = {name: value.clone() for name, value in asked.vocoder.state_dict().items()}
    with flags(asked.precision), torch.inference_mode():
        runner = backend.prepare(asked)
        mel = asked.mel.to(runner.dtype)
        effective = runner.effective(mel)
        wave, reference = runner.run(mel).float(), asked.vocoder(asked.mel)
    error = float((wave - reference).abs().max() / reference.abs().max())
    assert effective.compute == ("float32" if precision == "fp32" else "bfloat16")
    assert wave.shape == reference.shape
    assert error < 1e-5 if precision == "fp32" else 1e-5 < error < 0.05
    after = asked.vocoder.state_dict()
    assert all(torch.equal(value, after[name]) and value.dtype == after[name].dtype for name, value in before.items())
    return effective


def assert_takes_any_shape(backend: Backend) -> None:
    """What says that it takes any shape gives the module's output at another batch and length."""
    asked = request("fp32")
    runner = backend.prepare(asked)
    assert runner.takes((3, 100, 17))
    other = torch.randn(2, 100, 3)
    with torch.inference_mode():
        wave, reference = runner.run(other), asked.vocoder(other)
    assert wave.shape == reference.shape
    assert torch.allclose(wave, reference, atol=1e-5 * float(reference.abs().max()))
