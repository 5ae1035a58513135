"""The exported graph computes what the vocoder computes, in the opset that a TensorRT version reads."""

import re
from collections import Counter
from pathlib import Path

import pytest
import torch

from bench.audio.mel import default_speech, log_mel, speech_mels
from bench.errors import UnsupportedError
from bench.lowering import mixed_precision as mixed
from bench.lowering.activation import DEFAULT_FORM, fewest_frames
from bench.lowering.onnx_export import export_onnx, opset_for
from bench.trt.float32 import DEFAULT_FLOAT32, module_name
from bench.vocoders import Vocoder, load_vocoder
from tests.conftest import small_v3
from tests.small_vocoders import smooth, snr_db, tiny

onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install -e '.[onnx]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install -e '.[onnx]'")


def run_graph(file: Path, mel: torch.Tensor) -> torch.Tensor:
    """What ONNX Runtime computes from a mel in the graph's data type."""
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    assert [entry.name for entry in session.get_inputs()] == ["mel"]
    assert [entry.name for entry in session.get_outputs()] == ["audio"]
    [wave] = session.run(None, {"mel": mel.numpy()})
    return torch.from_numpy(wave)


def assert_equal(vocoder: Vocoder, file: Path, mel: torch.Tensor) -> None:
    """The graph gives eager's output, 100 dB or more."""
    wave = run_graph(file, mel)
    with torch.inference_mode():
        reference = vocoder(mel)
    assert wave.shape == reference.shape
    assert snr_db(reference, wave) >= 100


@pytest.mark.parametrize("opset", [17, 20])
@pytest.mark.parametrize("version", ["v3", "v4"])
def test_graph_equals_eager(tmp_path: Path, version: str, opset: int) -> None:
    """ONNX Runtime gives eager's output at 100 dB or more; names, shape, opset and weights are in the one file."""
    vocoder = smooth(tiny(version))
    mel = speech_mels(log_mel(default_speech(), vocoder.spec), 2, 9)
    file = tmp_path / "vocoder.onnx"
    export_onnx(vocoder, mel, file, opset)
    assert [path.name for path in tmp_path.iterdir()] == ["vocoder.onnx"]
    graph = onnx.load(file)
    onnx.checker.check_model(graph)
    assert [entry.version for entry in graph.opset_import if entry.domain in ("", "ai.onnx")] == [opset]
    assert_equal(vocoder, file, mel)


@pytest.mark.parametrize("opset", [17, 20, 22])
@pytest.mark.parametrize("version", ["v3", "v4"])
def test_an_open_graph_equals_eager_at_every_shape(tmp_path: Path, version: str, opset: int) -> None:
    """With batch and frames open, ONNX Runtime gives eager's output at 100 dB or more at several of each."""
    if opset > 20:
        pytest.importorskip("onnxscript", reason="onnxscript is not installed: pip install -e '.[onnx]'")
    vocoder = smooth(tiny(version))
    file = tmp_path / "vocoder.onnx"
    # The frames that it is traced with have divisors in common with what a form cuts the signal into; others have not.
    export_onnx(vocoder, torch.zeros(1, 100, 8), file, opset, dynamic=True)
    voice = log_mel(default_speech(), vocoder.spec)
    shortest = fewest_frames(DEFAULT_FORM) if version == "v3" else 2
    for batch, frames in ((1, shortest), (1, 15), (1, 100), (2, 47), (4, 17)):
        assert_equal(vocoder, file, speech_mels(voice, batch, frames))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("dynamic", [False, True])
def test_the_blocks_of_a_stage_share_their_first_product(tmp_path: Path, dynamic: bool, dtype: torch.dtype) -> None:
    """Three residual blocks begin with the same signal at twice its rate; it is in the graph once."""
    file = tmp_path / "v3.onnx"
    vocoder = small_v3(upsample_rates=[4, 2], upsample_kernel_sizes=[8, 4], resblock_dilation_sizes=[[1], [1], [1]])
    export_onnx(vocoder, torch.zeros(1, 100, 64, dtype=dtype), file, 17, dynamic=dynamic)
    nodes = onnx.load(file).graph.node
    # Two stages of three blocks of two activations, and the last one: two products of the signal and one back in each,
    # but two in the second and third block's first.
    assert sum(node.op_type == "MatMul" for node in nodes) == 3 * (2 * 3 * 2 + 1) - 2 * 2 * 2


