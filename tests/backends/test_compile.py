"""The compile backend: one whole graph, exact, that never compiles again without saying so."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from bench.backends.compile import Compile, compiled_form
from bench.case import Case
from bench.errors import InputError, UnsupportedError, WrongOutputError
from bench.measure.sampling import StopRule
from bench.run.sweep import Profile, parse_backend
from tests.backends.pytorch_requests import small_request

CPU = torch.device("cpu")
needs_compiler = pytest.mark.skipif(Compile().unavailable_reason(CPU) is not None, reason="needs a C++ compiler")


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    """What one test compiled is not there for the next."""
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@needs_compiler
def test_an_open_length_is_compiled_once_and_exact_at_every_length() -> None:
    """With dynamic=on, lengths that were never seen have the module's output, and none compiles again."""
    asked = small_request("compile", options=(("dynamic", "on"),))
    runner = Compile().prepare(asked)
    assert runner.takes((1, 100, 17))
    assert not runner.takes((2, 100, 17))
    assert not runner.takes((1, 100, 1))
    with torch.inference_mode(), torch.compiler.set_stance("fail_on_recompile"):
        for frames in (3, 2, 17):
            mel = torch.randn(1, 100, frames)
            expected = asked.vocoder(mel)
            assert torch.allclose(runner.run(mel), expected, atol=1e-5 * float(expected.abs().max()))
        effective = runner.effective(asked.mel)
    assert (effective.compute, effective.weights, effective.output) == ("float32",) * 3
    # Five: the first and last convolution, the transposed one, and two of the residual block.
    assert effective.evidence.startswith("5 convolutions")
    details = runner.build.details
    assert (details["graphs"], details["dynamic"]) == (False, True)
    assert details["compile_s"] > 0


@needs_compiler
def test_a_fixed_length_takes_tensors_from_inside_and_outside_inference_mode() -> None:
    """Both are the same call to what was compiled; another length is not taken."""
    asked = small_request("compile")
    runner = Compile().prepare(asked)
    assert runner.takes((1, 100, 3))
    assert not runner.takes((1, 100, 4))
    with torch.inference_mode(), torch.compiler.set_stance("fail_on_recompile"):
        expected = asked.vocoder(asked.mel)
        for mel in (asked.mel, asked.mel * 1):
            assert torch.allclose(runner.run(mel), expected, atol=1e-5 * float(expected.abs().max()))


class _Breaking(nn.Module):
    def forward(self, mel: Tensor) -> Tensor:
        torch._dynamo.graph_break()
        return mel + 1


def test_a_part_outside_the_graph_is_an_error() -> None:
    """What would silently run in eager raises."""
    with pytest.raises(Exception, match=r"(?i)graph.break"):
        compiled_form(_Breaking(), torch.zeros(1, 2, 3))


@needs_compiler
def test_a_length_taken_for_a_constant_is_an_error() -> None:
    """A form that would compile again at every length is no form of an open length."""

    class Constant(nn.Module):
        def forward(self, mel: Tensor) -> Tensor:
            return mel + (1 if mel.shape[2] == 3 else 2)

    with pytest.raises((WrongOutputError, RuntimeError), match=r"compile again|[Cc]onstraint"):
        compiled_form(Constant(), torch.zeros(1, 2, 3), dynamic=True)


@pytest.mark.parametrize(
    ("precision", "options", "frames", "reason"),
    [
        ("autocast", (), 3, "one data type"),
        ("tf32", (), 3, "tf32 exists on NVIDIA GPUs only"),
        ("int8", (), 3, "engines only"),
        ("fp32", (("graphs", "on"),), 3, "CUDA graphs need an NVIDIA GPU"),
        ("fp32", (("dynamic", "on"),), 1, "one of 2 to 16384 frames"),
    ],
)
def test_what_it_cannot_run_is_unsupported(
    precision: str, options: tuple[tuple[str, str], ...], frames: int, reason: str
) -> None:
    """Before anything compiles."""
    with pytest.raises(UnsupportedError, match=reason):
        Compile().prepare(small_request("compile", precision, frames=frames, options=options))


def test_options_are_on_or_off() -> None:
    """Another value is the user's mistake."""
    Compile().check(Case("v3", "compile", "fp32", 1, 3, (("dynamic", "on"), ("graphs", "off"))))
    with pytest.raises(InputError, match="option dynamic of compile is on or off, not 'yes'"):
        Compile().check(Case("v3", "compile", "fp32", 1, 3, (("dynamic", "yes"),)))


def test_without_a_compiler_it_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without g++ or clang++ says so."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    assert Compile().unavailable_reason(CPU) == "torch.compile needs a C++ compiler, and there is none here."


def test_a_sweep_runs_it_on_request() -> None:
    """A grid without backends leaves it out, because a case takes minutes; named, it runs."""
    grid = {"versions": ["v3"], "precisions": ["fp32"], "batches": [1], "frames": [9]}
    open_grid = Profile("open", (grid,), StopRule())
    names = {case.backend for case in open_grid.cases()}
    assert "eager" in names
    assert "compile" not in names
    [named] = open_grid.cases({"backends": ["compile:dynamic=on"]})
    assert (named.backend, named.options) == parse_backend("compile:dynamic=on")
