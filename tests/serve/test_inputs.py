"""Bodies: what is read, and that nothing else is believed."""

import io
import pickle

import numpy as np
import pytest
import safetensors.numpy
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench.audio.mel import log_mel
from bench.serve.inputs import NPY, READERS, SAFETENSORS, WAV, BadRequestError, read_mel
from bench.spec import V3
from tests.serve.running import mel, npy


def wav(samples: NDArray[np.float32], rate: int = 24_000) -> bytes:
    """A sound file."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="FLOAT")
    return file.getvalue()


def tone(seconds: float, rate: int = 24_000) -> NDArray[np.float32]:
    """A sine."""
    found: NDArray[np.float32] = (0.3 * np.sin(np.arange(int(seconds * rate)) * 0.05)).astype(np.float32)
    return found


@pytest.mark.parametrize("dtype", ["<f2", "<f4", ">f4", "<f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy(dtype: str, order: str) -> None:
    """Every float type and order, with or without a batch of one."""
    given_mel = mel(7)
    body = npy(np.asarray(given_mel, dtype=dtype, order="F" if order == "F" else "C"))
    expected = given_mel.astype(dtype).astype(np.float32)
    assert np.array_equal(read_mel(body, NPY, V3, 10), expected)
    assert np.array_equal(read_mel(npy(given_mel[None]), NPY, V3, 10), given_mel)


def test_safetensors() -> None:
    """The only tensor, or that called mel."""
    given_mel = mel(7)
    one = safetensors.numpy.save({"x": given_mel})
    two = safetensors.numpy.save({"x": given_mel * 0, "mel": given_mel.astype(np.float16)})
    assert np.array_equal(read_mel(one, SAFETENSORS, V3, 10), given_mel)
    assert np.array_equal(read_mel(two, SAFETENSORS, V3, 10), given_mel.astype(np.float16).astype(np.float32))


def test_sound() -> None:
    """A WAV of another rate becomes the vocoder's mel."""
    samples = tone(0.4, 16_000)
    expected = log_mel(samples, V3, 16_000)[0].numpy()
    assert np.allclose(read_mel(wav(samples, 16_000), WAV, V3, 100), expected, atol=1e-4)


def header_only(shape: tuple[int, ...], dtype: str = "<f4") -> bytes:
    """An npy file without its data."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file.getvalue()


def with_nan() -> NDArray[np.float32]:
    """A mel with one hole."""
    found = mel(4)
    found[3, 2] = np.nan
    return found


@pytest.mark.parametrize(
    ("body", "media_type", "status"),
    [
        (b"", "text/plain", 415),
        (b"", "", 415),
        (b"", NPY, 400),
        (b"\x93NUMPY\x03\x00", NPY, 400),
        (pickle.dumps(mel(3)), NPY, 400),
        (header_only((100, 10**15)), NPY, 400),
        (header_only((100, -1)), NPY, 422),
        (header_only((1,) * 9), NPY, 422),
        (npy(mel(3))[:-1], NPY, 400),
        (npy(mel(3)) + b"x", NPY, 400),
        (npy(np.array([{}], dtype=object)), NPY, 422),
        (npy(np.zeros((100, 3), np.complex64)), NPY, 422),
        (npy(np.zeros((80, 3), np.float32)), NPY, 422),
        (npy(np.zeros((100, 0), np.float32)), NPY, 422),
        (npy(np.zeros((2, 100, 3), np.float32)), NPY, 422),
        (npy(with_nan()), NPY, 422),
        (npy(mel(3) * 1e6), NPY, 422),
        (npy(mel(11)), NPY, 413),
        (b"\xff" * 20, SAFETENSORS, 400),
        (safetensors.numpy.save({"a": mel(3), "b": mel(3)}), SAFETENSORS, 422),
        (safetensors.numpy.save({"mel": np.zeros((100, 3), np.int32)}), SAFETENSORS, 422),
        (b"RIFF....WAVE", WAV, 400),
        (wav(tone(0.01)), WAV, 422),
        (wav(np.zeros(2000, np.float32)), WAV, 422),
        (wav(tone(0.1), 1000), WAV, 422),
        (wav(tone(3.0)), WAV, 413),
    ],
)
def test_what_is_wrong_has_its_status(body: bytes, media_type: str, status: int) -> None:
    """One sentence each, and no memory for what a header claims."""
    with pytest.raises(BadRequestError) as caught:
        read_mel(body, media_type, V3, 10)
    assert caught.value.status == status


@settings(deadline=None)
@given(st.sampled_from(sorted(READERS)), st.binary(max_size=200), st.integers(0, 400))
def test_spoilt_bodies_are_refused_or_read(media_type: str, noise: bytes, place: int) -> None:
    """A right file with noise written over it is a mel or a refusal, nothing else."""
    right = {NPY: npy(mel(2)), SAFETENSORS: safetensors.numpy.save({"m": mel(2)}), WAV: wav(tone(0.06))}[media_type]
    body = right[:place] + noise + right[place + len(noise) :]
    try:
        found = read_mel(body, media_type, V3, 10)
    except BadRequestError:
        return
    assert found.shape[0] == 100
    assert np.isfinite(found).all()
