"""Whether an answer is the request's own sound."""

import io
from dataclasses import dataclass, field

import numpy as np
import soundfile
from numpy.typing import NDArray

from bench.errors import WrongOutputError

Samples = NDArray[np.float32]
# An answer under load may have twice the error of the one without load: batches take other kernels.
LOSS_DB = 6.0
# Over this an SNR says nothing about whose sound it is; 16-bit samples end not far above.
ENOUGH_DB = 40.0
# Another speaker's sentence has an SNR of around -3 dB.
LEAST_DB = 10.0
# Right answers of an utterance that are kept whole: later ones are compared byte by byte first.
_KEPT = 8


def snr_db(reference: Samples, found: Samples) -> float:
    """Signal over difference; 0 samples in common length count as a difference.

    >>> round(snr_db(np.ones(4, np.float32), np.full(4, 0.9, np.float32)))
    20
    """
    if reference.shape != found.shape:
        return -np.inf
    signal = float(np.square(reference, dtype=np.float64).sum())
    noise = float(np.square(reference.astype(np.float64) - found).sum())
    return np.inf if noise == 0 else 10 * float(np.log10(signal / noise)) if signal else -np.inf


@dataclass
class Checker:
    """Compares answers with their references.

    Attributes:
        references: float32 ``(samples,)`` of each utterance.
        alone_db: SNR of each utterance's answer without load, as :meth:`alone` found it.
        checked, wrong: Counts.
    """

    references: list[Samples]
    alone_db: dict[int, float] = field(default_factory=dict)
    checked: int = 0
    wrong: int = 0
    _seen: dict[int, list[bytes]] = field(default_factory=dict)

    def alone(self, item: int, wav: bytes) -> None:
        """Takes an answer without load as what load is held against.

        Raises:
            WrongOutputError: it is not the utterance's sound.
        """
        found = snr_db(self.references[item], samples_of(wav))
        if found < LEAST_DB:
            raise WrongOutputError(f"without load the service's answer is {found:.1f} dB from the reference.")
        self.alone_db[item] = found

    def right(self, item: int, wav: bytes) -> bool:
        """Whether an answer under load is the utterance's own."""
        self.checked += 1
        kept = self._seen.setdefault(item, [])
        if wav in kept:
            return True
        least = min(self.alone_db[item], ENOUGH_DB) - LOSS_DB
        good = snr_db(self.references[item], samples_of(wav)) >= least
        if good and len(kept) < _KEPT:
            kept.append(wav)
        self.wrong += not good
        return good


def samples_of(wav: bytes) -> Samples:
    """The samples of a WAV, also of one whose header names no length; none where it is no WAV."""
    try:
        found: Samples = soundfile.read(io.BytesIO(wav), dtype="float32")[0]
    except soundfile.SoundFileError:
        return np.zeros(0, np.float32)
    return found
