"""A fake TensorRT: the names of its major versions, what was asked of it, and answers that a test chooses."""

import json
import sys
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.backend import Runner
from bench.backends.tensorrt_onnx import TensorRtOnnx
from bench.trt import native
from tests.trt.requests import request

CONTEXT_BYTES = 1234
# How the inspector of TensorRT 8.6 writes data types.
HALF, FULL = "Channel major FP16 format where C % 8 == 0", "Row major linear FP32 format"
LAYER_KINDS = ("CONVOLUTION", "DECONVOLUTION", "MATRIX_MULTIPLY", "ELEMENTWISE", "UNARY", "SHUFFLE")


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

    def add_optimization_profile(self, profile: Ranges) -> None:
        """Adds a profile."""
        self.profiles.append(profile)

    def create_timing_cache(self, blob: bytes) -> TimingCache:
        """A cache from its bytes."""
        return TimingCache(blob)

    def set_timing_cache(self, cache: TimingCache, _: bool) -> None:
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


class Logger:
    """A logger, by which everything else knows the fake that it belongs to."""

    def __init__(self, trt: "FakeTensorRt") -> None:
        self.trt = trt


class LoggerMaker:
    """What ``tensorrt.Logger`` is: a name of severities that makes loggers."""

    ERROR = 1

    def __init__(self, trt: "FakeTensorRt") -> None:
        self.trt = trt

    def __call__(self, severity: int) -> Logger:
        """A logger of a severity."""
        assert severity == self.ERROR
        return Logger(self.trt)


class Network:
    """A parsed network, made of the layers that a test gave to the fake."""

    def __init__(self, trt: "FakeTensorRt") -> None:
        self.trt = trt

    @property
    def num_layers(self) -> int:
        """How many there are."""
        return len(self.trt.network)

    def get_layer(self, index: int) -> SimpleNamespace:
        """One of them."""
        return self.trt.network[index]

    def get_input(self, _: int) -> SimpleNamespace:
        """The mel."""
        return self.trt.network_input

    def get_output(self, _: int) -> SimpleNamespace:
        """The audio."""
        return self.trt.network_output


class Builder:
    """Builds the fake's plan."""

    def __init__(self, logger: Logger) -> None:
        self.trt = logger.trt

    def create_network(self, flags: int) -> Network:
        """The network; the fake keeps its flags."""
        self.trt.network_flags = flags
        return Network(self.trt)

    def create_builder_config(self) -> Config:
        """The fake's own."""
        return self.trt.config

    def create_optimization_profile(self) -> Ranges:
        """An empty profile."""
        return Ranges()

    def build_serialized_network(self, *_: object) -> bytes | None:
        """The fake's plan; a build adds to the kernels' times."""
        if self.trt.config.timing is not None:
            self.trt.config.timing.blob += b"new"
        return self.trt.plan


class OnnxParser:
    """Reads a graph, or fails where a test wants it."""

    def __init__(self, _: Network, logger: Logger) -> None:
        self.trt = logger.trt

    def parse_from_file(self, file: str) -> bool:
        """Whether it can be read."""
        assert Path(file).read_bytes()
        return self.trt.parsed

    def get_error(self, _: int) -> str:
        """Why not."""
        return "In node 3: unsupported operator"


class Context:
    """An execution context as 8.6 has it, whose memory is an attribute."""

    device_memory = 0
    profiler: Any = None
    shape: tuple[int, ...] = ()

    def __init__(self, trt: "FakeTensorRt") -> None:
        self.trt = trt

    def set_optimization_profile_async(self, index: int, _: int) -> bool:
        """Takes another profile."""
        self.trt.profiles_run.append(index)
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        """Takes a shape."""
        assert name == "mel"
        self.shape = shape
        return True

    def get_tensor_shape(self, _: str) -> tuple[int, ...]:
        """The audio's: two samples a frame."""
        return (self.shape[0], 1, 2 * self.shape[2])

    def set_tensor_address(self, *_: object) -> None:
        """Takes an address."""

    def execute_async_v3(self, _: int) -> bool:
        """Runs nothing; tells a profiler of one layer, whose first two times are outliers."""
        if self.profiler is not None:
            self.trt.inferences += 1
            self.profiler.report_layer_time("Conv", 100.0 if self.trt.inferences < 3 else self.trt.inferences)
        return True


class ContextWithSetter(Context):
    """One since 10.0, whose memory is set by a call."""

    def set_device_memory(self, address: int, size: int) -> None:
        """Takes memory of the size that the engine asked for."""
        assert address
        assert size == CONTEXT_BYTES


class Inspector:
    """Tells of the layers that a test gave to the fake."""

    def __init__(self, trt: "FakeTensorRt") -> None:
        self.trt = trt

    def get_engine_information(self, form: str) -> str:
        """Line ends stand in its strings as they are, which is no JSON in the strict sense."""
        assert form == self.trt.LayerInformationFormat.JSON
        return json.dumps({"Layers": self.trt.layers}).replace("\\n", "\n")


