"""Everything that the service exports to Prometheus, in one table: name, kind, labels, buckets and meaning."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
# vllm-omni's, and faster ones: a vocoder is one part of speech synthesis.
_RTF = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0, 1.25, 1.5, 2.0, 5.0, 10.0)
_FRAMES = (16.0, 64.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0, 16384.0)
_ITEMS = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0)
# What a tally keeps at most, should nobody ask for it.
_KEPT = 10_000


class Type(StrEnum):
    """Prometheus's types."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True)
class Definition:
    """One metric.

    Attributes:
        name: As it is scraped, without the endings that Prometheus adds.
        type: Of Prometheus.
        help: One sentence.
        labels: Names of its labels.
        buckets: Upper edges of a histogram's buckets.
    """

    name: str
    type: Type
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


_C, _G, _H = Type.COUNTER, Type.GAUGE, Type.HISTOGRAM
DEFINITIONS = (
    Definition(
        "vocoder_requests_total", _C, "Requests by mode and status; 499 for one that was cancelled.", ("mode", "code")
    ),
    Definition("vocoder_request_seconds", _H, "From a request's first byte to its answer's last.", ("mode",), _SECONDS),
    Definition(
        "vocoder_audio_ttfp_seconds", _H, "From a request's first byte to the first audio.", ("mode",), _SECONDS
    ),
    Definition("vocoder_audio_rtf", _H, "Seconds of a request over seconds of its audio.", ("mode",), _RTF),
    Definition("vocoder_audio_seconds_total", _C, "Seconds of audio that were answered.", ("mode",)),
    Definition("vocoder_queue_items", _G, "Items that wait for a worker.", ("worker",)),
    Definition("vocoder_queue_seconds", _H, "How long items waited for a worker.", (), _SECONDS),
    Definition("vocoder_batch_seconds", _H, "How long inferences took.", ("worker",), _SECONDS),
    Definition("vocoder_batch_items", _H, "Items of an inference.", (), _ITEMS),
    Definition("vocoder_batch_frames", _H, "Mel frames of an inference, padding not counted.", (), _FRAMES),
    Definition("vocoder_gpu_memory_bytes", _G, "GPU memory that PyTorch holds; absent on a CPU.", ("worker",)),
    Definition("vocoder_fallbacks_total", _C, "Inferences that eager ran in place of the backend.", ("backend",)),
    Definition("vocoder_worker_ready", _G, "Whether a worker takes items: 1 or 0.", ("worker", "device")),
    Definition("vocoder_worker_restarts_total", _C, "Workers that ended and were replaced.", ("worker",)),
    Definition("vocoder_info", _G, "What is served; always 1.", ("case", "backend", "precision", "weights")),
)


@dataclass(frozen=True)
class Count:
    """One thing that was counted.

    Attributes:
        how: The method of :class:`Metrics`.
        name: Of the metric.
        value: That was added, set or observed.
        labels: Names and values.
    """

    how: Literal["add", "set", "observe"]
    name: str
    value: float
    labels: tuple[tuple[str, str], ...]


class Metrics:
    """The metrics of one service, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._found = {one.name: _make(one, self.registry) for one in DEFINITIONS}

    def add(self, name: str, value: float = 1, **labels: object) -> None:
        """Adds to a counter."""
        counter = self._one(name, Counter, labels)
        assert isinstance(counter, Counter)  # noqa: S101 - narrows the type
        counter.inc(value)

    def set(self, name: str, value: float, **labels: object) -> None:
        """Sets a gauge."""
        gauge = self._one(name, Gauge, labels)
        assert isinstance(gauge, Gauge)  # noqa: S101 - narrows the type
        gauge.set(value)

    def observe(self, name: str, value: float, **labels: object) -> None:
        """Adds a value to a histogram."""
        histogram = self._one(name, Histogram, labels)
        assert isinstance(histogram, Histogram)  # noqa: S101 - narrows the type
        histogram.observe(value)

    def value(self, sample: str, **labels: object) -> float:
        """The present value of a sample, such as ``vocoder_batch_items_count``; 0 where there is none yet."""
        return self.registry.get_sample_value(sample, {key: str(value) for key, value in labels.items()}) or 0.0

    def take(self, counts: Iterable[Count], *, worker: str, without: str) -> None:
        """Counts what a :class:`Tally` elsewhere has counted.

        Args:
            counts: From :meth:`Tally.drain`.
            worker: The name of the worker there.
            without: A metric that is known better here.
        """
        for one in counts:
            if one.name != without:
                labels = dict(one.labels) | ({"worker": worker} if "worker" in dict(one.labels) else {})
                {"add": self.add, "set": self.set, "observe": self.observe}[one.how](one.name, one.value, **labels)

    def text(self) -> bytes:
        """What Prometheus scrapes."""
        return generate_latest(self.registry)

    def _one(self, name: str, kind: type, labels: dict[str, object]) -> object:
        found = self._found[name]
        if not isinstance(found, kind):
            raise TypeError(f"{name} is a {type(found).__name__.lower()}")
        return found.labels(**{key: str(value) for key, value in labels.items()}) if labels else found


class Tally(Metrics):
    """Keeps what is counted, for the metrics of another process."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: deque[Count] = deque(maxlen=_KEPT)

    def add(self, name: str, value: float = 1, **labels: object) -> None:
        """Keeps what is added to a counter."""
        self._keep("add", name, value, labels)

    def set(self, name: str, value: float, **labels: object) -> None:
        """Keeps what a gauge is set to."""
        self._keep("set", name, value, labels)

    def observe(self, name: str, value: float, **labels: object) -> None:
        """Keeps what is added to a histogram."""
        self._keep("observe", name, value, labels)

    def drain(self) -> tuple[Count, ...]:
        """What was counted since the last time."""
        found = tuple(self._kept)
        self._kept.clear()
        return found

    def _keep(self, how: Literal["add", "set", "observe"], name: str, value: float, labels: dict[str, object]) -> None:
        self._kept.append(Count(how, name, value, tuple((key, str(label)) for key, label in labels.items())))


def _make(one: Definition, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
    if one.type is Type.COUNTER:
        return Counter(one.name, one.help, one.labels, registry=registry)
    if one.type is Type.GAUGE:
        return Gauge(one.name, one.help, one.labels, registry=registry)
    return Histogram(one.name, one.help, one.labels, buckets=one.buckets, registry=registry)


def table(definitions: Iterable[Definition] = DEFINITIONS) -> str:
    """The definitions as a table of Markdown, as docs/serve.md shows them."""
    rows = [
        f"| `{one.name}` | {one.type.value} | {', '.join(f'`{name}`' for name in one.labels)} | {one.help} |"
        for one in definitions
    ]
    return "\n".join(["| metric | type | labels | meaning |", "|---|---|---|---|", *rows])
