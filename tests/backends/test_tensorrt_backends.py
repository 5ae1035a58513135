"""The TensorRT backends against stand-ins of its modules: what they pass on, what they refuse, what they record."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from enum import IntEnum
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.backend import Request, Runner
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
from bench.backends.tensorrt_onnx import TensorRtOnnx
from bench.backends.tensorrt_rtx import TensorRtRtx
from bench.case import Case
from bench.engine_cache import EngineStore
from bench.errors import InputError, UnsupportedError, WrongOutputError
from bench.lowering.activation import DEFAULT_FORM, SHORT_FORM
from bench.measure.precision import report_engine
from bench.precision import PRECISIONS, unsupported_reason
from bench.records.schema import EffectivePrecision
from bench.trt import native
from bench.trt.engine import Engine
from bench.trt.library import import_library
from bench.trt.native import DEFAULT_FLOAT32, accumulators, convolution_types
from bench.trt.options import parse_options
from bench.vocoders.hifigan import HifiGan, HifiGanConfig
from bench.vocoders.synthetic import initialise
from studies.layers import by_kind
from tests.conftest import small_v3

CPU, CUDA = torch.device("cpu"), torch.device("cuda:0")
FRAMES = 3


def tiny() -> HifiGan:
    """A v4 generator small enough to export again and again."""
    config = HifiGanConfig(
        upsample_initial_channel=8,
        upsample_rates=(2,),
        upsample_kernel_sizes=(4,),
        resblock_kernel_sizes=(3,),
        resblock_dilation_sizes=((1, 3),),
    )
    model = HifiGan(config)
    initialise(model, 0)
    return model.eval().requires_grad_(False)


def request(backend: str, precision: str = "fp32", **options: str) -> Request:
    """A request on the CPU, where the stand-ins run; a GPU is only asked for by ``unavailable_reason``."""
    case = Case("v4", backend, precision, 1, FRAMES, tuple(sorted(options.items())))
    return Request(tiny(), case, PRECISIONS[precision], torch.randn(1, 100, FRAMES), CPU)


@pytest.fixture(autouse=True)
def _any_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the CPU stand in for a GPU that computes in every precision."""
    for module in ("bench.backends.tensorrt", "bench.trt.native"):
        monkeypatch.setattr(f"{module}.unsupported_reason", lambda *_: None)


# --- torch-tensorrt ---------------------------------------------------------------------------------------


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


class TorchTensorRtStandIn(ModuleType):
    """``torch_tensorrt`` with the part of its signature that every release from 2.11 to 2.14 has."""

    __version__ = "2.14.0"

    def __init__(self, children: tuple[str, ...] = ("_run_on_acc_0",)) -> None:
        super().__init__("torch_tensorrt")
        self.given: dict[str, object] = {}

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
def torch_tensorrt(monkeypatch: pytest.MonkeyPatch) -> TorchTensorRtStandIn:
    """A stand-in in the place of torch_tensorrt."""
    module = TorchTensorRtStandIn()
    monkeypatch.setitem(sys.modules, "torch_tensorrt", module)
    return module


@pytest.mark.parametrize(("precision", "disable_tf32"), [("fp32", True), ("tf32", False), ("fp16", True)])
def test_the_model_carries_the_precision(
    torch_tensorrt: TorchTensorRtStandIn, precision: str, disable_tf32: bool
) -> None:
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


def test_a_build_starts_without_a_timing_cache(torch_tensorrt: TorchTensorRtStandIn) -> None:
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


def test_a_swallowed_argument_is_refused(torch_tensorrt: TorchTensorRtStandIn) -> None:
    """An argument that the installed signature would take into **kwargs unread is named."""
    check_arguments(torch_tensorrt.dynamo.compile, {"disable_tf32": True})
    with pytest.raises(UnsupportedError, match=r"no argument enabled_precisions, max_batch_size\.$"):
        check_arguments(torch_tensorrt.dynamo.compile, {"max_batch_size": 1, "enabled_precisions": {torch.float16}})


def test_an_older_signature_is_unsupported(torch_tensorrt: TorchTensorRtStandIn) -> None:
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
    monkeypatch.setitem(sys.modules, "torch_tensorrt", TorchTensorRtStandIn(children))
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
    for part, size in zip(compiled.children(), (100, 20), strict=True):
        part.serialized_engine = bytes(size)
        part.get_layer_info = lambda: json.dumps({"Layers": ["one", "two"], "Bindings": []})
    assert engine_bytes(compiled) == 120
    assert layer_counts(compiled) == {"layers": 4}
    for answer in ("no JSON", "[]", json.dumps({"Other": []})):
        for part in compiled.children():
            part.get_layer_info = lambda answer=answer: answer
        assert layer_counts(compiled) == {}

    def refuse() -> str:
        raise RuntimeError("Engine has not been initialized yet.")

    next(compiled.children()).get_layer_info = refuse
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
            return self.second(self.first(x).float())

    program = torch.export.export(Mixed().eval(), (torch.zeros(1, 2, 9, dtype=torch.float16),), strict=False)
    assert graph_types(program) == "float16, float32"


