"""Sound files to listen to: what was expected, what came, and the difference between them made audible."""

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import ArrayLike, NDArray

from bench.errors import InputError
from bench.files import file_name

DIFFERENCE_GAIN_DB = 40.0


def to_pcm16(signal: ArrayLike) -> NDArray[np.int16]:
    """Floats with full scale 1 to 16-bit samples, rounded; what is beyond full scale is clipped and never wraps.

    >>> to_pcm16([0.5, 1.0, -1.0, 7.0]).tolist()
    [16384, 32767, -32768, 32767]
    """
    scaled = np.round(np.asarray(signal, np.float64) * 32768.0)
    return np.clip(scaled, -32768, 32767).astype(np.int16)


def write_listening_files(
    reference: ArrayLike, test: ArrayLike, sample_rate: int, directory: Path, stem: str
) -> dict[str, str]:
    """Writes ``STEM.reference.wav``, ``STEM.test.wav`` and ``STEM.difference.wav``, PCM 16.

    The difference is test minus reference, 40 dB louder, clipped at full scale.

    Args:
        reference: Finite floats ``(samples,)``.
        test: Same shape.
        sample_rate: Hz.
        directory: Made if it is not there.
        stem: First part of the file names, such as a case's id; what no file may be called is replaced.

    Returns:
        File names relative to ``directory``, by role: ``reference``, ``test``, ``difference``.

    Raises:
        InputError: shapes that differ or are not ``(samples,)``, or a signal that is not finite.
    """
    signals = {"reference": np.asarray(reference, np.float64), "test": np.asarray(test, np.float64)}
    shapes = {signal.shape for signal in signals.values()}
    if len(shapes) != 1 or signals["test"].ndim != 1:
        raise InputError(f"sound files of {stem} need two signals (samples,) of one length, not {shapes}")
    for name, signal in signals.items():
        if not np.isfinite(signal).all():
            raise InputError(f"the {name} of {stem} holds NaN or infinity and has no sound file")
    signals["difference"] = (signals["test"] - signals["reference"]) * 10.0 ** (DIFFERENCE_GAIN_DB / 20.0)
    directory.mkdir(parents=True, exist_ok=True)
    names = {role: f"{file_name(stem)}.{role}.wav" for role in signals}
    for role, signal in signals.items():
        soundfile.write(directory / names[role], to_pcm16(signal), sample_rate, subtype="PCM_16")
    return names
