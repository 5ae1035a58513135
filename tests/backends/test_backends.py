"""Backends are found by being there, run what they are asked, and fail as rows with a reason."""

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

import bench.backends
from bench.backend import REGISTRY, Backend, Request, Runner, register
from bench.backends import backends, find_backend
from bench.backends.eager import place
from bench.case import Case
from bench.errors import InputError, UnsupportedError, WrongOutputError
from bench.measure.precision import observe
from bench.measure.sampling import StopRule
from bench.records.schema import Build, EffectivePrecision, Record, Status
from bench.run.session import Session
from bench.run.settings import Settings
from bench.run.speed import measure_case
from bench.run.sweep import parse_backend

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
def registry() -> Iterator[dict[str, Backend]]:
    """The registry, to be put back as it was."""
    before = dict(backends())
    yield REGISTRY
    REGISTRY.clear()
    REGISTRY.update(before)


def test_every_file_is_a_backend_and_eager_comes_first() -> None:
    """The registry holds each backend of the package once, the baseline in front."""
    names = list(backends())
    assert names[0] == "eager"
    assert {"eager", "torchscript", "tensorrt", "tensorrt-onnx"} <= set(names)
    assert all(backend.name == name for name, backend in backends().items())


def test_a_new_file_is_a_new_backend(
    registry: dict[str, Backend], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, v3_directory: Path
) -> None:
    """A file put into the package is found, swept and recorded without any other change."""
    (tmp_path / "planted.py").write_text(PLANTED, encoding="utf-8")
    monkeypatch.setattr(bench.backends, "__path__", [*bench.backends.__path__, str(tmp_path)])
    importlib.invalidate_caches()
    assert "planted" in backends()
    assert "planted" in registry
    assert parse_backend("planted:speed=9") == ("planted", (("speed", "9"),))
    settings = Settings("run", str(tmp_path), weights=(str(v3_directory),))
    record = measure_case(Case("v3", "planted", "fp32", 1, 2), Session(settings))
    assert (record.status, record.reason) == (Status.UNAVAILABLE, "it does not grow on cpu.")


def test_unknown_backend() -> None:
    """A backend that does not exist is answered with those that do."""
    with pytest.raises(InputError, match="unknown backend 'onnx'; choose from eager, "):
        find_backend("onnx")


class Faulty(Backend):
    """A backend whose parts a test replaces."""

    name = "faulty"
    run: Callable[[torch.nn.Module, Tensor], Tensor]

    def unavailable_reason(self, _: torch.device) -> str | None:
        """It can run everywhere."""
        return None

    def prepare(self, request: Request) -> Runner:
        """A runner around the test's own call."""
        model = place(request)
        precision = request.precision

        def run(mel: Tensor) -> Tensor:
            return self.run(model, mel)

        def effective(mel: Tensor) -> EffectivePrecision:
            return observe(run, mel, precision)

        return Runner(run, precision.dtype, Build(seconds=0.0), effective)


def measure(v3_directory: Path, run: Callable[[torch.nn.Module, Tensor], Tensor], precision: str = "fp32") -> Record:
    """Measures a backend that runs ``run``."""
    register(Faulty)
    REGISTRY["faulty"].run = run  # type: ignore[attr-defined]
    settings = Settings("run", "unused", weights=(str(v3_directory),), stop=StopRule(1, 0.0, 1.0, 1.0, 1))
    return measure_case(Case("v3", "faulty", precision, 1, 1), Session(settings))


def _other_precision(model: torch.nn.Module, mel: Tensor) -> Tensor:
    wave: Tensor = model.float()(mel.float())
    return wave.to(mel.dtype)


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
    wave: Tensor = model(mel)
    return wave[..., :-1]


def _nan(model: torch.nn.Module, mel: Tensor) -> Tensor:
    wave: Tensor = model(mel)
    return wave * float("nan")


def _silent(model: torch.nn.Module, mel: Tensor) -> Tensor:
    wave: Tensor = model(mel)
    return wave * 0


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
def test_an_input_error_of_a_backend_is_its_own(v3_directory: Path) -> None:
    """Options were tried before anything ran: what a backend calls wrong later costs its row, with the sentence."""

    def run(_: torch.nn.Module, __: Tensor) -> Tensor:
        raise InputError("option level is a whole number")

    record = measure(v3_directory, run)
    assert record.status is Status.CRASHED
    assert record.reason == "InputError: option level is a whole number"