@pytest.mark.parametrize("opset", [17, 20])
@pytest.mark.parametrize("version", ["v3", "v4"])
def test_float16_sounds_like_float16(tmp_path: Path, version: str, opset: int) -> None:
    """A float16 graph with open shapes runs, and is as near to float32 as that precision gets."""
    vocoder = smooth(tiny(version))
    file = tmp_path / "vocoder.onnx"
    export_onnx(vocoder, torch.zeros(1, 100, 9, dtype=torch.float16), file, opset, dynamic=True)
    for batch, frames in ((1, 19), (2, 47)):
        mel = speech_mels(log_mel(default_speech(), vocoder.spec), batch, frames)
        wave = run_graph(file, mel.half())
        with torch.inference_mode():
            reference = vocoder(mel)
        assert wave.dtype is torch.float16
        assert 40 <= snr_db(reference, wave) < 100


def test_the_real_size_equals_eager(tmp_path: Path) -> None:
    """v4 at its real size, shapes open, at 100 dB or more; a smoke sweep judges v3 in ONNX Runtime."""
    vocoder = load_vocoder("v4")
    file = tmp_path / "vocoder.onnx"
    export_onnx(vocoder, torch.zeros(1, 100, 9), file, 17, dynamic=True)
    assert_equal(vocoder, file, speech_mels(log_mel(default_speech(), vocoder.spec), 1, 25))


def test_the_graph_has_no_transposed_filter(tmp_path: Path) -> None:
    """The activation is exported in its form for engines: transposed convolutions only where rates change."""
    vocoder = tiny("v3")
    file = tmp_path / "vocoder.onnx"
    export_onnx(vocoder, torch.zeros(1, 100, 9), file, 17)
    kinds = [node.op_type for node in onnx.load(file).graph.node]
    assert kinds.count("ConvTranspose") == len(vocoder.config.upsample_rates)


@pytest.mark.parametrize("opset", [17, 20, 22])
def test_weights_are_constants(tmp_path: Path, opset: int) -> None:
    """Every convolution names its weight directly, also where two are equal, as TensorRT's parser needs."""
    file = tmp_path / "vocoder.onnx"
    export_onnx(tiny("v3"), torch.zeros(1, 100, 9), file, opset)
    graph = onnx.load(file).graph
    constants = {tensor.name for tensor in graph.initializer}
    weights = [node.input[1] for node in graph.node if node.op_type in ("Conv", "ConvTranspose")]
    assert len(weights) == 12
    assert set(weights) <= constants


def test_float16_graphs_stay_float16(tmp_path: Path) -> None:
    """A half-precision vocoder is exported with half-precision input, output and weights, as strong typing needs."""
    vocoder = tiny("v4")
    file = tmp_path / "vocoder.onnx"
    export_onnx(vocoder, torch.zeros(1, 100, 9, dtype=torch.float16), file, 17)
    graph = onnx.load(file).graph
    half = onnx.TensorProto.FLOAT16
    assert [value.type.tensor_type.elem_type for value in (*graph.input, *graph.output)] == [half, half]
    convolutions = [node for node in graph.node if node.op_type in ("Conv", "ConvTranspose")]
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    assert {types[node.input[1]] for node in convolutions} == {half}


@pytest.mark.parametrize(("opset", "package"), [(20, "onnx"), (22, "onnxscript")])
def test_a_package_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opset: int, package: str
) -> None:
    """Opset 17 goes without, for the environments of TensorRT 8.6; the others say what to install."""
    monkeypatch.setattr("bench.lowering.onnx_export.find_spec", lambda name: None if name == package else name)
    file = tmp_path / "vocoder.onnx"
    with pytest.raises(UnsupportedError, match=rf"exporting needs {package}: pip install -e '\.\[onnx\]'\."):
        export_onnx(tiny("v4"), torch.zeros(1, 100, 9), file, opset)
    export_onnx(tiny("v4"), torch.zeros(1, 100, 9), file, 17)
    assert file.stat().st_size > 1000


