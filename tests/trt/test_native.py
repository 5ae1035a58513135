"""From a request to a runner, by a fake TensorRT of every major version."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.backends.tensorrt_onnx import TensorRtOnnx
from bench.engine_cache import EngineCache
from bench.errors import UnsupportedError, WrongOutputError
from bench.measure.precision import report_engine
from bench.precision import PRECISIONS
from bench.records.schema import EffectivePrecision
from bench.trt import native
from tests.trt.fake_tensorrt import FULL, HALF, Install, layer
from tests.trt.requests import FRAMES, request


def test_a_gpu_too_small_to_trace_on_is_passed_over(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tracing takes the memory of an inference in PyTorch, which an engine may not need: the processor traces then."""
    trt = install("8.6.1")
    known: Callable[..., None] = vars(native)["export_onnx"]
    tried: list[torch.device] = []

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

    device = torch.device("cuda:0")
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
    install: Install,
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


def test_what_tensorrt_cannot_do_is_unsupported(install: Install) -> None:
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


def test_an_engine_that_is_not_what_was_asked_is_refused(install: Install) -> None:
    """An engine that cannot be loaded, or takes another data type than the label's, is a wrong output."""
    trt = install("10.15.1")
    trt.refusals = 1
    with pytest.raises(WrongOutputError, match="cannot load"):
        trt.prepare()
    trt = install("10.15.1")
    with pytest.raises(WrongOutputError, match=r"mel is torch\.float32 instead of torch\.float16"):
        trt.prepare("fp16")


@pytest.mark.parametrize(("version", "flags"), [("8.6.1", {"FP16", "INT8", "TF32"}), ("10.15.1", set())])
def test_eight_bits_are_flags_where_typing_is_weak(install: Install, version: str, flags: set[str]) -> None:
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


@pytest.mark.parametrize(
    ("precision", "texts", "compute"),
    [
        ("fp32", [FULL, FULL], "float32 (2)"),
        ("tf32", [FULL], "float32 (1)"),
        ("fp16", [HALF, HALF, HALF], "float16 (3)"),
        ("fp16", [HALF, FULL], "float16 (1), float32 (1)"),
    ],
)
def test_the_inspector_says_what_ran(install: Install, precision: str, texts: list[str], compute: str) -> None:
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
    install: Install, precision: str, texts: list[str], message: str
) -> None:
    """An engine whose convolutions ran in another type than the label's is a wrong output."""
    trt = install("8.6.1")
    trt.tensor_type = "HALF" if precision == "fp16" else "FLOAT"
    trt.layers = [layer("CaskConvolution", text) for text in texts]
    runner = trt.prepare(precision)
    with pytest.raises(WrongOutputError) as caught:
        runner.effective(torch.randn(1, 100, FRAMES).to(runner.dtype))
    assert str(caught.value).startswith(message)


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
    install: Install,
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


def test_out_of_profile_is_one_sentence(install: Install) -> None:
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


def test_a_device_memory_limit_is_kept(install: Install) -> None:
    """The limit is the builder's too, and an engine that takes more is out of memory."""
    trt = install("10.15.1")
    trt.prepare(memory_mib="1")
    assert trt.config.memory == {"workspace": 2**20}
    with pytest.raises(torch.OutOfMemoryError, match=r"more than memory_mib=0"):
        trt.prepare(memory_mib="0")


def test_timing_caches_are_kept_and_joined(install: Install, tmp_path: Path) -> None:
    """A build starts from the times of the builds before it, unless told not to, and adds its own."""
    install("10.15.1")
    cache = EngineCache(tmp_path, 2**30)

    def build(level: str, **options: str) -> object:
        wanted = replace(request("tensorrt-onnx", level=level, **options), weights_sha256="w", engine_cache=cache)
        return TensorRtOnnx().prepare(wanted).build.details["timing_cache_bytes"]

    assert build("0") == 0
    assert build("1") == len(b"new")
    assert build("2", timing_cache="off") == 0
    trt = install("8.6.1")
    assert build("3") == 0
    assert trt.config.timing is None
    assert build("4", timing_cache="on") == 0
    assert build("5", timing_cache="on") == len(b"new")


def test_a_second_start_builds_nothing(install: Install, tmp_path: Path) -> None:
    """The engine comes from the cache with its first build's seconds; other weights or options are another engine."""
    trt = install("10.15.1")
    wanted = replace(request("tensorrt-onnx"), weights_sha256="w", engine_cache=EngineCache(tmp_path, 2**30))
    first = TensorRtOnnx().prepare(wanted).build
    trt.network_flags = -1
    second = TensorRtOnnx().prepare(wanted).build
    assert trt.network_flags == -1
    assert (first.from_cache, second.from_cache) == (False, True)
    assert second.build_s == first.build_s
    assert second.load_s is not None
    assert TensorRtOnnx().prepare(replace(wanted, weights_sha256="v")).build.from_cache is False


def test_an_engine_that_tensorrt_refuses_is_built_again(install: Install, tmp_path: Path) -> None:
    """A cached plan that cannot be loaded is dropped and built anew; one just built is a wrong output."""
    trt = install("10.15.1")
    wanted = replace(request("tensorrt-onnx"), weights_sha256="w", engine_cache=EngineCache(tmp_path, 2**30))
    TensorRtOnnx().prepare(wanted)
    trt.refusals = 1
    assert TensorRtOnnx().prepare(wanted).build.from_cache is False
    assert trt.refusals == 0
    assert TensorRtOnnx().prepare(wanted).build.from_cache is True


@pytest.mark.parametrize("precision", ["int8", "fp8", "fp16"])
def test_records_name_what_quantised(install: Install, monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    """The version of Model Optimizer, which the scales of an eight-bit engine depend on."""
    monkeypatch.setattr(native, "distribution_version", {"nvidia-modelopt": "0.99"}.get)
    trt = install("10.15.1")
    trt.tensor_type = "HALF"
    details = trt.prepare(precision).build.details
    assert details.get("modelopt") == (None if precision == "fp16" else "0.99")
