"""The precision that was in effect is seen, and another one than the label's is an error."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from bench.errors import WrongOutputError
from bench.measure.precision import observe, report_engine
from bench.precision import PRECISIONS, autocast, autocast_dtype, flags
from bench.records.schema import EffectivePrecision

CPU = torch.device("cpu")


def two_convolutions(dtype: torch.dtype) -> nn.Module:
    """One convolution of each kind that vocoders have."""
    layers = nn.Sequential(nn.Conv1d(4, 4, 3, padding=1), nn.ConvTranspose1d(4, 2, 4, 2, padding=1))
    return layers.to(dtype).requires_grad_(False)


def watch(
    run: Callable[[Tensor], Tensor], name: str, dtype: torch.dtype, weights: str | None = None
) -> EffectivePrecision:
    """Observes ``run`` as a timed round would call it."""
    precision = PRECISIONS[name]
    with flags(precision), torch.inference_mode():
        return observe(run, torch.ones(1, 4, 8, dtype=dtype), precision, weights)


@pytest.mark.parametrize(("name", "dtype"), [("fp32", "float32"), ("bf16", "bfloat16"), ("fp16", "float16")])
def test_convolutions_are_seen(name: str, dtype: str) -> None:
    """The profiler finds both kinds of convolution and their data types."""
    found = watch(two_convolutions(getattr(torch, dtype)), name, getattr(torch, dtype))
    assert (found.weights, found.compute, found.output) == (dtype, dtype, dtype)
    assert found.evidence.startswith("2 convolutions")
    assert (found.tf32_convolution, found.tf32_matmul, found.tf32_observed, found.autocast) == (None,) * 4


def test_autocast_lowers_the_convolutions() -> None:
    """Autocast's record says that float32 weights ran in its lower type."""
    layers = two_convolutions(torch.float32)

    def run(mel: Tensor) -> Tensor:
        with autocast(PRECISIONS["autocast"], CPU):
            y: Tensor = layers(mel)
        return y

    found = watch(run, "autocast", torch.float32, "float32")
    lower = str(autocast_dtype(CPU)).removeprefix("torch.")
    assert lower in ("bfloat16", "float16")
    assert (found.weights, found.compute, found.autocast) == ("float32", lower, lower)


def _upcast_inside(mel: Tensor) -> Tensor:
    y: Tensor = two_convolutions(torch.float32)(mel.float())
    return y.half()


def _one_of_two(mel: Tensor) -> Tensor:
    first: Tensor = two_convolutions(torch.bfloat16)(mel)
    second: Tensor = two_convolutions(torch.float32)(first.float().repeat(1, 2, 1))
    return second.bfloat16()


def _no_convolution(mel: Tensor) -> Tensor:
    return mel * 2


@pytest.mark.parametrize(
    ("run", "name", "dtype", "message"),
    [
        (_upcast_inside, "fp16", torch.float16, "labelled fp16, but the convolutions ran in float32."),
        (_one_of_two, "bf16", torch.bfloat16, "labelled bf16, but the convolutions ran in bfloat16, float32."),
        (two_convolutions(torch.float32), "autocast", torch.float32, "labelled autocast, but"),
        (_no_convolution, "fp32", torch.float32, "labelled fp32, but the convolutions ran in nothing."),
    ],
)
def test_another_precision_is_an_error(
    run: Callable[[Tensor], Tensor], name: str, dtype: torch.dtype, message: str
) -> None:
    """Convolutions in another type than the label's, all or some of them, are named."""
    with pytest.raises(WrongOutputError) as caught:
        watch(run, name, dtype)
    assert str(caught.value).startswith(message)


def test_tf32_rounding_under_fp32_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU whose float32 convolutions round is no fp32 case, and is what a tf32 case records."""
    monkeypatch.setattr("bench.measure.precision.tf32_rounding", lambda _: True)
    run = two_convolutions(torch.float32)
    mel = torch.ones(1, 4, 8)
    monkeypatch.setattr(Tensor, "device", torch.device("cuda:0"), raising=False)
    with pytest.raises(WrongOutputError, match="rounded to TF32"), flags(PRECISIONS["fp32"]):
        observe(run, mel, PRECISIONS["fp32"])
    with flags(PRECISIONS["tf32"]):
        found = observe(run, mel, PRECISIONS["tf32"])
    assert (found.tf32_convolution, found.tf32_matmul, found.tf32_observed) == (True, True, True)


def test_engines_report_for_themselves() -> None:
    """An engine's account is recorded with its evidence; what was not probed is blank."""
    found = report_engine(
        PRECISIONS["tf32"],
        torch.device("cuda:0"),
        weights="float32",
        compute="float32 (7)",
        output=torch.float32,
        evidence="an inspector",
    )
    assert (found.compute, found.output, found.evidence) == ("float32 (7)", "float32", "an inspector")
    assert (found.tf32_convolution, found.tf32_observed) == (True, None)


@pytest.mark.parametrize(
    ("device", "tf32", "said"), [("cuda:0", False, False), ("cuda:0", True, True), ("cpu", True, None)]
)
def test_an_engine_with_layers_in_tf32_says_so(device: str, tf32: bool, said: bool | None) -> None:
    """Whatever its label; a device without TF32 leaves it blank."""
    found = report_engine(
        PRECISIONS["fp16"],
        torch.device(device),
        weights="float16, float32",
        compute="float16 (1), tf32 (1)",
        output=torch.float16,
        evidence="an inspector",
        tf32=tf32,
    )
    assert found.tf32_convolution is said


def test_the_profiler_keeps_its_notes_to_itself() -> None:
    """Watching a call prints nothing, although the level of the profiler's notes is set after torch is imported."""
    code = (
        "import torch; from bench.measure.precision import observe; from bench.precision import PRECISIONS; "
        "observe(torch.nn.Conv1d(1, 1, 3), torch.zeros(1, 1, 9), PRECISIONS['fp32'])"
    )
    environment = {name: value for name, value in os.environ.items() if name != "KINETO_LOG_LEVEL"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""
