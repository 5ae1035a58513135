"""The onnxruntime backend: one exported graph, every node where it was asked to run."""

from pathlib import Path

import pytest
import torch

from bench.backends.onnxruntime import Node, OnnxRuntime, check_nodes, read_profile
from bench.case import Case
from bench.engine_cache import EngineCache
from bench.errors import InputError, UnsupportedError, WrongOutputError
from tests.backends.small_requests import small_request

CPU = torch.device("cpu")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def test_it_computes_the_module_at_the_case_s_shape_and_keeps_its_graph(tmp_path: Path) -> None:
    """Output and precision are the module's; a second case of another shape takes the same exported graph."""
    store = EngineCache(tmp_path, 1 << 30)
    asked = small_request("onnxruntime", store=store)
    runner = OnnxRuntime().prepare(asked)
    with torch.inference_mode():
        expected = asked.vocoder(asked.mel)
        effective = runner.effective(asked.mel)
        assert torch.allclose(runner.run(asked.mel), expected, atol=1e-5 * float(expected.abs().max()))
    assert (effective.compute, effective.weights, effective.output) == ("float32",) * 3
    assert effective.evidence.startswith("11 convolutions")
    assert runner.takes((1, 100, 3))
    assert not runner.takes((1, 100, 4))
    assert runner.build.from_cache is False
    assert runner.build.details["provider"] == "CPUExecutionProvider"
    second = OnnxRuntime().prepare(small_request("onnxruntime", batch=2, frames=5, store=store))
    assert second.build.from_cache is True
    assert second.build.build_s == runner.build.build_s
    [entry] = store.entries()
    assert entry.key["kind"] == "onnx"


def test_an_open_session_takes_any_shape() -> None:
    """With shapes=dynamic, another batch and length have the module's output, down to one frame."""
    asked = small_request("onnxruntime", options=(("activation", "frames-16"), ("shapes", "dynamic")))
    runner = OnnxRuntime().prepare(asked)
    for shape in ((2, 100, 9), (1, 100, 1)):
        assert runner.takes(shape)
        mel = torch.randn(shape)
        with torch.inference_mode():
            expected = asked.vocoder(mel)
            assert torch.allclose(runner.run(mel), expected, atol=1e-5 * float(expected.abs().max()))
    assert runner.build.details["activation"] == "frames-16"


@pytest.mark.parametrize(
    ("precision", "reason"),
    [
        ("fp16", "CPU provider computes float16 in float32"),
        ("bf16", "no bfloat16 convolution"),
        ("autocast", "autocast is not exported"),
        ("int8", "int8 is not exported"),
        ("tf32", "NVIDIA GPUs only"),
    ],
)
def test_what_it_cannot_run_is_unsupported(precision: str, reason: str) -> None:
    """Rather than run in another precision."""
    with pytest.raises(UnsupportedError, match=reason):
        OnnxRuntime().prepare(small_request("onnxruntime", precision))


def test_a_missing_provider_is_unavailable() -> None:
    """The processor's build says what to install for a GPU."""
    assert OnnxRuntime().unavailable_reason(CPU) is None
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        reason = OnnxRuntime().unavailable_reason(torch.device("cuda:0"))
        assert reason == "this onnxruntime has no CUDAExecutionProvider: pip install onnxruntime-gpu."


def test_options() -> None:
    """Shapes and forms that do not exist are the user's mistakes."""
    for name, value in (("shapes", "open"), ("activation", "magic")):
        with pytest.raises(InputError, match=f"option {name}"):
            OnnxRuntime().check(Case("v3", "onnxruntime", "fp32", 1, 3, ((name, value),)))


CUDA, HOST = "CUDAExecutionProvider", "CPUExecutionProvider"
CONV = Node("Conv", CUDA, ("float16", "float16"), ("float16",))


def test_floating_point_elsewhere_is_a_wrong_output() -> None:
    """A convolution that fell back, or a copy of a signal, is named with its count; shape arithmetic may stay."""
    check_nodes([CONV, Node("Shape", HOST, (), ("int64",)), Node("Add", HOST, ("int64", "int64"), ("int64",))], CUDA)
    fallen = Node("ConvTranspose", HOST, ("float", "float"), ("float",))
    with pytest.raises(
        WrongOutputError, match="outside CUDAExecutionProvider: 2 ConvTranspose on CPUExecutionProvider"
    ):
        check_nodes([CONV, fallen, fallen], CUDA)


def test_a_profile_without_convolutions_proves_nothing() -> None:
    """A graph that was profiled wrongly must not pass for one that stayed where it should."""
    with pytest.raises(WrongOutputError, match="no convolution"):
        check_nodes([Node("Add", CUDA, ("float",), ("float",))], CUDA)


def test_profile_events() -> None:
    """Kernel times carry the provider; other events are passed over."""
    args = {
        "op_name": "Conv",
        "provider": CUDA,
        "input_type_shape": [{"float16": [1, 100, 9]}, {"float16": [64, 100, 7]}],
        "output_type_shape": [{"float16": [1, 64, 9]}],
    }
    events = [
        {"cat": "Session", "name": "model_run", "args": {}},
        {"cat": "Node", "name": "Conv_fence_before", "args": {"op_name": "Conv"}},
        {"cat": "Node", "name": "Conv_kernel_time", "args": args},
    ]
    assert read_profile(events) == [CONV]


def test_convolutions_in_another_data_type_are_a_wrong_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the profile shows decides, not the label."""
    from bench.backends import onnxruntime as module

    asked = small_request("onnxruntime", options=(("shapes", "dynamic"),))
    half = [Node("Conv", HOST, ("float16", "float16"), ("float16",))]
    monkeypatch.setattr(module, "read_profile", lambda _: half)
    runner = OnnxRuntime().prepare(asked)
    with pytest.raises(WrongOutputError, match="labelled fp32, but ONNX Runtime's convolutions ran in float16"):
        runner.effective(asked.mel)
