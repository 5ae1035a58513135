"""WAV as libsndfile reads it."""

import io

import numpy as np
import pytest
import soundfile

from bench.serve.wav import ENCODINGS, decode, encode, header


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_another_reader_agrees(encoding: str) -> None:
    """Rate, channel, length and samples are those that libsndfile finds, within a step of 16 bits."""
    wave = np.linspace(-1, 1, 1001, dtype=np.float32)
    data = header(48_000, encoding, len(wave)) + encode(wave, encoding)
    found, rate = soundfile.read(io.BytesIO(data), dtype="float32")
    # libsndfile divides by 32768, which takes away up to another step.
    step = 0 if encoding == "float32" else 1 / 32767
    assert (rate, found.shape) == (48_000, wave.shape)
    assert np.abs(found - wave).max() <= 2 * step
    assert np.abs(decode(encode(wave, encoding), encoding) - wave).max() <= step / 2 + 1e-7


def test_an_open_end_is_read_to_the_end() -> None:
    """A stream's header names no length, and a reader takes what is there."""
    data = header(24_000, "pcm16") + encode(np.full(480, 0.5, np.float32), "pcm16")
    found, _ = soundfile.read(io.BytesIO(data), dtype="float32")
    assert len(found) == 480


def test_too_loud_is_clipped() -> None:
    """Beyond full scale the sign stays."""
    assert decode(encode(np.array([-3, 3], np.float32), "pcm16"), "pcm16").tolist() == [-1.0, 1.0]
