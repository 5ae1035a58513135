"""Sound files from anywhere: usual rates take megabytes, and what cannot be used is one sentence."""

import math
import os
import struct
import subprocess
import sys
import wave
from fractions import Fraction
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
import torch

from bench.audio import mel as mels
from bench.audio.mel import LOG_FLOOR, audio_identity, default_speech, log_mel, mel_filters, read_audio, resample
from bench.audio.mel import speech_mels as stretches
from bench.audio.speech import Voice
from bench.errors import InputError
from bench.spec import V3, V4, MelSpec, VocoderSpec
from tests.conftest import ROOT


def voice(rate: int, seconds: float) -> np.ndarray:
    """Something like speech."""
    time = np.arange(round(rate * seconds)) / rate
    phase = np.cumsum(2 * np.pi * (120 + 30 * np.sin(4.4 * time)) / rate)
    harmonics = sum(np.sin(number * phase) / number for number in range(1, 12))
    return (0.1 * harmonics * np.clip(np.sin(14 * time) + 0.3, 0, None) + 0.003 * np.sin(9e3 * time)).astype(np.float32)


def header(rate: int, channels: int, data_bytes: int) -> bytes:
    """A WAV file's header with claims of its own."""
    form = struct.pack("<HHIIHH", 1, channels, rate, min(rate * channels * 2, 2**32 - 1), channels * 2, 16)
    size = struct.pack("<I", min(data_bytes + 36, 2**32 - 1))
    return b"RIFF" + size + b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", data_bytes)


MEASURED = """
import resource, sys
from bench.audio.speech import Voice
from bench.audio.mel import log_mel
from bench.errors import InputError
from bench.spec import V3, V4
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    for spec in (V3, V4):
        log_mel(sys.argv[1], spec)
        Voice(sys.argv[1], spec).inputs(1, 9)
except InputError as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def mebibytes(file: Path) -> int:
    """Memory that the inputs of both vocoders take, beyond what the imports do."""
    command = [sys.executable, "-c", MEASURED, str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120)
    return int(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("rate", [8000, 16000, 32000, 44100, 47999, 44099])
def test_every_rate_takes_some_hundred_megabytes(tmp_path: Path, rate: int) -> None:
    """GPT-SoVITS's own 32 kHz, telephones' and odd rates become all inputs of the sound suite."""
    file = tmp_path / "speech.wav"
    soundfile.write(file, voice(rate, 3), rate)
    assert mebibytes(file) < 500


def test_an_hour_is_read_to_its_first_minutes(tmp_path: Path) -> None:
    """A long file, also one that decodes to gigabytes from a few hundred kilobytes, takes no more than two minutes."""
    file = tmp_path / "hour.flac"
    with soundfile.SoundFile(file, "w", 48000, 8, format="FLAC") as sound:
        sound.write(np.repeat(voice(48000, 1)[:, None], 8, axis=1))
        silence = np.zeros((48000 * 10, 8), np.float32)
        for _ in range(20):
            sound.write(silence)
    samples, rate = read_audio(file)
    assert len(samples) == mels.MAX_SECONDS * rate
    assert mebibytes(file) < 900


@pytest.mark.parametrize(
    ("rate", "channels", "said"),
    [
        (1, 1, "a rate of 1 Hz; give one from 4000 to 384000 Hz"),
        (2**31 - 1, 1, "a rate of 2147483647 Hz"),
        (24000, 512, "512 channels; give 1 to 16"),
    ],
)
def test_rates_and_channels_that_no_recording_has(tmp_path: Path, rate: int, channels: int, said: str) -> None:
    """Refused from the header."""
    file = tmp_path / "x.wav"
    file.write_bytes(header(rate, channels, 20_000 * channels) + bytes(20_000 * channels))
    with pytest.raises(InputError, match=said):
        log_mel(file, V3)


def test_a_header_may_claim_what_it_will(tmp_path: Path) -> None:
    """Four GiB that are not there are not read, and what is there counts."""
    file = tmp_path / "x.wav"
    pcm = (voice(24000, 1) * 32767).astype("<i2").tobytes()
    file.write_bytes(header(24000, 1, 2**32 - 1) + pcm)
    assert len(read_audio(file)[0]) <= 24000
    assert mebibytes(file) < 300


def test_files_that_are_no_sound(tmp_path: Path) -> None:
    """Folders, pipes, devices, raw samples and text are each one sentence with the file's name."""
    raw = tmp_path / "x.raw"
    raw.write_bytes(bytes(range(256)) * 100)
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "zero.wav").symlink_to("/dev/zero")
    (tmp_path / "loop.wav").symlink_to(tmp_path / "loop.wav")
    for file, said in (
        (raw, "cannot be read; give a WAV"),
        (tmp_path, "is a folder; give a regular file"),
        (tmp_path / "pipe.wav", "is a pipe"),
        (tmp_path / "zero.wav", "is a device"),
        (tmp_path / "loop.wav", "leads back to itself"),
        (tmp_path / "none.wav", "does not exist"),
    ):
        for read in (read_audio, audio_identity):
            if (file, read) == (raw, audio_identity):
                continue
            with pytest.raises(InputError, match=said) as caught:
                read(file)
            assert str(file) in str(caught.value)


def test_a_raw_name_with_sound_in_it_is_read(tmp_path: Path) -> None:
    """A file is what it holds, whatever its name ends with."""
    file = tmp_path / "speech.raw"
    file.write_bytes(default_speech().read_bytes())
    assert torch.equal(log_mel(file, V3), log_mel(default_speech(), V3))


