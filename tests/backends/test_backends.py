"""Backends are found by being there, run what they are asked, and fail as rows with a reason."""

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

import bench.backends
from bench import backend as base
from bench.backend import Backend, Request, Runner, register
from bench.backends import find_backend
from bench.backends.eager import Eager, place
from bench.backends.torchscript import TorchScript
from bench.case import Case
from bench.errors import InputError, UnsupportedError, WrongOutputError
from bench.measure.precision import observe
from bench.measure.sampling import StopRule
from bench.precision import PRECISIONS, flags
from bench.records.schema import Build, EffectivePrecision, Record, Status
from bench.run.settings import Settings
from bench.run.speed import measure_case
from bench.run.sweep import parse_backend
from tests.conftest import small_v3

CPU = torch.device("cpu")

PLANTED = '''
from bench.backend import Backend, register


@register
class Planted(Backend):
    """A backend that someone put into the package."""

    name = "planted"
    options = ("speed",)

    def unavailable_reason(self, device):
        return f"it does not grow on {device.type}."

    def prepare(self, request):
        raise AssertionError
'''


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Backend]]:
    """The registry, to be put back as it was."""
    base.backends()
    monkeypatch.setattr(base, "_REGISTRY", dict(base._REGISTRY))
    base.backends.cache_clear()
    yield base._REGISTRY
    base.backends.cache_clear()


def request(precision: str, batch: int = 1, frames: int = 2) -> Request:
    """A request of a small v3 on the CPU."""
    torch.manual_seed(0)
    mel = torch.randn(batch, 100, frames)
    vocoder = small_v3(resblock_kernel_sizes=[3], resblock_dilation_sizes=[[1, 3]])
    return Request(vocoder, Case("v3", "any", precision, batch, frames), PRECISIONS[precision], mel, CPU)


def test_every_file_is_a_backend_and_eager_comes_first() -> None:
    """The registry holds each backend of the package once, the baseline in front."""
    names = list(base.backends())
    assert names[0] == "eager"
    assert {"eager", "torchscript", "tensorrt", "tensorrt-onnx"} <= set(names)
    assert all(backend.name == name for name, backend in base.backends().items())


def test_a_new_file_is_a_new_backend(
    registry: dict[str, Backend], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, v3_directory: Path
) -> None:
    """A file put into the package is found, swept and recorded without any other change."""
    (tmp_path / "planted.py").write_text(PLANTED, encoding="utf-8")
    monkeypatch.setattr(bench.backends, "__path__", [*bench.backends.__path__, str(tmp_path)])
    importlib.invalidate_caches()
    assert "planted" in base.backends()
    assert "planted" in registry
    assert parse_backend("planted:speed=9") == ("planted", (("speed", "9"),))
    settings = Settings("run", str(tmp_path), weights=(str(v3_directory),))
    record = measure_case(Case("v3", "planted", "fp32", 1, 2), settings)
    assert (record.status, record.reason) == (Status.UNAVAILABLE, "it does not grow on cpu.")


def test_unknown_backend() -> None:
    """A backend that does not exist is answered with those that do."""
    with pytest.raises(InputError, match="unknown backend 'onnx'; choose from eager, "):
        find_backend("onnx")


@pytest.mark.parametrize(
    ("backend", "precision"),
    [(Eager, "fp32"), (Eager, "bf16"), (Eager, "autocast"), (TorchScript, "fp32"), (TorchScript, "autocast")],
)
def test_pytorch_backends_run_their_label(backend: type[Backend], precision: str) -> None:
    """Eager and TorchScript give the module's output in the label's precision, and leave the module as it was."""
    asked = request(precision)
    before = {name: value.clone() for name, value in asked.vocoder.state_dict().items()}
    with flags(asked.precision), torch.inference_mode():
        runner = backend().prepare(asked)
        mel = asked.mel.to(runner.dtype)
        effective = runner.effective(mel)
        wave, reference = runner.run(mel).float(), asked.vocoder(asked.mel)
    error = float((wave - reference).abs().max() / reference.abs().max())
    computed = "float32" if precision == "fp32" else "bfloat16"
    assert effective.compute == computed
    assert effective.weights == ("bfloat16" if precision == "bf16" else "float32" if backend is Eager else computed)
    assert wave.shape == reference.shape
    assert error < 1e-5 if precision == "fp32" else 1e-5 < error < 0.05
    # The vocoder is shared by all cases.
    after = asked.vocoder.state_dict()
    assert all(torch.equal(value, after[name]) and value.dtype == after[name].dtype for name, value in before.items())


@pytest.mark.parametrize("backend", [Eager, TorchScript])
def test_pytorch_backends_take_any_shape(backend: type[Backend]) -> None:
    """What says that it takes any shape gives the module's output at another batch and length."""
    asked = request("fp32")
    runner = backend().prepare(asked)
    assert runner.takes((3, 100, 17))
    other = torch.randn(2, 100, 3)
    with torch.inference_mode():
        wave, reference = runner.run(other), asked.vocoder(other)
    assert wave.shape == reference.shape
    assert torch.allclose(wave, reference, atol=1e-5 * float(reference.abs().max()))