def test_an_output_in_another_type_is_refused(
    torch_tensorrt: TorchTensorRtStandIn, monkeypatch: pytest.MonkeyPatch
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


# --- native TensorRT --------------------------------------------------------------------------------------


class BuilderFlag(IntEnum):
    """Bits of a builder configuration."""

    FP16 = 0
    INT8 = 2
    OBEY_PRECISION_CONSTRAINTS = 3
    PREFER_PRECISION_CONSTRAINTS = 4
    TF32 = 7


class TacticSource(IntEnum):
    """Where kernels come from."""

    CUBLAS = 0
    CUDNN = 2
    EDGE_MASK_CONVOLUTIONS = 3


def layer(kind: str, text: str) -> dict[str, object]:
    """A layer as the inspector tells of it."""
    return {"LayerType": kind, "Inputs": [{"Format/Datatype": text}], "Name": "a layer\nof two lines"}


class Ranges:
    """An optimisation profile."""

    shape: tuple[object, ...] = ()

    def set_shape(self, *shape: object) -> None:
        """Name, smallest, best, largest."""
        self.shape = shape


class TimingCache:
    """Times of kernels."""

    def __init__(self, blob: bytes) -> None:
        self.blob = blob

    def combine(self, other: "TimingCache", _: bool) -> bool:
        """Joins another."""
        self.blob += other.blob
        return True

    def serialize(self) -> bytes:
        """Its bytes."""
        return self.blob


class Config:
    """A builder's configuration; TF32 is on by default."""

    def __init__(self) -> None:
        self.flags: set[str] = {"TF32"}
        self.memory: dict[str, int] = {}
        self.tactics: int | None = None
        self.builder_optimization_level = 3
        self.max_aux_streams = -1
        self.profiles: list[Ranges] = []
        self.timing: TimingCache | None = None

    def add_optimization_profile(self, profile: "Ranges") -> None:
        """Adds a profile."""
        self.profiles.append(profile)

    def create_timing_cache(self, blob: bytes) -> "TimingCache":
        """A cache from its bytes."""
        return TimingCache(blob)

    def set_timing_cache(self, cache: "TimingCache", _: bool) -> None:
        """Starts from these times, and adds to them."""
        self.timing = cache

    def set_flag(self, flag: IntEnum) -> None:
        """Adds a flag."""
        self.flags.add(flag.name)

    def clear_flag(self, flag: IntEnum) -> None:
        """Takes a flag away."""
        self.flags.discard(flag.name)

    def set_memory_pool_limit(self, pool: str, size: int) -> None:
        """Limits a pool."""
        self.memory[pool] = size

    def set_tactic_sources(self, sources: int) -> None:
        """Limits the kernels."""
        self.tactics = sources


class TensorRtStandIn(ModuleType):
    """``tensorrt`` of a major version, as far as its names and values differ between them."""

    def __init__(self, version: str) -> None:  # noqa: C901 - classes that share one state
        super().__init__("tensorrt")
        major = int(version.split(".")[0])
        self.__version__ = version
        self.config = Config()
        self.network_flags = -1
        self.parsed = True
        self.plan: bytes | None = b"plan"
        self.layers: list[object] = [layer("CaskConvolution", "Row major linear FP32 format")]
        self.loads = True
        self.opset = 0
        self.inferences = 0
        self.IProfiler = object
        trt = self
        bits = {8: {"EXPLICIT_BATCH": 0}, 10: {"EXPLICIT_BATCH": 0, "STRONGLY_TYPED": 1}, 11: {"STRONGLY_TYPED": 0}}
        self.NetworkDefinitionCreationFlag = SimpleNamespace(**bits[major])
        self.BuilderFlag = BuilderFlag if major < 11 else SimpleNamespace(TF32=BuilderFlag.TF32)
        self.DataType = SimpleNamespace(**({} if major < 10 else {"BF16": 1}))
        self.TacticSource = TacticSource
        self.MemoryPoolType = SimpleNamespace(WORKSPACE="workspace")
        self.ProfilingVerbosity = SimpleNamespace(DETAILED="detailed")
        self.LayerInformationFormat = SimpleNamespace(JSON="json")

        class Logger:
            ERROR = 1

            def __init__(self, _: int) -> None:
                pass

        class Builder:
            def __init__(self, _: Logger) -> None:
                pass

            def create_network(self, flags: int) -> SimpleNamespace:
                trt.network_flags = flags
                return SimpleNamespace(
                    num_layers=len(trt.network),
                    get_layer=lambda index: trt.network[index],
                    get_input=lambda _: trt.network_input,
                    get_output=lambda _: trt.network_output,
                )

            def create_builder_config(self) -> Config:
                return trt.config

            def create_optimization_profile(self) -> Ranges:
                return Ranges()

            def build_serialized_network(self, *_: object) -> bytes | None:
                if trt.config.timing is not None:
                    trt.config.timing.blob += b"new"
                return trt.plan

        class OnnxParser:
            def __init__(self, *_: object) -> None:
                pass

            def parse_from_file(self, file: str) -> bool:
                with open(file, "rb") as opened:  # noqa: PTH123 - a path as TensorRT takes it
                    assert opened.read()
                return trt.parsed

            def get_error(self, _: int) -> str:
                return "In node 3: unsupported operator"

        class Context:
            device_memory = 0
            profiler: Any = None
            shape: tuple[int, ...] = ()
            profile = 0

            def set_optimization_profile_async(self, index: int, _: int) -> bool:
                trt.profiles_run.append(index)
                return True

            def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
                assert name == "mel"
                self.shape = shape
                return True

            def get_tensor_shape(self, _: str) -> tuple[int, ...]:
                return (self.shape[0], 1, 2 * self.shape[2])

            def set_tensor_address(self, *_: object) -> None:
                pass

            def execute_async_v3(self, _: int) -> bool:
                if self.profiler is not None:
                    trt.inferences += 1
                    self.profiler.report_layer_time("Conv", 100.0 if trt.inferences < 3 else trt.inferences)
                return True

        class ContextWithSetter(Context):
            def set_device_memory(self, address: int, size: int) -> None:
                assert address
                assert size == 1234

        class Engine:
            def create_execution_context(self, strategy: str) -> Context:
                assert strategy == "user managed"
                return ContextWithSetter()

            def create_execution_context_without_device_memory(self) -> Context:
                assert major < 10
                return Context()

            def get_tensor_dtype(self, _: str) -> SimpleNamespace:
                return SimpleNamespace(name=trt.tensor_type)

            def create_engine_inspector(self) -> SimpleNamespace:
                # Line ends stand in its strings as they are, which is no JSON in the strict sense.
                text = json.dumps({"Layers": trt.layers}).replace("\\n", "\n")
                return SimpleNamespace(get_engine_information=lambda _: text)

        setattr(Engine, "device_memory_size" if major < 11 else "device_memory_size_v2", 1234)

        class Runtime:
            def __init__(self, _: Logger) -> None:
                pass

            def deserialize_cuda_engine(self, plan: bytes) -> Engine | None:
                assert plan == trt.plan
                return Engine() if trt.loads else None

        if major >= 10:
            self.ExecutionContextAllocationStrategy = SimpleNamespace(USER_MANAGED="user managed")
        kinds = ("CONVOLUTION", "DECONVOLUTION", "MATRIX_MULTIPLY", "ELEMENTWISE", "UNARY", "SHUFFLE")
        self.LayerType = SimpleNamespace(**{kind: index for index, kind in enumerate(kinds)})
        self.float32 = "float32"
        self.float16 = "float16"
        self.network_input, self.network_output = SimpleNamespace(dtype="float32"), SimpleNamespace(dtype="float32")
        self.network: list[SimpleNamespace] = []
        self.profiles_run: list[int] = []
        self.tensor_type = "FLOAT"
        self.Logger, self.Builder, self.OnnxParser, self.Runtime = Logger, Builder, OnnxParser, Runtime

    def prepare(self, precision: str = "fp32", **options: str) -> Runner:
        """Prepares a case with this stand-in installed."""
        return TensorRtOnnx().prepare(request("tensorrt-onnx", precision, **options))


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], TensorRtStandIn]:
    """Puts a stand-in of a version in the place of tensorrt, and an exporter that only notes its opset."""

    def put(version: str) -> TensorRtStandIn:
        module = TensorRtStandIn(version)

        def export(_: nn.Module, mel: Tensor, file: object, opset: int, **given: object) -> None:
            module.opset, module.exported = opset, {**given, "dtype": mel.dtype}
            file.write_bytes(b"graph")  # type: ignore[attr-defined]

        monkeypatch.setitem(sys.modules, "tensorrt", module)
        monkeypatch.setattr(native, "export_onnx", export)
        return module

    monkeypatch.setattr(
        torch.cuda, "current_stream", lambda _: SimpleNamespace(cuda_stream=7, synchronize=lambda: None)
    )
    return put


