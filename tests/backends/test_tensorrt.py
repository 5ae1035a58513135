"""torch-tensorrt against a fake of its module: what is passed on, what is refused, what is recorded."""

import json
import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.backend import Request
from bench.backends import tensorrt as torch_tensorrt_backend
from bench.backends.tensorrt import (
    TorchTensorRt,
    check_arguments,
    check_whole,
    engine_bytes,
    graph_types,
    import_torch_tensorrt,
    layer_counts,
)
from bench.case import Case
from bench.errors import InputError, UnsupportedError, WrongOutputError
from bench.precision import PRECISIONS
from tests.conftest import small_v3
from tests.trt.requests import CPU, CUDA, FRAMES, FailingImport, request


class Compiled(nn.Module):
    """A compiled module with these children; it runs the exported graph."""

    def __init__(self, run: Callable[[Tensor], Tensor], children: tuple[str, ...]) -> None:
        super().__init__()
        # In a tuple, so that the graph is no child.
        self.graph = (run,)
        for name in children:
            self.add_module(name, nn.Identity())

    def forward(self, mel: Tensor) -> Tensor:
        """The exported graph's output."""
        return self.graph[0](mel)


class FakeTorchTensorRt(ModuleType):
    """``torch_tensorrt`` with the part of its signature that every release from 2.11 to 2.14 has."""

    __version__ = "2.14.0"

    def __init__(self, children: tuple[str, ...] = ("_run_on_acc_0",)) -> None:
        super().__init__("torch_tensorrt")
        self.given: dict[str, Any] = {}

        def compile(  # noqa: A001 - the original's name
            exported_program: torch.export.ExportedProgram,
            inputs: object = None,  # noqa: ARG001 - the original's signature
            *,
            arg_inputs: object = None,
            disable_tf32: bool = False,
            require_full_compilation: bool = False,
            min_block_size: int = 5,
            timing_cache_path: str = "",
            optimization_level: int | None = None,
            **kwargs: object,
        ) -> nn.Module:
            self.given = {
                "disable_tf32": disable_tf32,
                "require_full_compilation": require_full_compilation,
                "min_block_size": min_block_size,
                "timing_cache_path": timing_cache_path,
                "optimization_level": optimization_level,
                "arg_inputs": arg_inputs,
                "swallowed": kwargs,
            }
            return Compiled(exported_program.module(), children)

        self.dynamo = SimpleNamespace(compile=compile)
        self.Input = SimpleNamespace


@pytest.fixture
def torch_tensorrt(monkeypatch: pytest.MonkeyPatch) -> FakeTorchTensorRt:
    """A stand-in in the place of torch_tensorrt."""
    module = FakeTorchTensorRt()
    monkeypatch.setitem(sys.modules, "torch_tensorrt", module)
    return module


@pytest.mark.parametrize(("precision", "disable_tf32"), [("fp32", True), ("tf32", False), ("fp16", True)])
def test_the_model_carries_the_precision(torch_tensorrt: FakeTorchTensorRt, precision: str, disable_tf32: bool) -> None:
    """TF32 is allowed for tf32 only, nothing is swallowed, the whole graph is demanded, and the record follows."""
    runner = TorchTensorRt().prepare(request("tensorrt", precision))
    given = torch_tensorrt.given
    assert given["swallowed"] == {}
    assert given["disable_tf32"] is disable_tf32
    assert given["require_full_compilation"] is True
    assert given["optimization_level"] is None
    assert [mel.dtype for mel in given["arg_inputs"]] == [PRECISIONS[precision].dtype]
    effective = runner.effective(torch.randn(1, 100, FRAMES).to(runner.dtype))
    wanted = "float16" if precision == "fp16" else "float32"
    assert (effective.weights, effective.compute, effective.output) == (wanted,) * 3
    assert runner.build.details == {"torch_tensorrt": "2.14.0", "engines": 1, "shapes": f"1x{FRAMES}"}
    assert runner.takes((1, 100, FRAMES))
    assert not runner.takes((2, 100, FRAMES))


