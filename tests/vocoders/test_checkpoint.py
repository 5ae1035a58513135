"""Every form of a vocoder's files gives its network; what is none of them is one sentence."""

import json
import math
import pickle
import warnings
from pathlib import Path

import pytest
import torch
from torch.nn.utils import parametrizations
from torch.nn.utils import weight_norm as old_weight_norm

from bench.errors import InputError
from bench.vocoders import load_vocoder
from bench.vocoders.hifigan import HifiGan, HifiGanConfig
from tests.conftest import SMALL_V3, small_v3
from tests.small_vocoders import snr_db


@pytest.mark.parametrize("spelling", ["old", "new", "folded"])
@pytest.mark.parametrize("filters", [True, False])
@pytest.mark.parametrize("resblock", ["1", "2"])
def test_v3_checkpoint_forms(tmp_path: Path, spelling: str, filters: bool, resblock: str) -> None:
    """Weight norm in torch's two spellings or folded, with or without filter buffers, gives one network."""
    model = small_v3(resblock=resblock, use_bias_at_final=True, use_tanh_at_final=True)
    mel = 3 * torch.randn(1, 100, 5) - 6
    expected = model(mel)
    kernels = {name: buffer.clone() for name, buffer in model.named_buffers()}
    if spelling != "folded":
        norm = old_weight_norm if spelling == "old" else parametrizations.weight_norm
        convolutions = [m for m in model.modules() if isinstance(m, torch.nn.Conv1d | torch.nn.ConvTranspose1d)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # the old spelling is what old checkpoints have
            for convolution in convolutions:
                norm(convolution)
    state = model.state_dict() | (kernels if filters else {})
    config = {**SMALL_V3, "resblock": resblock, "use_bias_at_final": True, "use_tanh_at_final": True}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    torch.save({"generator": state}, tmp_path / "bigvgan_generator.pt")
    assert snr_db(expected, load_vocoder("v3", tmp_path)(mel)) > 100


def test_filters_come_from_the_checkpoint(tmp_path: Path) -> None:
    """A checkpoint's own filters are used, not recomputed ones."""
    model = small_v3()
    for buffer in model.buffers():
        buffer.mul_(0.5)
    (tmp_path / "config.json").write_text(json.dumps(SMALL_V3), encoding="utf-8")
    state = model.state_dict() | dict(model.named_buffers())
    torch.save({"generator": state}, tmp_path / "bigvgan_generator.pt")
    mel = torch.randn(1, 100, 4)
    assert snr_db(model(mel), load_vocoder("v3", tmp_path)(mel)) > 100


@pytest.mark.parametrize("gin_channels", [0, 8])
@pytest.mark.parametrize("resblock", ["1", "2"])
@pytest.mark.parametrize("is_bias", [True, False])
def test_v4_options_are_read_from_the_keys(tmp_path: Path, gin_channels: int, resblock: str, is_bias: bool) -> None:
    """A v4 file shows its residual block, conditioning and last bias by its keys."""
    model = HifiGan(HifiGanConfig(gin_channels=gin_channels, resblock=resblock, is_bias=is_bias)).eval()
    torch.save(model.state_dict(), tmp_path / "vocoder.pth")
    loaded = load_vocoder("v4", tmp_path / "vocoder.pth")
    assert loaded.config == model.config
    mel = torch.randn(1, 100, 2)
    given = (mel, torch.randn(1, gin_channels, 1)) if gin_channels else (mel,)
    with torch.inference_mode():
        assert torch.equal(model(*given), loaded(*given))


def test_checkout_holds_both(tmp_path: Path, v3_directory: Path) -> None:
    """In a GPT-SoVITS checkout both vocoders are found at their usual places."""
    models = tmp_path / "GPT_SoVITS" / "pretrained_models"
    (models / "gsv-v4-pretrained").mkdir(parents=True)
    v3 = models / "models--nvidia--bigvgan_v2_24khz_100band_256x"
    v3.symlink_to(v3_directory, target_is_directory=True)
    torch.save(HifiGan(HifiGanConfig()).state_dict(), models / "gsv-v4-pretrained" / "vocoder.pth")
    assert load_vocoder("v3", tmp_path).spec.version == "v3"
    assert load_vocoder("v4", tmp_path).spec.version == "v4"


class Malice:
    """Asks the unpickler for a function call."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("ran",))


def _write(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def test_unusable_v4_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every kind of unusable file is one sentence that names it, and a pickle's wish is not run."""
    state = HifiGan(HifiGanConfig()).state_dict()
    whole = _write(tmp_path / "whole.pth", state)
    truncated = tmp_path / "truncated.pth"
    truncated.write_bytes(whole.read_bytes()[:100_000])
    text = tmp_path / "text.pth"
    text.write_text("no checkpoint", encoding="utf-8")
    with (tmp_path / "pickled.pth").open("wb") as file:
        pickle.dump({"conv_pre.weight": Malice()}, file)
    lacking = dict(list(state.items())[2:])
    reshaped = dict(state, **{"conv_pre.weight": torch.zeros(1, 2, 3)})
    poisoned = dict(state, **{"conv_pre.bias": torch.full((512,), math.nan)})
    cases = {
        tmp_path / "absent.pth": "do not exist",
        truncated: "truncated or no PyTorch checkpoint",
        text: "truncated or no PyTorch checkpoint|wants to run code",
        tmp_path / "pickled.pth": "wants to run code",
        _write(tmp_path / "malice.pth", {"conv_pre.weight": Malice()}): "wants to run code",
        _write(tmp_path / "lacking.pth", lacking): "lacks conv_pre.bias, conv_pre.weight",
        _write(tmp_path / "extra.pth", dict(state, stray=torch.zeros(1))): "has unexpected stray",
        _write(tmp_path / "shape.pth", reshaped): r"conv_pre.weight \(1, 2, 3\) instead of \(512, 100, 7\)",
        _write(tmp_path / "nan.pth", poisoned): "non-finite values in conv_pre.bias",
        _write(tmp_path / "list.pth", [1, 2]): "holds no state dict",
        _write(tmp_path / "numbers.pth", {"epoch": 3}): "no tensors: epoch",
    }
    for path, sentence in cases.items():
        with pytest.raises(InputError, match=sentence) as caught:
            load_vocoder("v4", path)
        assert path.name in str(caught.value)
        assert "\n" not in str(caught.value)
    assert "ran" not in capsys.readouterr().out


def test_unusable_v3_directories(tmp_path: Path, v3_directory: Path) -> None:
    """A directory without config, without weights, or with a config that names no BigVGAN says so."""
    with pytest.raises(InputError, match="hold no v3 vocoder"):
        load_vocoder("v3", tmp_path)
    (tmp_path / "bigvgan_generator.pt").write_bytes((v3_directory / "bigvgan_generator.pt").read_bytes())
    with pytest.raises(InputError, match=r"no config\.json beside"):
        load_vocoder("v3", tmp_path)
    for change, sentence in (
        ({"activation": "relu"}, "activation is"),
        ({"resblock": "3"}, "resblock is"),
        ({"upsample_rates": "fast"}, "wrong type"),
        ({"upsample_rates": [4]}, "differ in length"),
        ({"upsample_initial_channel": 128}, "wrong shape"),
    ):
        (tmp_path / "config.json").write_text(json.dumps({**SMALL_V3, **change}), encoding="utf-8")
        with pytest.raises(InputError, match=sentence):
            load_vocoder("v3", tmp_path)
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="cannot read"):
        load_vocoder("v3", tmp_path)
    config = {key: value for key, value in SMALL_V3.items() if key != "activation"}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(InputError, match="no field 'activation'"):
        load_vocoder("v3", tmp_path)


def test_unknown_version() -> None:
    """Another version than the two is named with the choices."""
    with pytest.raises(InputError, match="unknown version 'v5'; choose from v3, v4"):
        load_vocoder("v5")
