"""The compile backend: one whole graph, exact, that never compiles again without saying so."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from bench.backends.compile import Compile, _takes, compiled_form
from bench.case import Case
from bench.errors import InputError, UnsupportedError
from bench.lowering.channels_last import RowActivation
from bench.measure.sampling import StopRule
from bench.run.sweep import Profile, parse_backend
from bench.vocoders.alias_free import AliasFreeActivation
from tests.backends.small_requests import small_request

CPU = torch.device("cpu")
needs_compiler = pytest.mark.skipif(Compile().unavailable_reason(CPU) is not None, reason="needs a C++ compiler")


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    """What one test compiled is not there for the next."""
    torch.compiler.reset()
    yield
    torch.compiler.reset()


class _Activation(nn.Module):
    """The alias-free activation of the channels-last form, from and to three dimensions."""

    def __init__(self, original: AliasFreeActivation) -> None:
        super().__init__()
        self.row = RowActivation(original)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.row(x.unsqueeze(2).contiguous(memory_format=torch.channels_last))
        return made.squeeze(2)


@needs_compiler
def test_an_open_length_is_compiled_once_and_exact_at_every_length() -> None:
    """Lengths that were never seen have the activation's output, edges included, and none compiles again."""
    original = AliasFreeActivation(4, beta=True, logscale=True).requires_grad_(False)
    run = compiled_form(_Activation(original), torch.randn(1, 4, 9), (7, 100))
    with torch.inference_mode(), torch.compiler.set_stance("fail_on_recompile"):
        for samples in (9, 7, 8, 40):
            x = torch.randn(1, 4, samples)
            assert torch.allclose(run(x), original(x), atol=1e-5)


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
        effective = runner.effective(asked.mel)
    assert (effective.compute, effective.weights, effective.output) == ("float32",) * 3
    # The first and last convolution, the transposed one, and two of the residual block.
    assert effective.evidence.startswith("5 convolutions")
    details = runner.build.details
    assert (details["graphs"], details["dynamic"]) == (False, False)
    assert details["compile_s"] > 0


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

    with pytest.raises(UnsupportedError, match="cannot leave the length open"):
        compiled_form(Constant(), torch.zeros(1, 2, 3), (2, 10))


@pytest.mark.parametrize(
    ("precision", "options", "reason"),
    [
        ("autocast", (), "one data type"),
        ("tf32", (), "tf32 exists on NVIDIA GPUs only"),
        ("int8", (), "engines only"),
        ("fp32", (("graphs", "on"),), "CUDA graphs need an NVIDIA GPU"),
        ("fp32", (("dynamic", "on"),), "chooses a convolution's algorithm by its length"),
    ],
)
def test_what_it_cannot_run_is_unsupported(precision: str, options: tuple[tuple[str, str], ...], reason: str) -> None:
    """Before anything compiles."""
    with pytest.raises(UnsupportedError, match=reason):
        Compile().prepare(small_request("compile", precision, options=options))


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
    grid: dict[str, list[str] | list[int]] = {"versions": ["v3"], "precisions": ["fp32"], "batches": [1], "frames": [9]}
    open_grid = Profile("open", (grid,), StopRule())
    names = {case.backend for case in open_grid.cases()}
    assert "eager" in names
    assert "compile" not in names
    [named] = open_grid.cases({"backends": ["compile:dynamic=on"]})
    assert (named.backend, named.options) == parse_backend("compile:dynamic=on")


def test_lengths_that_a_compiled_graph_takes() -> None:
    """An open graph takes its batch at 2 to 16384 frames, a fixed one its own shape."""
    built = (2, 100, 9)
    assert [_takes(built, (2, 100, frames), dynamic=True) for frames in (1, 2, 16384, 16385)] == [
        False,
        True,
        True,
        False,
    ]
    assert not _takes(built, (1, 100, 9), dynamic=True)
    assert [_takes(built, (2, 100, frames), dynamic=False) for frames in (8, 9)] == [False, True]