def test_a_build_starts_without_a_timing_cache(torch_tensorrt: FakeTorchTensorRt) -> None:
    """Every build gets a timing cache of its own, so that the second looks no cheaper than it is."""
    paths = set()
    for level in ("0", "5"):
        TorchTensorRt().prepare(request("tensorrt", level=level))
        assert torch_tensorrt.given["optimization_level"] == int(level)
        paths.add(torch_tensorrt.given["timing_cache_path"])
    assert len(paths) == 2
    assert "" not in paths


@pytest.mark.usefixtures("torch_tensorrt")
def test_a_range_of_lengths_is_exported_for_all_of_them() -> None:
    """The program that torch-tensorrt gets equals BigVGAN at lengths other than the one that it was traced at."""
    vocoder = small_v3(
        upsample_rates=[4, 2], upsample_kernel_sizes=[8, 4], resblock_kernel_sizes=[3], resblock_dilation_sizes=[[1]]
    )
    case = Case("v3", "tensorrt", "fp32", 1, 8, (("shapes", "1x6_1x8_4x24"),))
    runner = TorchTensorRt().prepare(Request(vocoder, case, PRECISIONS["fp32"], torch.zeros(1, 100, 8), CPU))
    for batch, frames in ((2, 6), (3, 7), (4, 24)):
        mel = torch.randn(batch, 100, frames)
        with torch.inference_mode():
            torch.testing.assert_close(runner.run(mel), vocoder(mel), rtol=0, atol=1e-5)


@pytest.mark.parametrize("level", ["high", "6", "-1", "1.5"])
@pytest.mark.usefixtures("torch_tensorrt")
def test_a_level_is_0_to_5(level: str) -> None:
    """A builder level that TensorRT does not have is the user's mistake."""
    with pytest.raises(InputError, match="option level is a whole number from 0 to 5"):
        TorchTensorRt().prepare(request("tensorrt", level=level))


def test_a_swallowed_argument_is_refused(torch_tensorrt: FakeTorchTensorRt) -> None:
    """An argument that the installed signature would take into **kwargs unread is named."""
    check_arguments(torch_tensorrt.dynamo.compile, {"disable_tf32": True})
    with pytest.raises(UnsupportedError, match=r"no argument enabled_precisions, max_batch_size\.$"):
        check_arguments(torch_tensorrt.dynamo.compile, {"max_batch_size": 1, "enabled_precisions": {torch.float16}})


def test_an_older_signature_is_unsupported(torch_tensorrt: FakeTorchTensorRt) -> None:
    """A release without one of the arguments makes the case unsupported before anything is compiled."""

    def compile(exported_program: object, **kwargs: object) -> None:  # noqa: A001, ARG001 - the original's
        raise AssertionError

    torch_tensorrt.dynamo.compile = compile
    with pytest.raises(UnsupportedError, match="no argument arg_inputs, disable_tf32"):
        TorchTensorRt().prepare(request("tensorrt"))


@pytest.mark.parametrize(
    ("children", "what"),
    [
        (("_run_on_acc_0", "_run_on_gpu_1", "_run_on_acc_2"), "left _run_on_gpu_1 to PyTorch"),
        ((), "left the whole graph to PyTorch"),
        (("conv_pre", "ups"), "left conv_pre, ups to PyTorch"),
    ],
)
def test_a_graph_that_fell_back_is_refused(
    monkeypatch: pytest.MonkeyPatch, children: tuple[str, ...], what: str
) -> None:
    """A compiled module with a part outside TensorRT, or the unchanged module, is a wrong output."""
    monkeypatch.setitem(sys.modules, "torch_tensorrt", FakeTorchTensorRt(children))
    with pytest.raises(WrongOutputError, match=what):
        TorchTensorRt().prepare(request("tensorrt"))


def test_engines_are_counted() -> None:
    """Several engines are whole, and are counted."""
    assert check_whole(Compiled(lambda mel: mel, ("_run_on_acc_0", "_run_on_acc_1"))) == 2


