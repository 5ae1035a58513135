"""Convolutions of eight bits: rounded as written down, exported as what TensorRT builds, left out where they hurt."""

from pathlib import Path

import pytest
import torch
from torch import nn

from bench.audio.mel import default_speech, log_mel, speech_mels
from bench.case import Case
from bench.errors import UnsupportedError
from bench.lowering import quantization as quantised
from bench.lowering.engine_form import lower_activations
from bench.lowering.onnx_export import export_onnx
from bench.lowering.quantization import KEPT, quantise
from bench.precision import PRECISIONS
from bench.records.schema import Status
from bench.run.session import Session
from bench.run.settings import Settings
from bench.run.speed import measure_case
from bench.trt.build import build_engine
from bench.trt.library import import_library
from bench.trt.options import parse_options
from tests.small_vocoders import snr_db, tiny

pytest.importorskip("modelopt", reason="nvidia-modelopt is not installed: pip install -e '.[quantise]'")
onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install -e '.[onnx]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install -e '.[onnx]'")
library, _reason = import_library("tensorrt_rtx")


class One(nn.Module):
    """One convolution that may be quantised and one that may not."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.middle, self.conv_post = nn.Conv1d(4, 3, 5, padding=2), nn.Conv1d(3, 1, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Both."""
        y: torch.Tensor = self.conv_post(self.middle(x))
        return y


def rounded(values: torch.Tensor, largest: torch.Tensor, kind: str) -> torch.Tensor:
    """Values on the grid of a format whose end is ``largest``."""
    if kind == "int8":
        scale = largest / 127
        return (values / scale).round().clamp(-128, 127) * scale
    scale = largest / 448
    return (values / scale).clamp(-448, 448).to(torch.float8_e4m3fn).float() * scale


@pytest.mark.parametrize("kind", ["int8", "fp8"])
def test_one_convolution_rounds_as_written(kind: str) -> None:
    """Weights by channel (fp8: as a whole) and inputs as a whole are on the format's grid; kept layers are not."""
    plain, speech = One(), torch.randn(1, 4, 50)
    model = quantise(One(), kind, speech, half=False)
    x = torch.randn(2, 4, 30)
    weight = plain.middle.weight
    reach = weight.abs().amax(dim=(1, 2), keepdim=True) if kind == "int8" else weight.abs().max()
    with torch.no_grad():
        inside = nn.functional.conv1d(
            rounded(x, speech.abs().max(), kind), rounded(weight, reach, kind), plain.middle.bias, padding=2
        )
        assert torch.allclose(model(x), plain.conv_post(inside), atol=1e-5)
        assert snr_db(plain(x), model(x)) < 60


@pytest.mark.parametrize("version", ["v3", "v4"])
def test_the_graph_computes_what_pytorch_simulates(tmp_path: Path, version: str) -> None:
    """ONNX Runtime agrees with the simulation far beyond what the rounding costs, with shapes open."""
    vocoder = tiny(version)
    speech = log_mel(default_speech(), vocoder.spec)
    file = tmp_path / "vocoder.onnx"
    export_onnx(vocoder, torch.zeros(1, 100, 9), file, 17, dynamic=True, quantised="int8")
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    simulated = quantise(lower_activations(vocoder), "int8", speech, half=False)
    for batch, frames in ((1, 14), (2, 30)):
        mel = speech_mels(speech, batch, frames)
        [wave] = session.run(None, {"mel": mel.numpy()})
        with torch.no_grad():
            expected, exact = simulated(mel), vocoder(mel)
        cost_db = snr_db(exact, expected)
        assert 15 < cost_db < 45
        # A value on the edge between two steps may fall to either side.
        assert snr_db(expected, torch.from_numpy(wave)) > cost_db + 6


@pytest.mark.parametrize("version", ["v3", "v4"])
def test_what_is_kept_is_not_quantised(tmp_path: Path, version: str) -> None:
    """Every convolution but the first, the last and those that change rates has a pair on input and weight."""
    vocoder = tiny(version)
    file = tmp_path / "vocoder.onnx"
    export_onnx(vocoder, torch.zeros(1, 100, 9), file, 17, quantised="int8")
    nodes = onnx.load(file).graph.node
    count = {kind: sum(node.op_type == kind for node in nodes) for kind in ("QuantizeLinear", "DequantizeLinear")}
    convolutions = [
        name for name, module in vocoder.named_modules() if isinstance(module, nn.Conv1d) and not name.startswith(KEPT)
    ]
    assert set(count.values()) == {2 * len(convolutions)}


@pytest.mark.skipif(library is None, reason=f"{_reason} pip install -e '.[rtx]'")
@pytest.mark.parametrize("precision", ["int8", "fp8"])
@pytest.mark.parametrize("version", ["v3", "v4"])
def test_tensorrt_rtx_builds_it(tmp_path: Path, version: str, precision: str) -> None:
    """A strongly typed network takes the float16 graph with its pairs, shapes open."""
    assert library is not None
    file = tmp_path / "vocoder.onnx"
    mel = torch.zeros(1, 100, 9, dtype=torch.float16)
    export_onnx(tiny(version), mel, file, 20, dynamic=True, quantised=precision)
    options = parse_options({"shapes": "dynamic"}, (1, 500))
    assert len(build_engine(library, file, PRECISIONS[precision], 100, options)) > 10_000


def test_pytorch_has_none(v3_directory: Path, tmp_path: Path) -> None:
    """Eager and TorchScript say that they would compute in float16, and are no rows with figures."""
    settings = Settings("run", str(tmp_path), weights=(str(v3_directory),))
    for backend in ("eager", "torchscript"):
        record = measure_case(Case("v3", backend, "int8", 1, 2), Session(settings))
        assert record.status is Status.UNSUPPORTED
        assert record.reason.startswith("int8 convolutions exist in engines only")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Model Optimizer the sentence says what to install."""
    monkeypatch.setattr(quantised, "find_spec", lambda name: None if name == "modelopt" else name)
    with pytest.raises(UnsupportedError, match=r"int8 needs modelopt: pip install -e '\.\[quantise\]'"):
        quantise(One(), "int8", torch.zeros(1, 4, 9), half=False)
