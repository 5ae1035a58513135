"""The drop-in survives everything that GPT-SoVITS does to its vocoder, and can be taken out again."""

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bench.errors import InputError, UnsupportedError
from bench.integrations.gpt_sovits import Accelerated, accelerate, accelerated, restore, statistics
from tests.integrations.conftest import Planted
from tests.integrations.stand_in_tts import TTS, BigVGAN, Generator, heard, weights_of

VERSIONS = ("v3", "v4")
CHUNK = {"v3": 466, "v4": 500}
# 16-bit steps between two float32 implementations of one network.
STEPS = 2


def apart(one: NDArray[np.int16], other: NDArray[np.int16]) -> int:
    """Most 16-bit steps between two waveforms of the same length."""
    assert one.shape == other.shape
    return int(np.abs(one.astype(int) - other).max())


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("parallel", [True, False], ids=["default", "sentences"])
def test_both_paths_sound_as_before(version: str, parallel: bool) -> None:
    """The default path calls with whole chunks of 466 or 500 frames, the other with any length; both sound alike."""
    tts = TTS(version)
    requests = ([100], [300, 400, 77], [1, 2])
    before = [heard(tts, sentences, parallel=parallel) for sentences in requests]
    shapes, tts.calls = tts.calls, []
    accelerate(tts, "eager", "fp32")
    for sentences, expected in zip(requests, before, strict=True):
        assert apart(heard(tts, sentences, parallel=parallel), expected) <= STEPS
    assert tts.calls == shapes
    lengths = [shape[2] for shape in shapes]
    assert lengths == ([CHUNK[version], 2 * CHUNK[version], CHUNK[version]] if parallel else [100, 300, 400, 77, 1, 2])
    assert statistics(tts).calls == len(shapes)


def test_switching_weights_keeps_it() -> None:
    """``init_vocoder`` looks at the name of the class: weights of the same version leave the drop-in where it is."""
    tts = TTS("v3")
    made = accelerate(tts, "eager", "fp32")
    assert tts.vocoder is made
    assert tts.vocoder.__class__.__name__ == "BigVGAN"
    tts.init_vits_weights("v3")
    assert tts.vocoder is made


def test_a_failed_request_keeps_it() -> None:
    """An exception inside ``run`` makes GPT-SoVITS load its models again; the drop-in stays, and goes on."""
    tts = TTS("v4")
    made = accelerate(tts, "eager", "fp32")
    expected = heard(tts, [200])
    with pytest.raises(RuntimeError, match="a request that fails"):
        list(tts.run([200], fail=True))
    assert tts.vocoder is made
    assert apart(heard(tts, [200]), expected) == 0


def test_another_version_is_accelerated_too(planted: Planted) -> None:
    """From v3 to v4 and back: each new vocoder gets a drop-in of its own, and what the old one held is given back."""
    tts = TTS("v3")
    first = accelerate(tts, "planted", "fp32")
    tts.init_vits_weights("v4")
    assert isinstance(tts.vocoder, Accelerated)
    assert tts.vocoder is not first
    assert tts.vocoder.__class__.__name__ == "Generator"
    assert planted.closed == 1
    expected = heard(TTS("v4"), [100])
    assert apart(heard(tts, [100]), expected) <= STEPS
    tts.init_vits_weights("v3")
    assert (tts.vocoder.version, planted.closed) == ("v3", 2)


@pytest.mark.parametrize("out_of_range", ["error", "original"])
def test_a_version_that_cannot_be_accelerated(planted: Planted, out_of_range: str) -> None:
    """Weights are switched as a whole; then every call says why not, or the original answers and is counted."""
    planted.refuses = ("v4",)
    tts = TTS("v3")
    accelerate(tts, "planted", "fp32", out_of_range=out_of_range)
    tts.init_vits_weights("v4")
    assert tts.configs.version == "v4"
    if out_of_range == "error":
        for _ in range(2):
            with pytest.raises(UnsupportedError, match=r"planted: not for v4\."):
                heard(tts, [100])
        assert statistics(tts).refused == {"not prepared": 2}
    else:
        assert apart(heard(tts, [100]), heard(TTS("v4"), [100])) == 0
        assert statistics(tts).originals == {"not prepared": 1}


