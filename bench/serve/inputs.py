"""Bodies of requests, taken for untrusted: npy without pickle, safetensors or a sound file, to a log-mel."""

import io
from collections.abc import Callable
from tokenize import TokenError

import numpy as np
import safetensors
import safetensors.numpy
import soundfile
import torch
from numpy.typing import NDArray

from bench.audio.mel import MAX_CHANNELS, MAX_RATE, MIN_RATE, log_mel
from bench.errors import InputError
from bench.spec import VocoderSpec

NPY, SAFETENSORS, WAV = "application/x-npy", "application/safetensors", "audio/wav"
# A natural logarithm of a magnitude: the floor is -11.5, and a full-scale tone stays under 10.
MEL_LIMIT = 50.0
_HEADER_LIMIT = 4096
# What numpy raises at a header that is none, which it takes for Python's source; a warning where those are errors.
_NO_HEADER = (
    ValueError,
    LookupError,
    SyntaxError,
    TypeError,
    RecursionError,
    MemoryError,
    OverflowError,
    TokenError,
    UserWarning,
)
Mel = NDArray[np.float32]


class BadRequestError(InputError):
    """A body that cannot be used.

    Attributes:
        status: The HTTP status that says so.
    """

    def __init__(self, sentence: str, status: int = 422) -> None:
        super().__init__(sentence)
        self.status = status


def read_mel(body: bytes, media_type: str, spec: VocoderSpec, most_frames: int) -> Mel:
    """The log-mel of a body.

    Args:
        body: All of it.
        media_type: One of :data:`READERS`, without parameters.
        spec: Whose mel.
        most_frames: Longest mel.

    Returns:
        float32 ``(bands, frames)``, finite.

    Raises:
        BadRequestError: another type (415), not such a file (400), too long (413), or a mel that the vocoder cannot
            take (422).
    """
    reader = READERS.get(media_type)
    if reader is None:
        raise BadRequestError(f"the content type is one of {', '.join(READERS)}, not {media_type!r}", 415)
    array = reader(body, spec, most_frames)
    if array.ndim == 3 and array.shape[0] == 1:
        array = array[0]
    if array.ndim != 2 or array.shape[0] != spec.bands or array.shape[1] < 1:
        raise BadRequestError(f"a mel has the shape ({spec.bands}, frames), not {tuple(array.shape)}")
    if array.shape[1] > most_frames:
        raise BadRequestError(f"a mel has at most {most_frames} frames here, not {array.shape[1]}", 413)
    # A copy where the array is a view of the body, which nobody may write to.
    mel = np.require(array, np.float32, ["C", "W"])
    if not np.isfinite(mel).all() or np.abs(mel).max() > MEL_LIMIT:
        raise BadRequestError(f"a log-mel holds finite values within {MEL_LIMIT:g} of 0")
    return mel


def _npy(body: bytes, _: VocoderSpec, __: int) -> NDArray[np.generic]:
    """The array of an npy file, whose header is believed only as far as the body holds the data."""
    file = io.BytesIO(body)
    try:
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, fortran, dtype = read(file, max_header_size=_HEADER_LIMIT)
    except _NO_HEADER as error:
        raise BadRequestError("the body is no npy file of version 1 or 2", 400) from error
    if dtype.kind != "f" or dtype.itemsize not in (2, 4, 8):
        raise BadRequestError(f"a mel is float16, float32 or float64, not {dtype}")
    if len(shape) > 3 or any(size < 0 for size in shape):
        raise BadRequestError(f"a mel has two dimensions, not {len(shape)}")
    data = body[file.tell() :]
    count = 1
    for size in shape:
        count *= size
    if len(data) != count * dtype.itemsize:
        raise BadRequestError(f"the npy file holds {len(data)} bytes of data, and its header says otherwise", 400)
    array: NDArray[np.generic] = np.frombuffer(data, dtype=dtype).reshape(shape, order="F" if fortran else "C")
    return array


def _safetensors(body: bytes, _: VocoderSpec, __: int) -> NDArray[np.generic]:
    """The tensor called ``mel``, or the only one."""
    try:
        tensors = safetensors.numpy.load(body)
    except (safetensors.SafetensorError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadRequestError("the body is no safetensors file of numpy's data types", 400) from error
    array = tensors.get("mel") if len(tensors) != 1 else next(iter(tensors.values()))
    if array is None:
        raise BadRequestError("the safetensors file has no tensor called 'mel'")
    if array.dtype.kind != "f":
        raise BadRequestError(f"a mel is float16, float32 or float64, not {array.dtype}")
    found: NDArray[np.generic] = array
    return found


def _sound(body: bytes, spec: VocoderSpec, most_frames: int) -> NDArray[np.generic]:
    """The log-mel of a sound file, of which one second more than the longest mel is decoded at most."""
    try:
        with soundfile.SoundFile(io.BytesIO(body)) as sound:
            rate, channels = int(sound.samplerate), int(sound.channels)
            if not MIN_RATE <= rate <= MAX_RATE or not 1 <= channels <= MAX_CHANNELS:
                raise BadRequestError(
                    f"sound has {MIN_RATE} to {MAX_RATE} Hz and up to {MAX_CHANNELS} channels, "
                    f"not {rate} Hz and {channels}"
                )
            seconds = int(most_frames / spec.mel.frames_per_s) + 2
            parts = [sound.read(rate, dtype="float32", always_2d=True).mean(axis=1) for _ in range(seconds)]
    except (soundfile.SoundFileError, OSError, TypeError, ValueError) as error:
        if isinstance(error, BadRequestError):
            raise
        raise BadRequestError("the body is no sound file that libsndfile reads", 400) from error
    samples = np.concatenate(parts)
    if samples.size / rate * spec.mel.frames_per_s > most_frames + 1:
        raise BadRequestError(f"sound becomes at most {most_frames} mel frames here; give less", 413)
    try:
        with torch.inference_mode():
            mel: NDArray[np.float32] = log_mel(samples, spec, rate)[0].numpy()
    except InputError as error:
        raise BadRequestError(str(error)) from error
    return mel


READERS: dict[str, Callable[[bytes, VocoderSpec, int], NDArray[np.generic]]] = {
    NPY: _npy,
    SAFETENSORS: _safetensors,
    WAV: _sound,
}
