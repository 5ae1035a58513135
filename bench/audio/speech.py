"""The mels that a runner's sound is judged on: speech as it comes to a vocoder, and its hard cases."""

import math
from fractions import Fraction
from functools import lru_cache

import torch
from torch import Tensor

from bench.audio.mel import HIGHER_VOICE, LOG_FLOOR, default_speech, log_mel, read_audio, speech_mels
from bench.spec import VocoderSpec

LOUD_DB, QUIET_DB = 12.0, -30.0
# Frames of a length that no engine was tuned for, over the case's.
ODD_LENGTH = 0.7


@lru_cache(maxsize=4)
def _higher_voice(audio: str | None, spec: VocoderSpec) -> Tensor:
    """A voice a fourth higher: the clip played faster, formants and all."""
    samples, rate = read_audio(default_speech() if audio is None else audio)
    return log_mel(samples, spec, Fraction(rate) * HIGHER_VOICE)


@lru_cache(maxsize=4)
def _voice(audio: str | None, spec: VocoderSpec) -> Tensor:
    return log_mel(default_speech() if audio is None else audio, spec)


def speech_inputs(audio: str | None, spec: VocoderSpec, batch: int, frames: int) -> dict[str, Tensor]:
    """Inputs by name, the run's own speech first.

    Args:
        audio: Sound file; None for the clip that the project carries.
        spec: Whose mels.
        batch: Items.
        frames: Frames of each.

    Returns:
        float32 ``(batch, bands, frames)`` each: ``speech``, ``other speech`` (a later stretch), ``higher voice``,
        ``loud``, ``quiet``, ``pause`` (silence in the middle), ``silence``, and ``other length``, which is shorter.
    """
    mel = _voice(audio, spec)
    speech = speech_mels(mel, batch, frames)
    later = speech_mels(mel.roll(-max(frames, mel.shape[-1] // 5), dims=-1), batch, frames)
    pause = speech.clone()
    pause[..., frames // 3 : frames - frames // 3] = LOG_FLOOR
    return {
        "speech": speech,
        "other speech": later,
        "higher voice": speech_mels(_higher_voice(audio, spec), batch, frames),
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