@pytest.mark.parametrize("milliseconds", [30, 41, 50, 56])
def test_a_clip_is_long_enough_for_every_input_or_refused_at_the_start(tmp_path: Path, milliseconds: int) -> None:
    """The higher voice is shorter than the clip; a clip too short for it is refused where it is first read."""
    file = tmp_path / "short.wav"
    soundfile.write(file, voice(24000, milliseconds / 1000), 24000)
    with pytest.raises(InputError, match=r"lasts \d\d ms, less than one mel window of it played a third faster"):
        log_mel(file, V3)


@pytest.mark.parametrize("spec", [V3, V4], ids=["v3", "v4"])
def test_the_shortest_clip_makes_every_input(tmp_path: Path, spec: VocoderSpec) -> None:
    """What passes the start passes everything."""
    file = tmp_path / "short.wav"
    soundfile.write(file, voice(24000, 0.058), 24000)
    assert len(Voice(str(file), spec).inputs(1, 9)) == 8


def test_names_are_shown_without_what_no_terminal_should_see(tmp_path: Path) -> None:
    """A file whose name is not UTF-8 or holds an escape sequence is read, and its identity can be written."""
    file = tmp_path / "a\udcd3\udcc3\x1b[31m.flac"
    file.write_bytes(default_speech().read_bytes())
    assert torch.equal(log_mel(file, V3), log_mel(default_speech(), V3))
    assert audio_identity(file).startswith("a\ufffd\ufffd\ufffd[31m.flac sha256:")
    audio_identity(file).encode()


@pytest.mark.parametrize(("rate", "new_rate"), [(44099, 24000), (47999, 32000), (16001, 24000), (383_999, 32000)])
def test_rates_without_a_common_divisor_keep_a_tone(rate: int, new_rate: int) -> None:
    """The nearest ratio keeps frequency and amplitude, and over a tenth of a second the phase."""
    tone = torch.sin(2 * math.pi * 1000.0 * torch.arange(rate, dtype=torch.float64) / rate).float()
    result = resample(tone[None], rate, new_rate)[0]
    expected = torch.sin(2 * math.pi * 1000.0 * torch.arange(len(result), dtype=torch.float64) / new_rate)
    assert abs(len(result) - new_rate) <= 3
    middle = slice(new_rate // 100, new_rate // 10)
    assert float((result.double() - expected)[middle].abs().max()) < 0.05


@pytest.mark.parametrize("new_rate", [24000, 32000])
def test_usual_rates_are_resampled_at_their_exact_ratio(new_rate: int) -> None:
    """Rates with a common divisor of 25 Hz, and each of them a fourth higher, keep the kernel of their ratio."""
    for rate in (8000, 11025, 16000, 22050, 32000, 44100, 48000, 88200, 96000, 192000):
        for played in (Fraction(rate), rate * mels.HIGHER_VOICE):
            assert Fraction(*mels._ratio(played, new_rate)) == played / new_rate


@pytest.mark.parametrize("rate", range(4001, 384_000, 37_199))
def test_the_nearest_ratio_is_near(rate: int) -> None:
    """Less than 1 in 10,000 away at any rate that is read."""
    for new_rate in (24000, 32000):
        for played in (Fraction(rate), rate * mels.HIGHER_VOICE):
            found = Fraction(*mels._ratio(played, new_rate)) / (played / new_rate)
            assert abs(float(found) - 1) < 1e-4


@pytest.mark.parametrize(
    "mel",
    [V3.mel, V4.mel, MelSpec(44100, 2048, 2048, 512, 80, 20.0, 8000.0), MelSpec(16000, 400, 400, 160, 40, 1500.0)],
)
def test_the_filters_are_librosas(mel: MelSpec) -> None:
    """The same bits."""
    expected = librosa.filters.mel(sr=mel.sample_rate, n_fft=mel.n_fft, n_mels=mel.bands, fmin=mel.fmin, fmax=mel.fmax)
    assert np.array_equal(mel_filters(mel), expected)


def test_mels_need_no_compiler() -> None:
    """Importing what a speed case needs brings no numba, which wants a folder to write to."""
    code = "import sys, bench.audio.speech, bench.vocoders; sys.exit('numba' in sys.modules or 'pooch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=120)


def test_a_stretch_avoids_digital_silence(tmp_path: Path) -> None:
    """Where a short case would begin inside a pause of zeros, it begins where the sound comes back."""
    file = tmp_path / "gap.wav"
    samples = voice(24000, 3)
    samples[21600:31200] = 0
    soundfile.write(file, samples, 24000)
    mel = log_mel(file, V3)
    assert float(mel[..., mel.shape[-1] // 3 : mel.shape[-1] // 3 + 9].max()) == pytest.approx(LOG_FLOOR)
    for batch in (1, 3):
        assert (stretches(mel, batch, 9).amax(dim=(1, 2)) > LOG_FLOOR + 1).all()
    silent = torch.full((1, 100, 50), LOG_FLOOR)
    assert torch.equal(stretches(silent, 2, 9), silent[..., :9].repeat(2, 1, 1))


def test_a_pause_that_a_stretch_only_touches_stays() -> None:
    """Speech with a pause in it is what a vocoder gets; only a stretch of nothing but zeros moves."""
    mel = torch.full((1, 100, 90), LOG_FLOOR)
    mel[..., 35:] = -3.0
    assert torch.equal(stretches(mel, 1, 9)[0, 0], torch.tensor([LOG_FLOOR] * 5 + [-3.0] * 4))
    assert torch.equal(stretches(mel, 1, 5)[0, 0], torch.full((5,), -3.0))


def test_sound_that_wave_writes_is_read(tmp_path: Path) -> None:
    """24 bits, as recorders write."""
    with wave.open(str(tmp_path / "x.wav"), "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(3)
        out.setframerate(48000)
        out.writeframes(bytes(range(1, 7)) * 48000)
    samples, rate = read_audio(tmp_path / "x.wav")
    assert (len(samples), rate) == (48000, 48000)
