"""What a drop-in answered, counted, and exported to Prometheus where its client is installed."""

import functools
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Statistics:
    """What was answered since the vocoder was accelerated.

    Attributes:
        calls: Answered by the runner.
        audio_s: Seconds of audio of those.
        originals: Calls that GPT-SoVITS's own vocoder answered, by reason.
        refused: Calls that ended in an error, by reason.
    """

    calls: int = 0
    audio_s: float = 0.0
    originals: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)


@functools.cache
def _exported() -> tuple[Any, Any] | None:
    """Prometheus's counters of calls and of audio, in its default registry; None where the client is not installed."""
    try:
        from prometheus_client import Counter as Exported
    except ModuleNotFoundError:
        return None
    labels = ("version", "answered_by", "reason")
    return (
        Exported("vocoder_dropin_calls", "Calls of the vocoder, by what answered and why.", labels),
        Exported("vocoder_dropin_audio_seconds", "Seconds of audio that the runner made.", ("version",)),
    )


class Counts:
    """Counts calls, from any thread.

    Args:
        version: Of the vocoder, a label of what is exported.
    """

    def __init__(self, version: str) -> None:
        self._version, self._lock = version, threading.Lock()
        self._calls, self._audio_s = 0, 0.0
        self._by: dict[str, Counter[str]] = {"original": Counter(), "nothing": Counter()}

    def answered(self, audio_s: float) -> None:
        """The runner answered with so much audio."""
        with self._lock:
            self._calls += 1
            self._audio_s += audio_s
        exported = _exported()
        if exported is not None:
            exported[0].labels(self._version, "runner", "").inc()
            exported[1].labels(self._version).inc(audio_s)

    def passed_on(self, reason: str, *, refused: bool) -> None:
        """GPT-SoVITS's own vocoder answered, or nothing did.

        Args:
            reason: A word such as ``length``.
            refused: Whether the call ended in an error.
        """
        by = "nothing" if refused else "original"
        with self._lock:
            self._by[by][reason] += 1
        exported = _exported()
        if exported is not None:
            exported[0].labels(self._version, by, reason).inc()

    def read(self) -> Statistics:
        """What was counted until now."""
        with self._lock:
            return Statistics(self._calls, self._audio_s, dict(self._by["original"]), dict(self._by["nothing"]))
