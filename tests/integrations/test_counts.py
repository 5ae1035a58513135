"""Calls are counted, and exported where Prometheus's client is installed."""

import builtins
from typing import Any

import pytest

from bench.integrations import counts
from bench.integrations.counts import Counts, Statistics


def exported(name: str, **labels: str) -> float:
    """A figure of Prometheus's default registry; 0 where it was never counted."""
    client = pytest.importorskip("prometheus_client", reason="the client is an extra")
    return client.REGISTRY.get_sample_value(name, labels) or 0.0


def test_what_is_counted_is_exported() -> None:
    """Answers, originals and refusals by reason, here and in Prometheus's registry alike."""

    def calls(by: str, reason: str) -> float:
        return exported("vocoder_dropin_calls_total", version="v4", answered_by=by, reason=reason)

    before = [calls("runner", ""), calls("original", "length"), calls("nothing", "length")]
    audio = exported("vocoder_dropin_audio_seconds_total", version="v4")
    counted = Counts("v4")
    counted.answered(1.5)
    counted.answered(0.5)
    counted.passed_on("length", refused=False)
    counted.passed_on("length", refused=True)
    assert counted.read() == Statistics(2, 2.0, {"length": 1}, {"length": 1})
    after = [calls("runner", ""), calls("original", "length"), calls("nothing", "length")]
    assert [now - then for now, then in zip(after, before, strict=True)] == [2, 1, 1]
    assert exported("vocoder_dropin_audio_seconds_total", version="v4") - audio == pytest.approx(2.0)


def test_without_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counting works the same."""
    real = builtins.__import__

    def absent(name: str, *arguments: Any, **named: Any) -> Any:
        if name == "prometheus_client":
            raise ModuleNotFoundError(name=name)
        return real(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", absent)
    monkeypatch.setattr(counts, "_exported", counts._exported.__wrapped__)
    counted = Counts("v3")
    counted.answered(1.0)
    counted.passed_on("length", refused=True)
    assert counted.read() == Statistics(1, 1.0, {}, {"length": 1})
