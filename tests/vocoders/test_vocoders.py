"""The vocoders compute what their definitions say, from every form of their files."""

import json
import math
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.utils import parametrizations
from torch.nn.utils import weight_norm as old_weight_norm

from bench.audio.mel import default_speech, log_mel, speech_mels
from bench.errors import InputError
from bench.lowering.activation import DEFAULT_FORM, FORMS, Ends, fewest_frames, polyphase
from bench.spec import V3, V4
from bench.vocoders import load_vocoder, load_with_identity
from bench.vocoders.alias_free import AliasFreeActivation, kaiser_sinc_filter
from bench.vocoders.bigvgan import AmpBlock, BigVgan, BigVganConfig
from bench.vocoders.hifigan import HifiGan, HifiGanConfig
from bench.vocoders.synthetic import initialise
from studies import float16_sums
from tests.conftest import SMALL_V3, small_v3


def snr_db(reference: torch.Tensor, test: torch.Tensor) -> float:
    """Signal-to-noise ratio in float64."""
    reference, test = reference.double(), test.double()
    noise = (reference - test).square().sum().clamp(min=1e-300)
    return float(10 * torch.log10(reference.square().sum() / noise))


def slow_activation(x: np.ndarray, alpha: np.ndarray, beta: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """The alias-free activation of one channel by zero-stuffing and full convolution, in float64."""
    pad = 5
    padded = np.pad(x, pad, mode="edge")
    stuffed = np.zeros(2 * len(padded))
    stuffed[::2] = padded
    up = 2 * np.convolve(stuffed, taps)
    up = up[2 * pad + 5 : 2 * pad + 5 + 2 * len(x)]
    wave = up + np.sin(alpha * up) ** 2 / (beta + 1e-9)
    padded = np.concatenate([np.full(5, wave[0]), wave, np.full(6, wave[-1])])
    return np.array([padded[2 * t : 2 * t + 12] @ taps for t in range(len(x))])


@pytest.mark.parametrize("beta", [True, False])
@pytest.mark.parametrize("logscale", [True, False])
@pytest.mark.parametrize("samples", [1, 2, 37])
def test_activation_is_up_snake_down(beta: bool, logscale: bool, samples: int) -> None:
    """The activation equals zero-stuffing, filtering, snake, filtering and decimating, edges included."""
    torch.manual_seed(samples)
    activation = AliasFreeActivation(3, beta, logscale).double()
    for parameter in activation.parameters():
        parameter.data.uniform_(0.2, 1.2)
    x = torch.randn(2, 3, samples, dtype=torch.float64)
    alpha = activation.act.alpha.detach().numpy()
    magnitude = alpha if activation.act.beta is None else activation.act.beta.detach().numpy()
    if logscale:
        alpha, magnitude = np.exp(alpha), np.exp(magnitude)
    taps = activation.upsample.filter.flatten().numpy()
    expected = [[slow_activation(x[b, c].numpy(), alpha[c], magnitude[c], taps) for c in range(3)] for b in range(2)]
    assert np.allclose(activation(x).detach().numpy(), expected, atol=1e-12)


def test_filter_is_a_half_band_low_pass() -> None:
    """The filter is symmetric, passes a constant unchanged and stops the upper quarter of its band."""
    taps = kaiser_sinc_filter(0.25, 0.3).flatten().double()
    assert torch.allclose(taps, taps.flip(0), atol=1e-7)
    assert float(taps.sum()) == pytest.approx(1, abs=1e-6)
    response = torch.fft.rfft(taps, 512).abs()
    assert float(response[240:].max()) < 0.02


@pytest.mark.parametrize("form", [form for form in FORMS if form != "original"])
@pytest.mark.parametrize("changes", [{}, {"resblock": "2"}, {"activation": "snake", "snake_logscale": False}])
def test_every_form_for_engines_is_equal(changes: dict[str, object], form: str) -> None:
    """Each form of the activation equals the original at any batch and length, edges included."""
    model = small_v3(**changes).double()
    twin = polyphase(model, form).double()
    for batch, frames in ((1, 3), (2, 5), (1, 6), (2, 17)):
        mel = 3 * torch.randn(batch, 100, frames, dtype=torch.float64) - 6
        wave, other = model(mel), twin(mel)
        assert snr_db(wave, other) > 250
        assert torch.allclose(wave[..., :16], other[..., :16], rtol=0, atol=1e-9)
        assert torch.allclose(wave[..., -16:], other[..., -16:], rtol=0, atol=1e-9)


@pytest.mark.parametrize("form", ["ends-16", "ends-32", "ends-64"])
def test_the_fewest_frames_are_enough_at_every_rate(form: str) -> None:
    """In a graph of open length both ends and two frames between them fit, or the form chooses edges by position."""
    original = AliasFreeActivation(2, beta=True, logscale=True)
    chosen = {rate: FORMS[form](original, rate) for rate in range(1, 257)}
    ends = {rate: made for rate, made in chosen.items() if isinstance(made, Ends)}
    # A divisor of 16 and the rate of at least four.
    assert set(ends) == {rate for rate in chosen if rate % 4 == 0}
    for rate, made in ends.items():
        assert rate % made.size == 0
        assert (2 * made.ends + 2) * made.size <= fewest_frames(form) * rate


@pytest.mark.parametrize("period", [8, 16, 32, 64])
@pytest.mark.parametrize("rate", [4, 16, 32, 64, 128, 256])
def test_a_steady_sound_stays_steady_in_float16_sums(monkeypatch: pytest.MonkeyPatch, rate: int, period: int) -> None:
    """What repeats with every mel frame still does, to the last bit: noise makes no new lines in its spectrum."""
    monkeypatch.setattr(float16_sums, "PERIOD", period)
    assert stays_steady(rate, rate)


@pytest.mark.parametrize("rate", [4, 16])
def test_frames_of_several_mel_frames_would_not_keep_it_steady(rate: int) -> None:
    """In the first two stages, as the benchmark's simulation has it and engines showed it."""
    assert not stays_steady(rate, 4 * rate)


def stays_steady(rate: int, known: int) -> bool:
    """Whether equal mel frames stay equal behind an activation that takes ``known`` for their samples."""
    torch.manual_seed(0)
    activation = FORMS[DEFAULT_FORM](AliasFreeActivation(8, beta=True, logscale=True), known).half()
    x = torch.randn(1, 8, rate).half().repeat(1, 1, 12)
    with float16_sums.Float16Products():
        frames = activation(x).unflatten(-1, (12, rate))[:, :, 3:-3]
    return torch.equal(frames, frames[:, :, :1].expand_as(frames))


def test_an_unknown_form_is_named() -> None:
    """A form that does not exist is the user's mistake."""
    with pytest.raises(InputError, match=r"option activation is one of original, grouped, .* not 'fast'"):
        polyphase(small_v3(), "fast")


@pytest.mark.parametrize("version", ["v3", "v4"])
def test_output_length_follows_the_rates(version: str) -> None:
    """A mel frame becomes exactly the spec's number of samples."""
    model = small_v3() if version == "v3" else HifiGan(HifiGanConfig(upsample_initial_channel=32)).eval()
    for frames in (1, 9):
        assert model(torch.zeros(2, 100, frames)).shape == (2, 1, frames * model.spec.upsample)
    assert model.spec.upsample == {"v3": 256, "v4": 480}[version]


def test_real_sizes() -> None:
    """The default networks have the parameters and keys of the published checkpoints."""
    with torch.device("meta"):
        v3, v4 = BigVgan(BigVganConfig()), HifiGan(HifiGanConfig())
    assert sum(p.numel() for p in v3.parameters()) == 112_414_512
    assert len(v3.state_dict()) == 667 - 218
    assert sum(p.numel() for p in v4.parameters()) == 14_425_409
    assert len(v4.state_dict()) == 194
    assert (V3.t_ref, V3.t_chunk, V4.t_ref, V4.t_chunk) == (468, 934, 500, 1000)


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


def test_synthetic_weights_are_the_same_everywhere() -> None:
    """A seed gives the same bits; the digest was taken on two machines."""
    first, identity = load_with_identity("v4", seed=0)
    again = load_with_identity("v4", seed=0)[1]
    assert identity == again
    assert identity.synthetic
    assert identity.name == "synthetic weights (seed 0)"
    assert identity.sha256 == "09df84e44166ac953e6da7c31147cb1791f5ecfd8f3245df227a754397d1bd0e"
    assert load_with_identity("v4", seed=1)[1].sha256 != identity.sha256
    assert first.spec == V4


@pytest.mark.parametrize("version", ["v3", "v4"])
def test_synthetic_activations_keep_their_size(version: str) -> None:
    """From layer to layer the mean square stays within a factor, and speech comes out at a speech level."""
    model = load_vocoder(version)
    levels: dict[str, float] = {}
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.ConvTranspose1d | AmpBlock) or name == "conv_pre":
            module.register_forward_hook(
                lambda _module, _inputs, out, name=name: levels.update({name: float(out.square().mean().sqrt())})
            )
    mel = speech_mels(log_mel(default_speech(), model.spec), 2, 12)
    with torch.inference_mode():
        audio = model(mel)
    assert len(levels) > 5
    assert all(0.4 < level < 2.5 for level in levels.values()), levels
    rms = audio.square().mean(dim=(1, 2)).sqrt()
    assert ((rms > 0.05) & (rms < 0.2)).all()
    assert float((audio.abs() >= 1).double().mean()) < 0.001


def test_synthetic_snake_parameters_differ_by_channel() -> None:
    """No two activations are alike, so that no exporter may merge them."""
    model = small_v3()
    alphas = [p.flatten() for n, p in model.named_parameters() if n.endswith("alpha")]
    for alpha in alphas:
        assert len(set(alpha.tolist())) == len(alpha)
    assert len({tuple(alpha.tolist()) for alpha in alphas}) == len(alphas)


def test_initialise_is_repeatable() -> None:
    """Two networks filled from one seed are equal, from two seeds not."""
    models = [BigVgan(BigVganConfig.from_json(SMALL_V3)) for _ in range(3)]
    for model, seed in zip(models, (3, 3, 4), strict=True):
        initialise(model, seed)
    first, second, third = (model.state_dict() for model in models)
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(first["conv_pre.weight"], third["conv_pre.weight"])
