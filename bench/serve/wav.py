"""WAV as it is sent: a header, and samples as 16-bit integers or 32-bit floats."""

import struct

import numpy as np
from numpy.typing import NDArray

ENCODINGS = ("pcm16", "float32")
# What stands for a length that is not known yet; players read on to the end.
_OPEN = 0xFFFFFFFF


def header(sample_rate: int, encoding: str, samples: int | None = None) -> bytes:
    """The 44 bytes before the samples of one channel.

    Args:
        sample_rate: In Hz.
        encoding: One of :data:`ENCODINGS`.
        samples: How many follow; None where that is not known, as in a stream.

    >>> len(header(24000, "pcm16"))
    44
    """
    width, kind = (2, 1) if encoding == "pcm16" else (4, 3)
    size = _OPEN if samples is None else samples * width
    return b"".join(
        (
            struct.pack("<4sI4s", b"RIFF", _OPEN if samples is None else size + 36, b"WAVE"),
            struct.pack("<4sIHHIIHH", b"fmt ", 16, kind, 1, sample_rate, sample_rate * width, width, width * 8),
            struct.pack("<4sI", b"data", size),
        )
    )


def encode(wave: NDArray[np.float32], encoding: str) -> bytes:
    """Samples ``(n,)`` in [-1, 1] as bytes; what lies beyond is clipped in ``pcm16``."""
    if encoding == "float32":
        return wave.astype("<f4").tobytes()
    return (np.clip(wave, -1.0, 1.0) * 32767.0).round().astype("<i2").tobytes()


def decode(data: bytes, encoding: str) -> NDArray[np.float32]:
    """The samples of bytes from :func:`encode`."""
    if encoding == "float32":
        return np.frombuffer(data, dtype="<f4").astype(np.float32)
    return (np.frombuffer(data, dtype="<i2") / np.float32(32767.0)).astype(np.float32)
