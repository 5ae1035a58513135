"""The mels that a runner's sound is judged on: speech as it comes to a vocoder, and its hard cases."""

import math
from fractions import Fraction
from functools import cached_property

import torch
from torch import Tensor

from bench.audio.mel import (
    HIGHER_VOICE,
    LOG_FLOOR,
    audio_identity,
    default_speech,
    log_mel,
    read_audio,
    speech_mels,
)
from bench.files import user_path
from bench.spec import VocoderSpec

LOUD_DB, QUIET_DB = 12.0, -30.0
# Frames of a length that no engine was tuned for, over the case's.
ODD_LENGTH = 0.7


class Voice:
    """A run's speech as one vocoder takes it.

    Attributes:
        path: The sound file.
        spec: Whose mels.
        speech: The log-mel ``(1, bands, n)``.
        identity: Name and digest of the sound file, for records.

    Args:
        audio: Sound file; None for the clip that the project carries.
        spec: Whose mels.

    Raises:
        InputError: the sound file cannot be used; see :func:`bench.audio.mel.log_mel`.
    """

    def __init__(self, audio: str | None, spec: VocoderSpec) -> None:
        self.path = default_speech() if audio is None else user_path(audio, "audio")
        self.spec = spec
        self.speech = log_mel(self.path, spec)
        self.identity = audio_identity(self.path)

    @cached_property
    def _higher(self) -> Tensor:
        """The log-mel ``(1, bands, n)`` of a voice a fourth higher: the clip played faster, formants and all."""
        samples, rate = read_audio(self.path)
        return log_mel(samples, self.spec, Fraction(rate) * HIGHER_VOICE)

    def mel(self, batch: int, frames: int) -> Tensor:
        """The input of a case, float32 ``(batch, bands, frames)``; see :func:`bench.audio.mel.speech_mels`."""
        return speech_mels(self.speech, batch, frames)

    def inputs(self, batch: int, frames: int) -> dict[str, Tensor]:
        """Inputs by name, the run's own speech first.

        Args:
            batch: Items.
            frames: Frames of each.

        Returns:
            float32 ``(batch, bands, frames)`` each: ``speech``, ``other speech`` (a later stretch), ``higher
            voice``, ``loud``, ``quiet``, ``pause`` (silence in the middle), ``silence``, and ``other length``,
            which is shorter.
        """
        mel = self.speech
        speech = self.mel(batch, frames)
        later = speech_mels(mel.roll(-max(frames, mel.shape[-1] // 5), dims=-1), batch, frames)
        pause = speech.clone()
        pause[..., frames // 3 : frames - frames // 3] = LOG_FLOOR
        return {
            "speech": speech,
            "other speech": later,
            "higher voice": speech_mels(self._higher, batch, frames),
            "loud": _gain(later, LOUD_DB),
            "quiet": _gain(speech, QUIET_DB),
            "pause": pause,
            "silence": torch.full_like(speech, LOG_FLOOR),
            "other length": speech_mels(mel, batch, max(1, math.ceil(ODD_LENGTH * frames))),
        }


def _gain(mel: Tensor, gain_db: float) -> Tensor:
    """A log-mel of the same sound, louder or quieter; a band at the floor holds no sound and stays there."""
    louder = (mel + gain_db * math.log(10) / 20).clamp(min=LOG_FLOOR)
    return torch.where(mel > LOG_FLOOR + 1e-4, louder, mel)