def test_torchscript_is_a_frozen_graph() -> None:
    """The module is traced and frozen: parameters are constants of a graph whose size is recorded."""
    runner = TorchScript().prepare(request("fp32"))
    assert runner.build.details["graph_nodes"] > 50


def test_an_unsupported_precision_is_refused_before_copying() -> None:
    """What the device cannot compute is unsupported, for both PyTorch backends."""
    with pytest.raises(UnsupportedError, match="tf32 exists on NVIDIA GPUs only"):
        place(request("tf32"))


class Faulty(Backend):
    """A backend whose parts a test replaces."""

    name = "faulty"
    run: Callable[[Tensor], Tensor]

    def unavailable_reason(self, _: torch.device) -> str | None:
        """It can run everywhere."""
        return None

    def prepare(self, request: Request) -> Runner:
        """A runner around the test's own call."""
        model = place(request)
        precision = request.precision

        def run(mel: Tensor) -> Tensor:
            return type(self).run(model, mel)

        def effective(mel: Tensor) -> EffectivePrecision:
            return observe(run, mel, precision)

        return Runner(run, precision.dtype, Build(seconds=0.0), effective)


def measure(v3_directory: Path, run: Callable[[torch.nn.Module, Tensor], Tensor], precision: str = "fp32") -> Record:
    """Measures a backend that runs ``run``."""
    Faulty.run = staticmethod(run)  # type: ignore[assignment]
    register(Faulty)
    settings = Settings("run", "unused", weights=(str(v3_directory),), stop=StopRule(1, 0.0, 1.0, 1.0, 1))
    return measure_case(Case("v3", "faulty", precision, 1, 1), settings)


def _other_precision(model: torch.nn.Module, mel: Tensor) -> Tensor:
    return model.float()(mel.float()).to(mel.dtype)


def _out_of_memory(_: torch.nn.Module, __: Tensor) -> Tensor:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nmore lines")


def _host_out_of_memory(_: torch.nn.Module, __: Tensor) -> Tensor:
    return torch.empty(2**60, dtype=torch.uint8)


def _raising(_: torch.nn.Module, __: Tensor) -> Tensor:
    raise RuntimeError("CUDA error: an illegal memory access was encountered\nCompile with ...")


def _raising_nothing(_: torch.nn.Module, __: Tensor) -> Tensor:
    raise RuntimeError


def _unsupported(_: torch.nn.Module, __: Tensor) -> Tensor:
    raise UnsupportedError("this engine has no batch 1.")


def _wrong(_: torch.nn.Module, __: Tensor) -> Tensor:
    raise WrongOutputError("the graph fell back to PyTorch.")


def _short(model: torch.nn.Module, mel: Tensor) -> Tensor:
    return model(mel)[..., :-1]


def _nan(model: torch.nn.Module, mel: Tensor) -> Tensor:
    return model(mel) * float("nan")


def _silent(model: torch.nn.Module, mel: Tensor) -> Tensor:
    return model(mel) * 0


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize(
    ("run", "precision", "status", "reason"),
    [
        (_other_precision, "bf16", Status.WRONG_OUTPUT, "labelled bf16, but the convolutions ran in float32."),
        (_short, "fp32", Status.WRONG_OUTPUT, "the waveform has shape (1, 1, 255) instead of (1, 1, 256)."),
        (_nan, "fp32", Status.WRONG_OUTPUT, "the waveform holds NaN or infinity."),
        (_silent, "fp32", Status.WRONG_OUTPUT, "the waveform is silent."),
        (_wrong, "fp32", Status.WRONG_OUTPUT, "the graph fell back to PyTorch."),
        (_unsupported, "fp32", Status.UNSUPPORTED, "this engine has no batch 1."),
        (
            _out_of_memory,
            "fp32",
            Status.OUT_OF_MEMORY,
            "OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB.",
        ),
        (_host_out_of_memory, "fp32", Status.OUT_OF_MEMORY, "RuntimeError: "),
        (_raising, "fp32", Status.CRASHED, "RuntimeError: CUDA error: an illegal memory access was encountered"),
        (_raising_nothing, "fp32", Status.CRASHED, "RuntimeError"),
    ],
)
def test_a_failing_backend_is_a_row(
    v3_directory: Path,
    run: Callable[[torch.nn.Module, Tensor], Tensor],
    precision: str,
    status: Status,
    reason: str,
) -> None:
    """However a backend fails, its record has that status, a reason in one line, and no figure."""
    record = measure(v3_directory, run, precision)
    assert record.status is status
    assert record.reason.startswith(reason)
    assert "\n" not in record.reason
    assert record.result is None


@pytest.mark.usefixtures("registry")
def test_a_user_s_mistake_is_no_row(v3_directory: Path) -> None:
    """What the user gave wrongly passes through a backend as an error."""

    def run(_: torch.nn.Module, __: Tensor) -> Tensor:
        raise InputError("option level is a whole number")

    with pytest.raises(InputError, match="option level"):
        measure(v3_directory, run)