def test_engines_are_weighed_and_their_layers_counted() -> None:
    """Sizes and layers of all engines add up; what a release does not tell stays blank."""
    compiled = Compiled(lambda mel: mel, ("_run_on_acc_0", "_run_on_acc_1"))
    assert engine_bytes(compiled) is None
    assert layer_counts(compiled) == {}
    parts: list[Any] = list(compiled.children())
    for part, size in zip(parts, (100, 20), strict=True):
        part.serialized_engine = bytes(size)
        part.get_layer_info = lambda: json.dumps({"Layers": ["one", "two"], "Bindings": []})
    assert engine_bytes(compiled) == 120
    assert layer_counts(compiled) == {"layers": 4}
    for answer in ("no JSON", "[]", json.dumps({"Other": []})):
        for part in parts:
            part.get_layer_info = lambda answer=answer: answer
        assert layer_counts(compiled) == {}

    def refuse() -> str:
        raise RuntimeError("Engine has not been initialized yet.")

    parts[0].get_layer_info = refuse
    assert layer_counts(compiled) == {}


def test_graph_types_are_those_of_the_convolutions() -> None:
    """The exported graph tells the data types of its convolutions, mixed ones too."""

    class Mixed(nn.Module):
        """A float32 convolution behind a float16 one."""

        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv1d(2, 2, 3).half(), nn.ConvTranspose1d(2, 2, 4, 2)

        def forward(self, x: Tensor) -> Tensor:
            """Both, with a cast between."""
            y: Tensor = self.second(self.first(x).float())
            return y

    program = torch.export.export(Mixed().eval(), (torch.zeros(1, 2, 9, dtype=torch.float16),), strict=False)
    assert graph_types(program) == "float16, float32"


def test_an_output_in_another_type_is_refused(
    torch_tensorrt: FakeTorchTensorRt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compiled module that answers in another type than the label's is a wrong output."""
    plain = torch_tensorrt.dynamo.compile

    def compile(program: torch.export.ExportedProgram, **arguments: object) -> nn.Module:  # noqa: A001
        compiled = plain(program, **arguments)
        return Compiled(lambda mel: compiled(mel).float(), ("_run_on_acc_0",))

    torch_tensorrt.dynamo.compile = compile
    monkeypatch.setattr(torch_tensorrt_backend, "check_arguments", lambda *_: None)
    runner = TorchTensorRt().prepare(request("tensorrt", "fp16"))
    with pytest.raises(WrongOutputError, match="labelled fp16, but the graph is float16 and its output"):
        runner.effective(torch.randn(1, 100, FRAMES).half())


def test_no_gpu_is_one_sentence() -> None:
    """On a CPU it says what it needs."""
    assert TorchTensorRt().unavailable_reason(CPU) == "TensorRT needs an NVIDIA GPU."


def test_what_is_not_installed_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing torch-tensorrt, a broken one and one that is there are told apart."""
    name = "torch_tensorrt"
    monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "meta_path", [FailingImport(name, ModuleNotFoundError(name=name)), *sys.meta_path])
    assert TorchTensorRt().unavailable_reason(CUDA) == "torch_tensorrt is not installed."
    for error in (Exception("libnvinfer.so.11 is missing\nmore"), AssertionError("libnvinfer.so.11 is missing")):
        monkeypatch.setattr(sys, "meta_path", [FailingImport(name, error), *sys.meta_path[1:]])
        assert TorchTensorRt().unavailable_reason(CUDA) == f"{name} cannot be imported: libnvinfer.so.11 is missing"
    monkeypatch.setitem(sys.modules, name, FakeTorchTensorRt())
    assert TorchTensorRt().unavailable_reason(CUDA) is None


def test_errors_without_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """An import that fails without a message still gives a reason."""
    monkeypatch.delitem(sys.modules, "torch_tensorrt", raising=False)
    monkeypatch.setattr(sys, "meta_path", [FailingImport("torch_tensorrt", AssertionError()), *sys.meta_path])
    assert import_torch_tensorrt() == (None, "torch_tensorrt cannot be imported: AssertionError")
