"""What stands in for the vocoder moves, converts and gives memory back as a module does."""

import gc

import pytest
import torch

from bench.integrations.gpt_sovits import accelerate
from tests.integrations.conftest import Planted
from tests.integrations.stand_in_tts import TTS, heard


def test_methods_return_it() -> None:
    """GPT-SoVITS keeps what ``half``, ``float``, ``to``, ``cpu`` and ``eval`` return."""
    tts = TTS("v3")
    made = accelerate(tts, "eager", "fp32")
    assert made.half() is made.float() is made.eval() is made.cpu() is made
    for places in (("cpu",), (torch.device("cpu"),), (torch.float32,), ("cpu", torch.float32), (torch.zeros(1),)):
        assert made.to(*places) is made
    assert made.to(device="cpu", dtype=torch.float32) is made
    tts.enable_half_precision(False)
    tts.set_device("cpu")
    assert tts.vocoder is made


def test_moving_gives_memory_back(planted: Planted) -> None:
    """What a runner holds is gone as soon as the vocoder is moved; a call on the new device prepares anew."""
    tts = TTS("v3")
    made = accelerate(tts, "planted", "fp32")
    expected = heard(tts, [100])
    held = planted.networks[-1]
    assert held() is not None
    # Any other device would do; this one needs no GPU, and nothing is called on it.
    made.to("meta")
    gc.collect()
    assert (held(), planted.closed) == (None, 1)
    assert next(made.original.parameters()).device.type == "cpu"
    made.cpu()
    assert (heard(tts, [100]) == expected).all()
    assert len(planted.networks) == 2


def test_staying_prepares_nothing_anew(planted: Planted) -> None:
    """``to`` the device where it is costs nothing."""
    made = accelerate(TTS("v4"), "planted", "fp32")
    made.cpu().to("cpu").eval()
    assert (len(planted.networks), planted.closed) == (1, 0)


def test_types_are_gpt_sovits_s(planted: Planted) -> None:
    """The waveform has the mel's type, the original the type that was set, and the runner keeps its precision."""
    made = accelerate(TTS("v4"), "planted", "fp32")
    mel = torch.randn(1, 100, 40) - 5
    made.half()
    wave = made(mel.half())
    assert wave.dtype is torch.float16
    assert next(made.original.parameters()).dtype is torch.float16
    assert planted.networks[-1]().conv_pre.weight.dtype is torch.float32  # type: ignore[union-attr]
    assert made.float()(mel).dtype is torch.float32
    # GPT-SoVITS's own module came back from float16 with its rounding, as it would have.
    assert next(made.original.parameters()).dtype is torch.float32
    assert len(planted.networks) == 1


def test_everything_else_is_the_original_s() -> None:
    """Attributes that GPT-SoVITS or a user reads are there."""
    tts = TTS("v3")
    own = tts.vocoder
    made = accelerate(tts, "eager", "fp32")
    assert made.h is own.h
    assert sum(value.numel() for value in made.parameters()) == sum(value.numel() for value in own.parameters())
    with pytest.raises(AttributeError):
        _ = made.no_such_attribute
    assert repr(made) == "<BigVGAN by v3-eager-fp32-b1-t466 on cpu>"
