"""One table of metrics, and what is made of it."""

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bench.serve.metrics import DEFINITIONS, Metrics, Tally, Type, table
from tests.docs import ROOT


def test_everything_defined_is_exported() -> None:
    """Prometheus's own parser reads every metric back, with its type and help."""
    families = {one.name: one for one in text_string_to_metric_families(Metrics().text().decode())}
    for one in DEFINITIONS:
        family = families[one.name.removesuffix("_total")]
        assert (family.type, family.documentation) == (one.type.value, one.help)


def test_names_follow_prometheus() -> None:
    """One prefix; a counter ends in _total and nothing else does; a histogram has ascending buckets."""
    for one in DEFINITIONS:
        assert re.fullmatch(r"vocoder_[a-z_]+", one.name)
        assert one.name.endswith("_total") == (one.type is Type.COUNTER)
        assert bool(one.buckets) == (one.type is Type.HISTOGRAM)
        assert list(one.buckets) == sorted(set(one.buckets))


def test_values() -> None:
    """Counters add, gauges are set, histograms count; a wrong kind of use is refused."""
    metrics = Metrics()
    metrics.add("vocoder_requests_total", mode="whole", code=200)
    metrics.add("vocoder_requests_total", 2, mode="whole", code=200)
    metrics.set("vocoder_queue_items", 7, worker="0")
    metrics.observe("vocoder_queue_seconds", 0.3)
    assert metrics.value("vocoder_requests_total", mode="whole", code=200) == 3
    assert metrics.value("vocoder_queue_items", worker="0") == 7
    assert metrics.value("vocoder_queue_seconds_sum") == 0.3
    with pytest.raises(TypeError, match="vocoder_queue_seconds is a histogram"):
        metrics.add("vocoder_queue_seconds")


def test_the_page_has_the_table() -> None:
    """docs/serve.md shows the definitions as they are."""
    assert table() in (ROOT / "docs" / "serve.md").read_text(encoding="utf-8")


def test_a_tally_is_counted_elsewhere() -> None:
    """What one process counts is the same in another's metrics, under the worker's own name, and once."""
    tally, found = Tally(), Metrics()
    tally.add("vocoder_fallbacks_total", backend="fused")
    tally.observe("vocoder_batch_seconds", 0.5, worker="0")
    tally.set("vocoder_queue_items", 3, worker="0")
    tally.set("vocoder_worker_ready", 1, worker="0", device="cpu")
    for _ in range(2):
        found.take(tally.drain(), worker="abc", without="vocoder_worker_ready")
    assert found.value("vocoder_fallbacks_total", backend="fused") == 1
    assert found.value("vocoder_batch_seconds_sum", worker="abc") == 0.5
    assert found.value("vocoder_queue_items", worker="abc") == 3
    assert b"vocoder_worker_ready{" not in found.text()