def test_in_place_writes_and_full_scale(planted: Planted) -> None:
    """What is too loud is cut at full scale, so that nothing is scaled; chunks are joined by writing in place."""
    planted.louder = 1e4
    tts = TTS("v3")
    accelerate(tts, "planted", "fp32")
    for parallel in (True, False):
        audio = heard(tts, [300, 700], parallel=parallel)
        assert np.abs(audio.astype(int)).max() >= 32767
    # One step fewer than full scale would show that a fragment was divided by its peak.
    for mode in (torch.inference_mode, torch.no_grad):
        with mode():
            wave = tts.vocoder(torch.randn(1, 100, 466))
        assert not wave.is_inference()
        assert float(wave.abs().max()) == 1.0
        wave /= 2


@pytest.mark.usefixtures("planted")
def test_every_call_has_its_own_tensor() -> None:
    """Views of earlier waveforms are still read when later ones are made; the runner uses its buffer again."""
    tts = TTS("v3")
    accelerate(tts, "planted", "fp32")
    mels = [torch.randn(1, 100, 30) - 5 for _ in range(3)]
    waves = [tts.vocoder(mel) for mel in mels]
    copies = [wave.clone() for wave in waves]
    assert len({wave.data_ptr() for wave in waves}) == 3
    for mel, copy in zip(mels, copies, strict=True):
        with torch.inference_mode():
            assert torch.allclose(tts.vocoder.original(mel).clamp(-1, 1), copy, atol=1e-6)
    # GPT-SoVITS may write into what it got.
    waves[0].zero_()
    assert torch.equal(tts.vocoder(mels[0]), copies[0])


def test_two_requests_at_once(planted: Planted) -> None:
    """Threads that enter together wait for each other, and each gets the answer to its own mel."""
    planted.delay_s = 0.005
    tts = TTS("v3")
    accelerate(tts, "planted", "fp32")
    mels = [torch.randn(1, 100, 30, generator=torch.Generator().manual_seed(seed)) - 5 for seed in range(4)]
    with torch.inference_mode():
        expected = [tts.vocoder.original(mel).clamp(-1, 1) for mel in mels]
    wrong: list[int] = []

    def ask(index: int) -> None:
        right = [torch.allclose(tts.vocoder(mels[index]), expected[index], atol=1e-6) for _ in range(10)]
        if not all(right):
            wrong.append(index)

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert planted.at_once == 1


def test_many_requests_one_after_another() -> None:
    """The collector and the emptied cache after each request take nothing that the runner needs."""
    tts = TTS("v4")
    accelerate(tts, "eager", "fp32")
    first = heard(tts, [120, 90])
    for _ in range(3):
        assert apart(heard(tts, [120, 90]), first) == 0


def test_a_length_out_of_range_is_an_error(planted: Planted) -> None:
    """A runner for 1 and 2 chunks does not take 3: the request fails in a sentence, the next one works."""
    planted.only = True
    tts = TTS("v3")
    made = accelerate(tts, "planted", "fp32", chunks=2)
    heard(tts, [800])
    with pytest.raises(UnsupportedError, match=r"is ready for mels of 1 x 100 x 466, 932, not of 1 x 100 x 1398"):
        heard(tts, [1300])
    assert tts.vocoder is made
    heard(tts, [100])
    counted = statistics(tts)
    assert (counted.calls, counted.refused, counted.originals) == (2, {"length": 1}, {})


def test_a_length_out_of_range_is_the_original_s(planted: Planted) -> None:
    """Told to, GPT-SoVITS's own vocoder answers such a length, and that is counted and never silent."""
    planted.only = True
    tts = TTS("v3")
    expected = heard(tts, [123], parallel=False)
    accelerate(tts, "planted", "fp32", chunks=1, out_of_range="original")
    assert apart(heard(tts, [123], parallel=False), expected) == 0
    heard(tts, [100])
    counted = statistics(tts)
    assert (counted.calls, counted.originals, counted.refused) == (1, {"length": 1}, {})