def test_a_gpu_too_small_to_trace_on_is_passed_over(
    install: Callable[[str], TensorRtStandIn], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tracing takes the memory of an inference in PyTorch, which an engine may not need: the processor traces then."""
    trt = install("8.6.1")
    known, tried = native.export_onnx, []

    def export(vocoder: nn.Module, mel: Tensor, file: Path, opset: int, **given: Any) -> None:
        tried.append(mel.device)
        if mel.device.type != "cpu":
            raise torch.OutOfMemoryError
        known(vocoder, mel, file, opset, **given)

    monkeypatch.setattr(native, "export_onnx", export)
    asked = request("tensorrt-onnx", "fp32")
    TensorRtOnnx().prepare(replace(asked, mel=OnGpu(asked.mel)))
    assert [device.type for device in tried] == ["cuda", "cpu"]
    assert trt.exported["dtype"] is torch.float32
    pytest.importorskip("modelopt", reason="nvidia-modelopt is not installed: pip install -e '.[quantise]'")
    trt.tensor_type = "HALF"
    asked = request("tensorrt-onnx", "int8")
    TensorRtOnnx().prepare(replace(asked, mel=OnGpu(asked.mel)))
    assert [device.type for device in tried[2:]] == ["cpu"]  # calibrated there


class OnGpu(Tensor):
    """A tensor that says it lies on a GPU."""

    device = torch.device("cuda:0")  # type: ignore[assignment]
    is_cuda = False

    def cpu(self, *_: object, **__: object) -> Tensor:
        """The tensor itself."""
        return self.as_subclass(Tensor)


@pytest.mark.parametrize(
    ("version", "precision", "network_flags", "flags", "opset"),
    [
        ("8.6.1", "fp32", 0b01, set(), 17),
        ("8.6.1", "tf32", 0b01, {"TF32"}, 17),
        ("8.6.1", "fp16", 0b01, {"FP16", "TF32"}, 17),
        ("10.15.1.29", "fp32", 0b11, set(), 20),
        ("10.15.1.29", "fp16", 0b11, set(), 20),
        ("10.15.1.29", "bf16", 0b11, set(), 22),
        ("11.4.0.106", "fp32", 0b01, set(), 20),
        ("11.4.0.106", "tf32", 0b01, {"TF32"}, 20),
        ("11.4.0.106", "fp16", 0b01, set(), 20),
    ],
)
def test_one_code_path_for_every_version(
    install: Callable[[str], TensorRtStandIn],
    version: str,
    precision: str,
    network_flags: int,
    flags: set[str],
    opset: int,
) -> None:
    """Batch and typing flags go by name, half precision by flag in 8.6 only, TF32 on for tf32 only; opset to fit."""
    trt = install(version)
    trt.tensor_type = {"fp16": "HALF", "bf16": "BF16"}.get(precision, "FLOAT")
    runner = trt.prepare(precision)
    assert (trt.network_flags, trt.config.flags, trt.opset) == (network_flags, flags, opset)
    # Where typing is weak, the graph is float32 and only the engine's ends are float16.
    weakly_half = version.startswith("8") and precision == "fp16"
    assert trt.exported["dtype"] is (torch.float32 if weakly_half else runner.dtype)
    assert trt.network_input.dtype == trt.network_output.dtype == ("float16" if weakly_half else "float32")
    assert runner.build.engine_bytes == len(b"plan")
    details = runner.build.details
    assert (details["tensorrt"], details["opset"], details["context_bytes"]) == (version, opset, 1234)
    assert json.loads(json.dumps(details)) == details


def test_options_reach_the_builder(install: Callable[[str], TensorRtStandIn]) -> None:
    """Level, workspace and tactic sources are set as asked."""
    trt = install("10.15.1")
    trt.prepare(level="1", workspace_mib="64", tactics="cublas+edge_mask_convolutions")
    assert trt.config.builder_optimization_level == 1
    assert trt.config.memory == {"workspace": 64 * 2**20}
    assert trt.config.tactics == 0b1001


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": "6"}, "option level is a whole number from 0 to 5, not '6'"),
        ({"level": "fast"}, "option level is a whole number"),
        ({"workspace_mib": "-1"}, "option workspace_mib is a whole number"),
        ({"activation": "ends-16", "shapes": "1x5_1x99_1x99"}, "ends-16 takes 6 frames or more, not 5"),
        ({"activation": "ends-16"}, f"ends-16 takes 6 frames or more, not {FRAMES}"),
        ({"tactics": "magic"}, "has no source 'MAGIC'; it has CUBLAS, CUDNN, EDGE_MASK_CONVOLUTIONS"),
    ],
)
def test_wrong_options(install: Callable[[str], TensorRtStandIn], options: dict[str, str], message: str) -> None:
    """An option's value that cannot be used is the user's mistake, named."""
    with pytest.raises(InputError) as caught:
        install("10.15.1").prepare(**options)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("given", "form"),
    [
        ({}, SHORT_FORM),  # the case has fewer frames than both ends take
        ({"shapes": "1x5_1x99_1x99"}, SHORT_FORM),
        ({"shapes": f"1x{FRAMES}_1x99_1x99+1x6_1x99_1x99"}, SHORT_FORM),
        ({"shapes": "1x6_1x99_1x99"}, DEFAULT_FORM),
        ({"activation": "ends-32", "shapes": "1x6_1x99_1x99"}, "ends-32"),
        ({"activation": "shifted", "shapes": "1x2_1x99_1x99"}, "shifted"),
    ],
)
def test_short_lengths_have_a_form_of_their_own(given: dict[str, str], form: str) -> None:
    """The activation's default form depends on the shortest length that an engine takes."""
    assert FRAMES < 6
    assert parse_options(given, (1, FRAMES)).activation == form


def test_what_tensorrt_cannot_do_is_unsupported(install: Callable[[str], TensorRtStandIn]) -> None:
    """Autocast, bfloat16 before 10.0, an unreadable graph and a failed build are unsupported, each with why."""
    with pytest.raises(UnsupportedError, match="no autocast"):
        install("10.15.1").prepare("autocast")
    with pytest.raises(UnsupportedError, match=r"TensorRT 8\.6\.1 has no bfloat16"):
        install("8.6.1").prepare("bf16")
    with pytest.raises(UnsupportedError, match=r"TensorRT 8\.6\.1 has no fp8 in graphs"):
        install("8.6.1").prepare("fp8")
    with pytest.raises(UnsupportedError, match="option float32 is for fp16 and bf16"):
        install("10.15.1").prepare("int8", float32="conv_post")
    trt = install("10.15.1")
    trt.parsed = False
    with pytest.raises(UnsupportedError, match="cannot read the graph: In node 3"):
        trt.prepare()
    trt = install("10.15.1")
    trt.plan = None
    with pytest.raises(UnsupportedError, match="could not build"):
        trt.prepare()


def test_an_engine_that_is_not_what_was_asked_is_refused(install: Callable[[str], TensorRtStandIn]) -> None:
    """An engine that cannot be loaded, or takes another data type than the label's, is a wrong output."""
    trt = install("10.15.1")
    trt.loads = False
    with pytest.raises(WrongOutputError, match="cannot load"):
        trt.prepare()
    trt = install("10.15.1")
    with pytest.raises(WrongOutputError, match=r"mel is torch\.float32 instead of torch\.float16"):
        trt.prepare("fp16")


@pytest.mark.parametrize(("version", "flags"), [("8.6.1", {"FP16", "INT8", "TF32"}), ("10.15.1", set())])
def test_eight_bits_are_flags_where_typing_is_weak(
    install: Callable[[str], TensorRtStandIn], version: str, flags: set[str]
) -> None:
    """8.6 is told that it may use int8 and float16; a strongly typed network finds them in its graph."""
    pytest.importorskip("modelopt", reason="nvidia-modelopt is not installed: pip install -e '.[quantise]'")
    trt = install(version)
    trt.tensor_type = "HALF"
    trt.layers = [layer("CaskConvolution", "Thirty-two wide channel vectorized row major Int8 format")] * 2
    trt.layers += [layer("CaskConvolution", HALF)]
    runner = trt.prepare("int8")
    assert trt.config.flags == flags
    effective = runner.effective(torch.randn(1, 100, FRAMES).half())
    assert (effective.weights, effective.compute, effective.output) == (
        "int8, float16",
        "int8 (2), float16 (1)",
        "float16",
    )
    trt.layers = trt.layers[1:] + trt.layers[2:]
    with pytest.raises(WrongOutputError, match="labelled int8, but most of its convolutions ran otherwise"):
        trt.prepare("int8").effective(torch.randn(1, 100, FRAMES).half())
    trt.layers = trt.layers[1:]
    with pytest.raises(WrongOutputError, match="labelled int8, but its convolutions ran in float16"):
        trt.prepare("int8").effective(torch.randn(1, 100, FRAMES).half())


def test_an_engine_s_scales_are_part_of_its_key(
    install: Callable[[str], TensorRtStandIn], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Another Model Optimizer or another clip gives other scales, so an eight-bit engine is built again; others not."""
    trt = install("10.15.1")
    trt.tensor_type = "HALF"
    store = EngineStore(tmp_path, 2**30)

    def cached(precision: str) -> bool | None:
        wanted = replace(request("tensorrt-onnx", precision), weights="w", store=store)
        return TensorRtOnnx().prepare(wanted).build.from_cache

    assert [cached(name) for name in ("int8", "int8", "fp16", "fp16")] == [False, True, False, True]
    monkeypatch.setattr(native, "distribution_version", lambda _: "99")
    assert [cached(name) for name in ("int8", "fp16")] == [False, True]
    monkeypatch.setattr(native, "audio_identity", lambda _: "another clip")
    assert [cached(name) for name in ("int8", "fp16")] == [False, True]


HALF, FULL = "Channel major FP16 format where C % 8 == 0", "Row major linear FP32 format"


@pytest.mark.parametrize(
    ("precision", "texts", "compute"),
    [
        ("fp32", [FULL, FULL], "float32 (2)"),
        ("tf32", [FULL], "float32 (1)"),
        ("fp16", [HALF, HALF, HALF], "float16 (3)"),
        ("fp16", [HALF, FULL], "float16 (1), float32 (1)"),
    ],
)
def test_the_inspector_says_what_ran(
    install: Callable[[str], TensorRtStandIn], precision: str, texts: list[str], compute: str
) -> None:
    """The record holds the data types of the engine's convolutions, with the number of each."""
    trt = install("8.6.1")
    trt.tensor_type = "HALF" if precision == "fp16" else "FLOAT"
    trt.layers = [layer("CaskConvolution", text) for text in texts] + [layer("PointWise", HALF), "a reformat"]
    runner = trt.prepare(precision)
    effective = runner.effective(torch.randn(1, 100, FRAMES).to(runner.dtype))
    assert effective.compute == compute
    assert "inspector" in effective.evidence
    assert effective.tf32_observed is None


@pytest.mark.parametrize(
    ("precision", "texts", "message"),
    [
        ("fp16", [FULL], "labelled fp16, but its convolutions ran in float32 (1)."),
        ("fp32", [FULL, HALF], "labelled fp32, but convolutions ran in float"),
        ("fp32", [], "labelled fp32, but its convolutions ran in nothing."),
    ],
)
def test_another_precision_inside_the_engine_is_refused(
    install: Callable[[str], TensorRtStandIn], precision: str, texts: list[str], message: str
) -> None:
    """An engine whose convolutions ran in another type than the label's is a wrong output."""
    trt = install("8.6.1")
    trt.tensor_type = "HALF" if precision == "fp16" else "FLOAT"
    trt.layers = [layer("CaskConvolution", text) for text in texts]
    runner = trt.prepare(precision)
    with pytest.raises(WrongOutputError) as caught:
        runner.effective(torch.randn(1, 100, FRAMES).to(runner.dtype))
    assert str(caught.value).startswith(message)


def test_rtx_may_keep_its_kernels_to_itself(
    install: Callable[[str], TensorRtStandIn], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine of TensorRT-RTX that shows no convolution stands by its strongly typed graph; one that does is read."""
    rtx = install("11.0.0")
    rtx.__name__ = "tensorrt_rtx"
    rtx.tensor_type = "HALF"
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", rtx)
    rtx.layers = ["a layer's name"]
    runner = TensorRtRtx().prepare(request("tensorrt-rtx", "fp16"))
    assert rtx.config.timing is None
    effective = runner.effective(torch.randn(1, 100, FRAMES).half())
    assert effective.compute == "float16"
    assert "strongly typed" in effective.evidence
    rtx.layers = [layer("Convolution", FULL)]
    with pytest.raises(WrongOutputError, match="labelled fp16, but its convolutions ran in float32"):
        TensorRtRtx().prepare(request("tensorrt-rtx", "fp16")).effective(torch.randn(1, 100, FRAMES).half())


def test_convolution_types_counts_convolutions_only() -> None:
    """Convolutions and deconvolutions in every spelling count; other layers and bare names do not."""
    layers = [
        layer("Convolution", "Half"),
        layer("CaskDeconvolution", "Row major linear FP16 format"),
        layer("CaskConvolution", "Row major linear BFloat16 format"),
        layer("Deconvolution", "Float"),
        layer("Convolution", "Int8"),
        layer("Convolution", "FP8E4M3"),
        layer("Convolution", "Float8"),
        layer("Reformat", "Half"),
        "a layer's name",
        {"Name": "no type"},
    ]
    assert convolution_types(layers) == {"float16": 2, "bfloat16": 1, "float32": 1, "int8": 1, "float8": 2}


@pytest.mark.parametrize("kind", ["Convolution", "CaskConvolution", "CaskDeconvolutionV2", "CaskGemmDeconvolution"])
def test_every_kind_of_convolution_counts(kind: str) -> None:
    """TensorRT 8.6 has several names for transposed ones."""
    assert convolution_types([layer(kind, "Channel major FP16 format where channel % 8 == 0")]) == {"float16": 1}


TF32_KERNEL = {"TacticName": "sm90_xmma_fprop_implicit_gemm_f32f32_tf32f32_f32_nhwckrsc_nhwc_tilesize128x128x32"}
FLOAT32_KERNEL = {"TacticName": "ampere_scudnn_128x128_ldg4_relu_exp_small_nhwc_tn_v1"}


@pytest.mark.parametrize(
    ("precision", "said"),
    [
        ("fp16", ("float16 (1), tf32 (2), float32 (1)", "float16, float32")),
        ("tf32", None),
        ("fp32", None),
    ],
)
def test_tf32_is_told_from_float32(
    install: Callable[[str], TensorRtStandIn],
    precision: str,
    said: tuple[str, str] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the kernel's name, because the layer's data type is float32 for both; where it may not be, it is an error."""
    reported = []

    def report(*arguments: Any, tf32: bool, **named: Any) -> EffectivePrecision:
        reported.append(tf32)
        return report_engine(*arguments, tf32=tf32, **named)

    monkeypatch.setattr(native, "report_engine", report)
    trt = install("8.6.1")
    trt.tensor_type = "HALF" if precision == "fp16" else "FLOAT"
    full = [layer("CaskConvolution", FULL) | kernel for kernel in (TF32_KERNEL, TF32_KERNEL, FLOAT32_KERNEL)]
    mel = torch.randn(1, 100, FRAMES).to(PRECISIONS[precision].dtype)
    if said:
        trt.layers = [layer("CaskConvolution", HALF), *full]
        found = trt.prepare(precision).effective(mel)
        assert (found.compute, found.weights) == said
        trt.layers = [layer("CaskConvolution", HALF), full[2]]
        assert trt.prepare(precision).effective(mel).compute == "float16 (1), float32 (1)"
        assert reported == [True, False]
        return
    trt.layers = [*full]
    if precision == "tf32":
        assert trt.prepare(precision).effective(mel).compute == "tf32 (2), float32 (1)"
        trt.layers = full[:1]
        assert trt.prepare(precision).effective(mel).compute == "tf32 (1)"
    else:
        with pytest.raises(WrongOutputError, match="labelled fp32, but convolutions ran in tf32"):
            trt.prepare(precision).effective(mel)
        trt.layers = full[:1]
        with pytest.raises(WrongOutputError, match="labelled fp32, but its convolutions ran in tf32"):
            trt.prepare(precision).effective(mel)


def test_kernels_tell_what_they_add_in(install: Callable[[str], TensorRtStandIn]) -> None:
    """Sums in float16 and in float32 are told apart by the kernels' names, as TensorRT 8.6 gives them."""
    names = [
        "sm80_xmma_fprop_implicit_gemm_f16f16_f16f16_f16_nhwckrsc_nhwc_tilesize128x128x32_stage4_warpsize2x2x1",
        "sm90_xmma_fprop_implicit_gemm_f16f16_f16f32_f32_nhwckrsc_nhwc_tilesize64x32x64_stage6_warpsize2x2x1",
        "sm80_xmma_fprop_implicit_gemm_f32f32_tf32f32_f32_nhwckrsc_nhwc",
        "",
    ]
    layers: list[object] = [layer("CaskConvolution", "FP16") | {"TacticName": name} for name in names]
    assert accumulators([*layers, layers[0], layer("CaskConvolution", "FP16"), "a name"]) == "float16 (2), float32 (1)"
    assert accumulators([layer("Reformat", "FP16") | {"TacticName": names[0]}]) == ""
    trt = install("10.15.1")
    trt.layers = [layer("CaskConvolution", "Row major linear FP32 format") | {"TacticName": names[1]}]
    assert trt.prepare().build.details["accumulators"] == "float32 (1)"
    trt = install("10.15.1")
    assert "accumulators" not in trt.prepare().build.details


# --- shapes, limits, caches -------------------------------------------------------------------------------


def test_profiles_reach_the_builder(install: Callable[[str], TensorRtStandIn]) -> None:
    """Every profile of a dynamic engine is the builder's, with the mel's bands; a static engine has none."""
    trt = install("10.15.1")
    runner = trt.prepare(shapes="1x2_1x3_1x5+2x2_2x4_4x9")
    assert [profile.shape for profile in trt.config.profiles] == [
        ("mel", (1, 100, 2), (1, 100, 3), (1, 100, 5)),
        ("mel", (2, 100, 2), (2, 100, 4), (4, 100, 9)),
    ]
    assert trt.exported["dynamic"] is True
    assert runner.takes((3, 100, 9))
    assert not runner.takes((3, 100, 10))
    trt = install("10.15.1")
    trt.prepare()
    assert trt.config.profiles == []
    assert trt.exported["dynamic"] is False


def test_a_shape_runs_in_the_profile_tuned_nearest(install: Callable[[str], TensorRtStandIn]) -> None:
    """The context changes profile where another holds the shape, and the output follows the shape."""
    trt = install("10.15.1")
    runner = trt.prepare(shapes="1x2_1x3_4x9+2x2_2x4_4x9")
    assert runner.run(torch.zeros(1, 100, 3)).shape == (1, 1, 6)
    assert trt.profiles_run == []
    assert runner.run(torch.zeros(2, 100, 4)).shape == (2, 1, 8)
    assert trt.profiles_run == [1]


def test_out_of_profile_is_one_sentence(install: Callable[[str], TensorRtStandIn]) -> None:
    """A case outside the profile is unsupported before anything is built; so is such a call later."""
    trt = install("10.15.1")
    with pytest.raises(
        UnsupportedError, match=r"batch 1 with 3 frames is outside the engine's profile .*1x100_1x500_4x2000"
    ):
        trt.prepare(shapes="dynamic")
    assert trt.network_flags == -1
    runner = trt.prepare(shapes="1x2_1x3_1x5")
    with pytest.raises(UnsupportedError, match="batch 1 with 6 frames is outside"):
        runner.run(torch.zeros(1, 100, 6))


@pytest.mark.parametrize("text", ["", "some", "1x2_1x3", "1x2_1x1_1x3", "0x2_1x3_1x5", "1x2_1x3_1x5+", "1x5_1x3_1x2"])
def test_shapes_that_are_none(install: Callable[[str], TensorRtStandIn], text: str) -> None:
    """A profile without three shapes in order is the user's mistake."""
    with pytest.raises(InputError, match="option shapes is static, dynamic, or profiles"):
        install("10.15.1").prepare(shapes=text)


def test_a_device_memory_limit_is_kept(install: Callable[[str], TensorRtStandIn]) -> None:
    """The limit is the builder's too, and an engine that takes more is out of memory."""
    trt = install("10.15.1")
    trt.prepare(memory_mib="1")
    assert trt.config.memory == {"workspace": 2**20}
    with pytest.raises(torch.OutOfMemoryError, match=r"more than memory_mib=0"):
        trt.prepare(memory_mib="0")


def test_timing_caches_are_kept_and_joined(install: Callable[[str], TensorRtStandIn], tmp_path: Path) -> None:
    """A build starts from the times of the builds before it, unless told not to, and adds its own."""
    install("10.15.1")
    store = EngineStore(tmp_path, 2**30)

    def build(level: str, **options: str) -> object:
        wanted = replace(request("tensorrt-onnx", level=level, **options), weights="w", store=store)
        return TensorRtOnnx().prepare(wanted).build.details["timing_cache_bytes"]

    assert build("0") == 0
    assert build("1") == len(b"new")
    assert build("2", timing_cache="off") == 0
    trt = install("8.6.1")
    assert build("3") == 0
    assert trt.config.timing is None
    assert build("4", timing_cache="on") == 0
    assert build("5", timing_cache="on") == len(b"new")


def test_a_second_start_builds_nothing(install: Callable[[str], TensorRtStandIn], tmp_path: Path) -> None:
    """The engine comes from the cache with its first build's seconds; other weights or options are another engine."""
    trt = install("10.15.1")
    wanted = replace(request("tensorrt-onnx"), weights="w", store=EngineStore(tmp_path, 2**30))
    first = TensorRtOnnx().prepare(wanted).build
    trt.network_flags = -1
    second = TensorRtOnnx().prepare(wanted).build
    assert trt.network_flags == -1
    assert (first.from_cache, second.from_cache) == (False, True)
    assert second.build_s == first.build_s
    assert second.load_s is not None
    assert TensorRtOnnx().prepare(replace(wanted, weights="v")).build.from_cache is False


def test_an_engine_that_tensorrt_refuses_is_built_again(
    install: Callable[[str], TensorRtStandIn], tmp_path: Path
) -> None:
    """A cached plan that cannot be loaded is dropped and built anew; one just built is a wrong output."""
    trt = install("10.15.1")
    wanted = replace(request("tensorrt-onnx"), weights="w", store=EngineStore(tmp_path, 2**30))
    TensorRtOnnx().prepare(wanted)
    plain = trt.Runtime.deserialize_cuda_engine
    answers = iter([None])

    def once(runtime: object, plan: bytes) -> object:
        return next(answers, plain(runtime, plan))

    trt.Runtime.deserialize_cuda_engine = once
    assert TensorRtOnnx().prepare(wanted).build.from_cache is False


def graph_layer(trt: TensorRtStandIn, name: str, kind: str, dtype: str = "float32") -> SimpleNamespace:
    """A layer of a parsed network, which remembers what it was told."""
    made = SimpleNamespace(dtype=dtype, is_network_output=name.endswith("/Clip"))
    told = SimpleNamespace(name=name, type=getattr(trt.LayerType, kind), get_output=lambda _: made, output_type=None)
    told.set_output_type = lambda index, wanted: setattr(told, "output_type", (index, wanted))
    return told


def test_layers_kept_in_float32(install: Callable[[str], TensorRtStandIn]) -> None:
    """Strong typing takes them from the graph; 8.6, whose graph has one data type, holds layers by their names."""
    trt = install("10.15.1")
    trt.tensor_type = "HALF"
    trt.prepare("fp16", float32="conv_post")
    assert trt.exported["float32"] == "conv_post"
    assert "OBEY_PRECISION_CONSTRAINTS" not in trt.config.flags

    trt = install("8.6.1")
    trt.tensor_type = "HALF"
    trt.network = [
        graph_layer(trt, "/conv_pre/Conv", "CONVOLUTION"),
        graph_layer(trt, "/resblocks.1/convs1.0/Conv", "CONVOLUTION"),
        graph_layer(trt, "/resblocks.1/activations.0/Sin", "UNARY", "float16"),
        graph_layer(trt, "/resblocks.1/activations.0/Add", "ELEMENTWISE", "int32"),
        graph_layer(trt, "/resblocks.1/activations.0/Reshape", "SHUFFLE"),
        graph_layer(trt, "/resblocks.10/convs1.0/Conv", "CONVOLUTION"),
        graph_layer(trt, "(Unnamed Layer* 3) [Shuffle]", "UNARY"),
    ]
    trt.prepare("fp16", float32=r"conv_pre$|resblocks\.1\.")
    assert [hasattr(layer, "precision") for layer in trt.network] == [True, True, True, False, False, False, False]
    assert {trt.network[index].precision for index in range(3)} == {"float32"}
    assert [layer.output_type for layer in trt.network[:3]] == [None, None, (0, "float32")]
    assert trt.config.flags == {"TF32", "FP16", "OBEY_PRECISION_CONSTRAINTS"}
    assert trt.exported["float32"] == r"conv_pre$|resblocks\.1\."
    with pytest.raises(InputError, match="no layer's name begins with 'Conv'"):
        trt.prepare("fp16", float32="Conv")
    trt.plan = None
    with pytest.raises(UnsupportedError, match="with conv_pre held to float32; try it without the option float32"):
        trt.prepare("fp16", float32="conv_pre")


def test_layers_are_timed_without_the_first_two_inferences(install: Callable[[str], TensorRtStandIn]) -> None:
    """The median of what TensorRT's profiler reports."""
    install("10.15.1")
    runner = TensorRtOnnx().prepare(request("tensorrt-onnx"))
    assert isinstance(runner.run, Engine)
    # Inferences 3 to 5 report their own number.
    assert runner.run.layer_times_ms(torch.zeros(1, 100, FRAMES), rounds=3) == {"Conv": 4}


def test_the_time_of_an_engine_by_what_its_layers_do() -> None:
    """As TensorRT 8.6 names them; what moves data is told from what computes."""

    def reformat(name: str, before: str, after: str) -> dict[str, Any]:
        ends = {"Inputs": before, "Outputs": after}
        return {"Name": name, "LayerType": "Reformat"} | {
            end: [{"Format/Datatype": text}] for end, text in ends.items()
        }

    half, full, channels = "Row major linear FP16 format", "Row major linear FP32", "Channel major FP16 format"
    found = by_kind(
        {"a": 1.0, "b": 2.0, "c": 4.0, "d": 8.0, "e": 16.0, "f": 32.0, "g": 0.0, "h": 64.0, "i": 0.5},
        [
            {"Name": "a", "LayerType": "CaskConvolution"},
            {"Name": "b", "LayerType": "CaskDeconvolutionV2"},
            {"Name": "c", "LayerType": "CaskGemmMatrixMultiply"},
            reformat("d", half, half),
            reformat("e", half, full),
            reformat("f", half, channels),
            {"Name": "g", "LayerType": "NoOp"},
            {"Name": "i", "LayerType": "PointWiseV2"},
            "a name",
        ],
    )
    assert found == [
        ("unknown", 1, 64.0),
        ("changes of memory layout", 1, 32.0),
        ("copies into another data type", 1, 16.0),
        ("copies", 1, 8.0),
        ("matrix products", 1, 4.0),
        ("transposed convolutions", 1, 2.0),
        ("convolutions", 1, 1.0),
        ("arithmetic of elements", 1, 0.5),
    ]


@pytest.mark.parametrize(
    ("version", "precision", "options", "kept"),
    [
        ("8.6.1", "fp16", {}, DEFAULT_FLOAT32["v3"]),
        ("8.6.1", "fp16", {"float32": "off"}, ""),
        ("8.6.1", "fp16", {"float32": "ups"}, "ups"),
        ("8.6.1", "fp32", {}, ""),
        ("8.6.1", "int8", {}, ""),
        ("10.15.1", "fp16", {}, ""),
        ("10.15.1", "fp16", {"float32": "ups"}, "ups"),
    ],
)
def test_what_v3_needs_in_float32_is_kept_there(
    install: Callable[[str], TensorRtStandIn], version: str, precision: str, options: dict[str, str], kept: str
) -> None:
    """By default where sums are float16 otherwise; the record says so, and an engine of other layers is another."""
    trt = install(version)
    library, _ = import_library()
    assert library is not None
    asked = request("tensorrt-onnx", precision, **options)
    asked = replace(asked, case=replace(asked.case, version="v3"))
    parsed = parse_options(options, (1, FRAMES))
    assert native.kept_layers(library, asked, parsed) == kept
    plain = native.engine_key(library, asked, parse_options({"float32": "off"}, (1, FRAMES)))
    assert (native.engine_key(library, asked, parsed) == plain) == (not kept)
    v4 = replace(asked, case=replace(asked.case, version="v4"))
    assert native.kept_layers(library, v4, parsed) == (DEFAULT_FLOAT32["v4"] if kept == DEFAULT_FLOAT32["v3"] else kept)
    assert trt.__version__ == version


@pytest.mark.parametrize(
    ("capability", "kept"), [((7, 5), ""), ((8, 0), DEFAULT_FLOAT32["v3"]), ((9, 0), DEFAULT_FLOAT32["v3"])]
)
def test_cards_without_tf32_keep_nothing_by_default(
    install: Callable[[str], TensorRtStandIn],
    capability: tuple[int, int],
    kept: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Turing has tensor cores for float16 only, and would compute float32 without them; who asks for it gets it."""
    install("8.6.1")
    library, _ = import_library()
    assert library is not None
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.setattr(native, "unsupported_reason", unsupported_reason)
    asked = request("tensorrt-onnx", "fp16")
    asked = replace(asked, case=replace(asked.case, version="v3"), device=torch.device("cuda:0"))
    assert native.kept_layers(library, asked, parse_options({}, (1, FRAMES))) == kept
    assert native.kept_layers(library, asked, parse_options({"float32": "ups"}, (1, FRAMES))) == "ups"


def test_float32_by_default_is_a_wish(install: Callable[[str], TensorRtStandIn]) -> None:
    """Nobody asked for it, so a builder that cannot obey builds all the same.

    Held are convolutions but for those of the last stages, and what is added along the trunk, which is stored in
    float32, too; not activations, and not the audio, whose type is the engine's.
    """
    trt = install("8.6.1")
    trt.tensor_type = "HALF"
    names = {
        "/ups.0/ups.0.0/ConvTranspose": ("DECONVOLUTION", True, False),
        "/resblocks.11/convs1.0/Conv": ("CONVOLUTION", True, False),
        "/resblocks.11/convs2.0/conv/Conv": ("CONVOLUTION", True, False),
        "/resblocks.11/convs2.0/Neg": ("UNARY", True, True),
        "/resblocks.11/Add": ("ELEMENTWISE", True, True),
        "/resblocks.11/activations.0/MatMul": ("MATRIX_MULTIPLY", False, False),
        "/resblocks.11/activations.0/Sin": ("UNARY", False, False),
        "/resblocks.12/convs1.0/Conv": ("CONVOLUTION", False, False),
        "/resblocks.12/Add": ("ELEMENTWISE", True, True),
        "/Div": ("ELEMENTWISE", True, True),
        "/Clip": ("ELEMENTWISE", True, False),
        "/Shape": ("SHUFFLE", False, False),
    }
    trt.network = [graph_layer(trt, name, kind) for name, (kind, _, _) in names.items()]
    asked = request("tensorrt-onnx", "fp16")
    built = TensorRtOnnx().prepare(replace(asked, case=replace(asked.case, version="v3"))).build
    assert {
        layer.name: (layer.type, hasattr(layer, "precision"), layer.output_type is not None) for layer in trt.network
    } == {name: (getattr(trt.LayerType, kind), held, stored) for name, (kind, held, stored) in names.items()}
    assert trt.config.flags == {"TF32", "FP16", "PREFER_PRECISION_CONSTRAINTS"}
    assert trt.exported["float32"] == built.details["float32"] == DEFAULT_FLOAT32["v3"]
    trt.plan = None
    with pytest.raises(UnsupportedError, match=r"for this graph\.$"):
        TensorRtOnnx().prepare(replace(asked, case=replace(asked.case, version="v3")))


# --- where there is no GPU, or no TensorRT ----------------------------------------------------------------


@pytest.mark.parametrize("backend", [TorchTensorRt, TensorRtOnnx])
def test_no_gpu_is_one_sentence(backend: type[TorchTensorRt] | type[TensorRtOnnx]) -> None:
    """On a CPU both say what they need."""
    assert backend().unavailable_reason(CPU) == "TensorRT needs an NVIDIA GPU."


@pytest.mark.parametrize(
    ("backend", "name"), [(TorchTensorRt, "torch_tensorrt"), (TensorRtOnnx, "tensorrt")], ids=["torch", "native"]
)
def test_what_is_not_installed_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, backend: type[TorchTensorRt] | type[TensorRtOnnx], name: str
) -> None:
    """A missing module, a broken one and one that is there are told apart."""
    monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "meta_path", [_Finder(name, ModuleNotFoundError(name=name)), *sys.meta_path])
    assert backend().unavailable_reason(CUDA) == f"{name} is not installed."
    for error in (Exception("libnvinfer.so.11 is missing\nmore"), AssertionError("libnvinfer.so.11 is missing")):
        monkeypatch.setattr(sys, "meta_path", [_Finder(name, error), *sys.meta_path[1:]])
        assert backend().unavailable_reason(CUDA) == f"{name} cannot be imported: libnvinfer.so.11 is missing"
    stand_in = TorchTensorRtStandIn() if name == "torch_tensorrt" else TensorRtStandIn("10.15.1")
    monkeypatch.setitem(sys.modules, name, stand_in)
    assert backend().unavailable_reason(CUDA) is None


def test_errors_without_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """An import that fails without a message still gives a reason."""
    for name, load in (("torch_tensorrt", import_torch_tensorrt), ("tensorrt", import_library)):
        monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.setattr(sys, "meta_path", [_Finder(name, AssertionError()), *sys.meta_path])
        assert load() == (None, f"{name} cannot be imported: AssertionError")


def test_bindings_without_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty tensorrt package is not taken for TensorRT."""
    monkeypatch.setitem(sys.modules, "tensorrt", ModuleType("tensorrt"))
    assert TensorRtOnnx().unavailable_reason(CUDA) == "tensorrt is installed without its libraries."


class _Finder:
    """Makes importing one module raise."""

    def __init__(self, name: str, error: Exception) -> None:
        self.name, self.error = name, error

    def find_spec(self, name: str, *_: object) -> None:
        """Raises for that module."""
        if name == self.name:
            raise self.error
