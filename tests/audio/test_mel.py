"""Mels are GPT-SoVITS's, from any rate, and bad audio is one sentence."""

import importlib
import math
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
import torch

from bench.audio.mel import LOG_FLOOR, audio_identity, default_speech, log_mel, read_audio, resample, speech_mels
from bench.errors import InputError
from bench.spec import V3, V4, VocoderSpec

SPECS = pytest.mark.parametrize("spec", [V3, V4], ids=["v3", "v4"])


def by_hand(samples: np.ndarray, spec: VocoderSpec) -> np.ndarray:
    """The definition frame by frame with NumPy's FFT, in float64."""
    mel = spec.mel
    pad = (mel.n_fft - mel.hop_length) // 2
    padded = np.pad(samples.astype(np.float64), pad, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(mel.n_fft) / mel.n_fft)
    frames = (len(padded) - mel.n_fft) // mel.hop_length + 1
    spectra = [np.fft.rfft(window * padded[i * mel.hop_length :][: mel.n_fft]) for i in range(frames)]
    magnitude = np.sqrt(np.abs(np.array(spectra).T) ** 2 + 1e-8)
    filters = librosa.filters.mel(sr=mel.sample_rate, n_fft=mel.n_fft, n_mels=100, fmin=0, fmax=None)
    return np.log(np.maximum(filters.astype(np.float64) @ magnitude, 1e-5))


@SPECS
def test_log_mel_is_the_definition(spec: VocoderSpec) -> None:
    """The mel equals a frame-by-frame computation in float64; only near-silent bands show float32's rounding."""
    samples, _ = librosa.load(default_speech(), sr=spec.mel.sample_rate, duration=1.0)
    expected = by_hand(samples, spec)
    mel = log_mel(samples, spec)
    assert mel.shape == (1, *expected.shape)
    assert mel.dtype is torch.float32
    difference = np.abs(mel[0].numpy() - expected)
    assert np.quantile(difference, 0.999) < 1e-4
    assert difference.max() < 1e-3


@SPECS
def test_frames_match_the_hop(spec: VocoderSpec) -> None:
    """A second of audio gives the spec's frames per second, rounded down."""
    mel = log_mel(torch.randn(3, spec.mel.sample_rate), spec)
    assert mel.shape == (3, 100, math.floor(spec.mel.frames_per_s))


@SPECS
def test_silence_in_speech_is_the_floor(spec: VocoderSpec) -> None:
    """Where there is no sound the mel holds ln(1e-5), as the vocoders learnt it."""
    samples = torch.zeros(spec.mel.sample_rate)
    samples[:100] = 0.5
    assert float(log_mel(samples, spec)[..., -1].max()) == pytest.approx(LOG_FLOOR)


@pytest.mark.parametrize(("rate", "new_rate"), [(22050, 24000), (44100, 32000), (48000, 24000), (16000, 32000)])
def test_resample_keeps_a_tone(rate: int, new_rate: int) -> None:
    """A tone below both Nyquist frequencies keeps its frequency, amplitude and phase."""
    frequency = 1000.0
    tone = torch.sin(2 * math.pi * frequency * torch.arange(rate, dtype=torch.float64) / rate).float()
    result = resample(tone[None], rate, new_rate)[0]
    expected = torch.sin(2 * math.pi * frequency * torch.arange(new_rate, dtype=torch.float64) / new_rate)
    assert len(result) == new_rate
    middle = slice(new_rate // 10, -new_rate // 10)
    assert float((result.double() - expected)[middle].abs().max()) < 2e-3


def test_resample_equals_torchaudio() -> None:
    """Resampling equals torchaudio's default, which GPT-SoVITS calls, where torchaudio is installed."""
    try:
        transforms = importlib.import_module("torchaudio.transforms")
    except Exception as error:  # noqa: BLE001 - it raises whatever its loader raises beside another torch
        pytest.skip(f"torchaudio cannot be imported: {type(error).__name__}")
    samples = read_audio(default_speech())[0][None]
    for new_rate in (24000, 32000):
        assert torch.equal(resample(samples, 22050, new_rate), transforms.Resample(22050, new_rate)(samples))


@SPECS
def test_file_and_array_agree(spec: VocoderSpec, tmp_path: Path) -> None:
    """A stereo file gives the mel of its channels' mean at its own rate."""
    left, rate = soundfile.read(default_speech(), dtype="float32", stop=22050)
    stereo = np.stack([left, np.zeros_like(left)], axis=1)
    soundfile.write(tmp_path / "stereo.wav", stereo, rate, subtype="FLOAT")
    from_file = log_mel(tmp_path / "stereo.wav", spec)
    assert torch.equal(from_file, log_mel(left / 2, spec, sample_rate=rate))


def test_unusable_audio(tmp_path: Path) -> None:
    """Missing, empty, silent, non-finite and too short audio each give one sentence."""
    text = tmp_path / "text.wav"
    text.write_text("no sound", encoding="utf-8")
    empty = tmp_path / "empty.wav"
    soundfile.write(empty, np.zeros(0, np.float32), 24000)
    for audio, sentence in (
        (tmp_path / "absent.wav", r"absent\.wav does not exist"),
        (text, r"text\.wav cannot be read"),
        (empty, r"empty\.wav is empty"),
        (np.zeros(0), "audio is empty"),
        (np.zeros((1, 1, 9)), "audio is empty"),
        (np.zeros(24000), "all zeros"),
        (np.array([0.1, np.nan] * 9000), "NaN"),
        (np.array([0.1, np.inf] * 9000), "NaN or infinite"),
        (np.ones(1023), "lasts 43 ms, less than one mel window"),
    ):
        with pytest.raises(InputError, match=sentence) as caught:
            log_mel(audio, V3)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="sample rate of 0 Hz"):
        log_mel(np.ones(2000), V3, sample_rate=0)


def test_speech_mels_tile_and_differ() -> None:
    """Inputs have the wanted shape at any length, repeat the speech, and differ between batch items."""
    mel = log_mel(default_speech(), V3)
    for batch, frames in ((1, 1), (4, 23), (3, 2 * mel.shape[-1] + 5)):
        inputs = speech_mels(mel, batch, frames)
        assert inputs.shape == (batch, 100, frames)
        assert inputs.is_contiguous()
        assert len({tuple(item[:, 0].tolist()) for item in inputs}) == batch
    assert torch.equal(inputs[0, :, 0], inputs[0, :, mel.shape[-1]])
    assert torch.equal(inputs[0, :, :5], mel[0][:, mel.shape[-1] // 3 :][:, :5])


def test_carried_speech_is_speech() -> None:
    """The clip in the repository has the log-mel statistics that speech has."""
    mel = log_mel(default_speech(), V3)
    assert -7.5 < float(mel.mean()) < -4.5
    assert 2.0 < float(mel.std()) < 3.5
    assert float(mel.min()) == pytest.approx(LOG_FLOOR)
    assert 0 < float(mel.max()) < 2
    assert audio_identity(default_speech()).startswith("speech.flac sha256:")