@pytest.mark.parametrize("version", VERSIONS)
def test_restore_undoes_it(version: str, planted: Planted) -> None:
    """The same object with the same values, in the present type, and nothing patched is left; twice is no harm."""
    tts = TTS(version)
    own, values, names = tts.vocoder, weights_of(tts.vocoder), set(vars(tts))
    accelerate(tts, "planted", "fp32")
    assert set(vars(tts)) != names
    restore(tts)
    restore(tts)
    assert tts.vocoder is own
    assert set(vars(tts)) == names
    assert planted.closed == 1
    for key, value in weights_of(own).items():
        assert torch.equal(value, values[key])
    with pytest.raises(InputError, match="is not accelerated"):
        statistics(tts)


def test_once_more_with_other_options(planted: Planted) -> None:
    """A second call replaces the first, and one restore is enough."""
    tts = TTS("v3")
    own = tts.vocoder
    accelerate(tts, "planted", "fp32")
    made = accelerate(tts, "eager", "fp32")
    assert planted.closed == 1
    assert made.original is own
    restore(tts)
    assert tts.vocoder is own


def test_what_cannot_be_accelerated(planted: Planted) -> None:
    """Another model, a wrong argument or a backend that does not run here: one sentence, and the object as it was."""
    planted.refuses = ("v3",)
    tts = TTS("v3")
    own, names = tts.vocoder, set(vars(tts))
    for error, message, arguments in (
        (InputError, "out_of_range is error or original, not 'silence'", {"out_of_range": "silence"}),
        (InputError, "chunks is a whole number from 1, not 0", {"chunks": 0}),
        (InputError, "unknown backend 'no-such'", {"backend": "no-such"}),
        (InputError, "unknown precision 'fp12'", {"precision": "fp12"}),
        (InputError, "precision autocast converts the weights at every call", {"precision": "autocast"}),
        (UnsupportedError, r"fused: fused kernels need an NVIDIA GPU\.", {"backend": "fused"}),
        (UnsupportedError, r"planted: not for v3\.", {"backend": "planted", "precision": "fp32"}),
    ):
        with pytest.raises(error, match=message):
            accelerate(tts, **arguments)
        assert tts.vocoder is own
        assert set(vars(tts)) == names
    tts.vocoder = None
    with pytest.raises(InputError, match="holds no vocoder, not a BigVGAN or Generator: load v3 or v4 weights first"):
        accelerate(tts)


def test_a_program_without_the_object() -> None:
    """A module alone can be replaced likewise."""
    for own in (BigVGAN().eval(), Generator().eval()):
        made = accelerated(own, backend="eager", precision="fp32")
        mel = torch.randn(1, 100, 40) - 5
        with torch.inference_mode():
            assert torch.allclose(made(mel), own(mel), atol=1e-6)
        assert made.give_back() is own


def test_the_guide_s_keys_choose_tensorrt(tmp_path: Path) -> None:
    """``use_tensorrt`` takes the place of the backend; without TensorRT that is an error and no fallback."""
    config = tmp_path / "tts_infer.yaml"
    config.write_text("vocoder_bench:\n  use_tensorrt: true\n  tensorrt_precision: fp16\n", encoding="utf-8")
    tts = TTS("v3")
    own = tts.vocoder
    with pytest.raises(UnsupportedError, match=r"tensorrt-onnx: TensorRT needs an NVIDIA GPU\."):
        accelerate(tts, "eager", "fp32", config=config)
    assert tts.vocoder is own
    config.write_text("vocoder_bench:\n  use_tensorrt: false\n", encoding="utf-8")
    choice = accelerate(tts, "eager", "fp32", config=config).choice
    assert choice is not None
    assert choice.case.backend == "eager"