def test_exporting_leaves_the_vocoder_alone(tmp_path: Path) -> None:
    """The vocoder that was exported is still the original form with the original values."""
    vocoder = tiny("v3")
    before = {name: value.clone() for name, value in vocoder.state_dict().items()}
    export_onnx(vocoder, torch.zeros(1, 100, 9), tmp_path / "vocoder.onnx", 17)
    after = vocoder.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


@pytest.mark.parametrize(
    ("strongly_typed", "dtype", "opset"),
    [
        (False, torch.float32, 17),
        (False, torch.float16, 17),
        (True, torch.float32, 20),
        (True, torch.float16, 20),
        (True, torch.bfloat16, 22),
    ],
)
def test_opset_follows_tensorrt(strongly_typed: bool, dtype: torch.dtype, opset: int) -> None:
    """TensorRT 8.6 reads up to opset 17; later ones take 20, and 22 for bfloat16 convolutions."""
    assert opset_for(strongly_typed, dtype) == opset


def kept_in_graph(vocoder: Vocoder, pattern: str, file: Path, *, dynamic: bool) -> list[tuple[str, str]]:
    """Operators of the graph for 8.6 that a pattern matches, with their modules."""
    export_onnx(vocoder, torch.zeros(1, 100, 64), file, 17, dynamic=dynamic, float32=pattern)
    arithmetic = ("Conv", "ConvTranspose", "MatMul", "Add", "Sub", "Mul", "Div", "Neg", "Sin", "LeakyRelu")
    found = [(node.op_type, module_name(node.name)) for node in onnx.load(file).graph.node]
    return [(kind, name) for kind, name in found if kind in arithmetic and re.match(pattern, name)]


def test_what_is_kept_by_default_has_these_names_in_the_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A builder holds layers by the names that the exporter gives them; a pattern that fits none would go unnoticed.

    Of v3, that has three blocks of six convolutions in each of six stages: the convolutions of four stages, all sums
    of blocks and of the trunk, and every layer outside blocks. No activation.
    """
    monkeypatch.setattr(mixed, "WIDE", 1)
    kept = kept_in_graph(small_v3(), DEFAULT_FLOAT32["v3"], tmp_path / "v3.onnx", dynamic=False)
    kinds = Counter(kind for kind, _ in kept)
    assert kinds == {"Conv": 4 * 18 + 2, "ConvTranspose": 6, "Add": 54 + 12, "Div": 6, "Neg": 36}
    convolutions = {name for kind, name in kept if kind == "Conv"}
    blocks = {int(name.split(".")[1]) for name in convolutions if name.startswith("resblocks")}
    assert blocks == set(range(12))
    assert {name for kind, name in kept if kind == "Add"} == {f"resblocks.{block}" for block in range(18)} | {"trunk"}


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize(
    ("pattern", "kept"),
    [
        (r"resblocks\.0\.convs2\.1$", {("Conv", "resblocks.0.convs2.1"), ("Neg", "resblocks.0.convs2.1")}),
        ("trunk", {("Add", "trunk"), ("Div", "trunk")}),
        (r"resblocks\.3$", {("Add", "resblocks.3")}),
    ],
)
def test_a_whole_name_finds_what_it_names(
    tmp_path: Path, pattern: str, kept: set[tuple[str, str]], dynamic: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also a convolution that stands apart, and sums, which no layer of the vocoder is called."""
    monkeypatch.setattr(mixed, "WIDE", 1)
    vocoder = small_v3(
        upsample_initial_channel=16,
        upsample_rates=[4, 2],
        upsample_kernel_sizes=[8, 4],
        resblock_kernel_sizes=[3, 7],
        resblock_dilation_sizes=[[1, 3], [1, 3]],
    )
    assert set(kept_in_graph(vocoder, pattern, tmp_path / "v3.onnx", dynamic=dynamic)) == kept


def test_what_v4_keeps_by_default(tmp_path: Path) -> None:
    """The first convolution and the first two of those where rates change."""
    kept = kept_in_graph(tiny("v4"), DEFAULT_FLOAT32["v4"], tmp_path / "v4.onnx", dynamic=False)
    assert kept == [("Conv", "conv_pre"), ("ConvTranspose", "ups.0"), ("ConvTranspose", "ups.1")]
