"""Records for the tests of comparisons and history: invented durations, never a measurement."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.case import Case
from bench.records.schema import (
    Build,
    EffectivePrecision,
    Memory,
    Process,
    Record,
    Sound,
    Speed,
    Speedup,
    Status,
    Throughput,
    Timing,
)
from bench.spec import Weights
from tests.synthetic_records import changed

ENVIRONMENT: dict[str, Any] = {
    "gpu": {"name": "GPU A", "driver": "580.1", "capability": "9.0", "power_limit_w": 700},
    "cpu": {"name": "CPU A"},
    "versions": {"torch": "2.13.0"},
    "threads": 2,
}
FP16 = EffectivePrecision("float16", "float16", "float16", None, None, None, None, "parameters")
WEIGHTS = Weights(True, "synthetic weights (seed 0)", "a" * 64, 1000, 0)


def record(
    frames: int = 100,
    *,
    night: int = 0,
    factor: float = 1.0,
    machine: float = 1.0,
    noise: float = 0.02,
    rounds: int = 100,
    controlled: bool = True,
    shared: int = 3,
    rng: np.random.Generator | None = None,
    **changes: Any,
) -> Record:
    """An ok speed record of 10 ms times ``factor`` in ``shared`` processes, on a machine slower by ``machine``."""
    rng = rng or np.random.default_rng(night * 10_000 + frames)
    samples = 10 * factor * machine * np.exp(rng.normal(0, noise, rounds))
    control = 50 * machine * np.exp(rng.normal(0, noise, rounds))
    case = Case("v3", "tensorrt", "fp16", 1, frames)
    speedup = Speedup(case.baseline("fp32").id, 5.0, None, None, float(np.median(control)), tuple(control.tolist()))
    made = Record(
        run_id=f"run-{night}",
        kind="speed",
        case=case,
        status=Status.OK,
        reason="",
        device="cuda:0",
        recorded_at=f"2026-01-{night + 1:02}T00:00:00+00:00",
        seed=0,
        weights=WEIGHTS,
        audio="speech sha256:1",
        build=Build(30.0),
        precision=FP16,
        environment=ENVIRONMENT,
        result=Speed(
            timing=timing(samples.tolist()),
            throughput=Throughput(1e3 / float(samples.mean()), 5e3 / float(samples.mean()), 0.002, rounds, "rounds"),
            speedup_fp32=speedup if controlled else None,
            memory=Memory(2**29, 2**29, 2**28, 2**31, 2**31, None, None),
            processes=processes(samples, shared),
        ),
    )
    return changed(made, **changes)


def processes(
    samples: Sequence[float] | NDArray[np.float64], shared: int, builds: Sequence[int] = ()
) -> tuple[Process, ...]:
    """The samples as shared by processes, about equally, each with its throughput."""
    parts = np.array_split(np.asarray(samples), shared)
    numbers = builds or [0] * shared
    return tuple(
        Process(len(part), float(np.median(part)) if len(part) else 0.0, build, audio_s_per_s=5e3 / float(part.mean()))
        for part, build in zip(parts, numbers, strict=True)
    )


def timing(samples: Sequence[float]) -> Timing:
    """A timing with these samples."""
    values = np.asarray(samples)
    median = float(np.median(values))
    mad = float(np.median(np.abs(values - median)))
    mean, low, high = float(values.mean()), float(values.min()), float(values.max())
    return Timing(
        "cuda-event", tuple(samples), tuple(samples), median, mad, None, None, None, None, mean, low, high,
        median, len(values), "stable", median, 1, 0.1,
    )  # fmt: skip


def quality(night: int = 0, tier: str = "pass", **fidelity: Any) -> Record:
    """An ok quality record with these fidelity fields."""
    return record(night=night, kind="quality", build=None, result=Sound(**fidelity, verdict=tier))


def failed(frames: int = 100, *, night: int = 0, status: Status = Status.CRASHED, reason: str = "died") -> Record:
    """A record of a case that did not end well, with what such a record still knows."""
    return record(
        frames,
        night=night,
        status=status,
        reason=reason,
        build=None,
        precision=None,
        weights=None,
        result=None,
    )