class Engine:
    """A deserialised engine."""

    def __init__(self, trt: "FakeTensorRt") -> None:
        self.trt = trt
        setattr(self, "device_memory_size" if trt.major < 11 else "device_memory_size_v2", CONTEXT_BYTES)

    def create_execution_context(self, strategy: str) -> Context:
        """A context for memory of the user's."""
        assert strategy == "user managed"
        return ContextWithSetter(self.trt)

    def create_execution_context_without_device_memory(self) -> Context:
        """The same before 10.0."""
        assert self.trt.major < 10
        return Context(self.trt)

    def get_tensor_dtype(self, _: str) -> SimpleNamespace:
        """Of mel and audio."""
        return SimpleNamespace(name=self.trt.tensor_type)

    def create_engine_inspector(self) -> Inspector:
        """An inspector."""
        return Inspector(self.trt)


class Runtime:
    """Loads the fake's plan, unless a test wants it refused."""

    def __init__(self, logger: Logger) -> None:
        self.trt = logger.trt

    def deserialize_cuda_engine(self, plan: bytes) -> Engine | None:
        """The engine; None where it is refused."""
        assert plan == self.trt.plan
        if self.trt.refusals:
            self.trt.refusals -= 1
            return None
        return Engine(self.trt)


class FakeTensorRt(ModuleType):
    """``tensorrt`` of a major version, as far as its names and values differ between them.

    Attributes:
        config, network_flags, profiles_run, exported, opset: What was asked of it.
        parsed: Whether it can read a graph.
        plan: What it builds; None where it cannot.
        refusals: How many plans it will not load.
        layers: What its inspector tells.
        network: The layers of the graph that it read.
        tensor_type: The engine's data type of mel and audio.
    """

    def __init__(self, version: str) -> None:
        super().__init__("tensorrt")
        self.__version__ = version
        self.major = int(version.split(".")[0])
        self.config = Config()
        self.network_flags = -1
        self.profiles_run: list[int] = []
        self.exported: dict[str, Any] = {}
        self.opset = self.inferences = self.refusals = 0
        self.parsed = True
        self.plan: bytes | None = b"plan"
        self.layers: list[Any] = [layer("CaskConvolution", FULL)]
        self.network: list[SimpleNamespace] = []
        self.network_input, self.network_output = SimpleNamespace(dtype="float32"), SimpleNamespace(dtype="float32")
        self.tensor_type = "FLOAT"
        self._add_names()

    def _add_names(self) -> None:
        bits = {8: {"EXPLICIT_BATCH": 0}, 10: {"EXPLICIT_BATCH": 0, "STRONGLY_TYPED": 1}, 11: {"STRONGLY_TYPED": 0}}
        self.NetworkDefinitionCreationFlag = SimpleNamespace(**bits[self.major])
        self.BuilderFlag: Any = BuilderFlag if self.major < 11 else SimpleNamespace(TF32=BuilderFlag.TF32)
        self.DataType = SimpleNamespace(**({} if self.major < 10 else {"BF16": 1}))
        self.LayerType = SimpleNamespace(**{kind: index for index, kind in enumerate(LAYER_KINDS)})
        self.TacticSource = TacticSource
        self.MemoryPoolType = SimpleNamespace(WORKSPACE="workspace")
        self.ProfilingVerbosity = SimpleNamespace(DETAILED="detailed")
        self.LayerInformationFormat = SimpleNamespace(JSON="json")
        self.float32, self.float16 = "float32", "float16"
        self.IProfiler = object
        if self.major >= 10:
            self.ExecutionContextAllocationStrategy = SimpleNamespace(USER_MANAGED="user managed")
        self.Logger, self.Builder, self.OnnxParser, self.Runtime = LoggerMaker(self), Builder, OnnxParser, Runtime

    def prepare(self, precision: str = "fp32", **options: str) -> Runner:
        """Prepares a case with this fake installed."""
        return TensorRtOnnx().prepare(request("tensorrt-onnx", precision, **options))


Install = Callable[[str], FakeTensorRt]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts the fake of a version in the place of tensorrt, and an exporter that only notes its opset."""

    def put(version: str) -> FakeTensorRt:
        module = FakeTensorRt(version)

        def export(_: nn.Module, mel: Tensor, file: Path, opset: int, **given: object) -> None:
            module.opset, module.exported = opset, {**given, "dtype": mel.dtype}
            file.write_bytes(b"graph")

        monkeypatch.setitem(sys.modules, "tensorrt", module)
        monkeypatch.setattr(native, "export_onnx", export)
        return module

    monkeypatch.setattr(
        torch.cuda, "current_stream", lambda _: SimpleNamespace(cuda_stream=7, synchronize=lambda: None)
    )
    return put


@pytest.fixture(autouse=True)
def _any_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the CPU stand in for a GPU that computes in every precision."""
    for module in ("bench.backends.tensorrt", "bench.trt.native", "bench.trt.float32"):
        monkeypatch.setattr(f"{module}.unsupported_reason", lambda *_: None)


def layer(kind: str, text: str) -> dict[str, Any]:
    """A layer as the inspector tells of it."""
    return {"LayerType": kind, "Inputs": [{"Format/Datatype": text}], "Name": "a layer\nof two lines"}


def graph_layer(trt: FakeTensorRt, name: str, kind: str, dtype: str = "float32") -> SimpleNamespace:
    """A layer of a parsed network, which remembers what it was told."""
    made = SimpleNamespace(dtype=dtype, is_network_output=name.endswith("/Clip"))
    told = SimpleNamespace(name=name, type=getattr(trt.LayerType, kind), get_output=lambda _: made, output_type=None)
    told.set_output_type = lambda index, wanted: setattr(told, "output_type", (index, wanted))
    return told
