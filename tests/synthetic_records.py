"""Synthetic records for the report's tests: invented durations, never a measurement."""

import zlib
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import soundfile

from bench.case import Case
from bench.records.jsonl import append_record, dump_record
from bench.records.schema import (
    Build,
    EffectivePrecision,
    GpuState,
    Memory,
    Record,
    Sound,
    Speed,
    Speedup,
    Status,
    Throughput,
    Timing,
)
from bench.spec import Weights

T = TypeVar("T")
RUN_ID = "synthetic-run"
FACTORS = {"eager": 1.0, "torchscript": 0.75, "tensorrt": 0.3, "tensorrt-onnx": 0.25, "compile": 0.5}
PRECISION_FACTORS = {"fp32": 1.0, "tf32": 0.8, "fp16": 0.5, "bf16": 0.52, "autocast": 0.6}
SNR_DB = {"fp32": 104.0, "tf32": 58.0, "fp16": 57.0, "bf16": 39.0, "autocast": 55.0}
FRAME_RATE = {"v3": 93.75, "v4": 100.0}
ENVIRONMENT = {
    "gpu": {
        "name": "Synthetic GPU 80GB",
        "driver": "580.00",
        "capability": "9.0",
        "power_limit_w": 700,
        "clocks": {"sm_max_mhz": 1980},
    },
    "cpu": {"name": "Synthetic CPU", "cores": 2},
    "memory_bytes": 64 * 2**30,
    "versions": {"torch": "2.13.0", "tensorrt": None},
    "threads": 2,
    "git": {"commit": "0123456789abcdef", "dirty": True},
    "flags": {"cudnn_benchmark": False},
    "os": "Linux synthetic",
    "python": "3.11.9",
    "command": "pytest suites/ --benchmark-only",
}


def weights(version: str) -> Weights:
    """The weights that every synthetic record of a version carries."""
    return Weights(True, "synthetic weights (seed 0)", f"{version}abcdef0123456789", 1000, 0)


def changed(record: Record, **changes: Any) -> Record:
    """The record with other fields; those that are no fields of a record are fields of its result."""
    own = {name: value for name, value in changes.items() if name in _RECORD_FIELDS}
    others = {name: value for name, value in changes.items() if name not in _RECORD_FIELDS}
    if others:
        assert record.result is not None
        own["result"] = replace(record.result, **others)  # type: ignore[type-var]
    return replace(record, **own)


_RECORD_FIELDS = frozenset(item.name for item in fields(Record))


def given(value: T | None) -> T:
    """A figure that a test knows to be there."""
    assert value is not None
    return value


def speed_of(record: Record) -> Speed:
    """The speed of a record that has one."""
    return given(record.answer(Speed))


def sound_of(record: Record) -> Sound:
    """The sound of a record that has one."""
    return given(record.answer(Sound))


def _samples(median_ms: float, rounds: int, rng: np.random.Generator) -> tuple[float, ...]:
    return tuple(np.round(median_ms * (1 + 0.02 * np.abs(rng.standard_normal(rounds))), 5).tolist())


def _timing(samples: tuple[float, ...], clock: str) -> Timing:
    low, median, high = np.percentile(samples, [42, 50, 58])
    return Timing(
        clock=clock,
        samples_ms=samples,
        host_samples_ms=tuple(sample + 0.05 for sample in samples),
        median_ms=float(median),
        mad_ms=float(np.median(np.abs(np.array(samples) - median))),
        ci95_low_ms=float(low),
        ci95_high_ms=float(high),
        p90_ms=float(np.percentile(samples, 90)) if len(samples) >= 64 else None,
        p99_ms=None,
        mean_ms=float(np.mean(samples)),
        min_ms=min(samples),
        max_ms=max(samples),
        host_median_ms=float(median) + 0.05,
        rounds=len(samples),
        stop_reason="stable",
        first_call_ms=float(median) * 8,
        warmup_rounds=5,
        warmup_s=0.5,
    )


def _speedup(case: Case, precision: str, median_ms: float, samples: tuple[float, ...]) -> Speedup:
    base_ms = 0.08 * case.frames * case.batch * PRECISION_FACTORS[precision]
    ratio = base_ms / median_ms
    return Speedup(
        case.baseline(precision).id,
        ratio,
        0.98 * ratio,
        1.02 * ratio,
        base_ms,
        tuple(base_ms for _ in samples),
    )


def speed_record(case: Case, rounds: int = 40, device: str = "cuda:0", seed: int = 0, **changes: Any) -> Record:
    """An ``ok`` speed record with invented durations that follow the tables at the top of this file."""
    rng = np.random.default_rng(zlib.crc32(case.id.encode()) + seed)
    base_ms = 0.08 * case.frames * case.batch * FACTORS[case.backend] * PRECISION_FACTORS[case.precision]
    samples = _samples(base_ms, rounds, rng)
    cuda = device != "cpu"
    timing = _timing(samples, "cuda-event" if cuda else "wall")
    audio_s = case.batch * case.frames / FRAME_RATE[case.version]
    per_s = 1000 / timing.mean_ms
    size = int(4e8 + 2e5 * case.frames * case.batch * PRECISION_FACTORS[case.precision])
    record = Record(
        run_id=RUN_ID,
        kind="speed",
        case=case,
        status=Status.OK,
        reason="",
        device=device,
        recorded_at="2026-11-22T00:00:00+00:00",
        seed=0,
        weights=weights(case.version),
        audio="speech.wav sha256:0123",
        build=Build(0.4 if case.backend == "eager" else 90.0, None if case.backend == "eager" else 3 * 10**7),
        precision=EffectivePrecision(
            "float32", case.precision, "float32", False, False, False, None, "dtype of the output"
        ),
        environment=ENVIRONMENT,
        result=Speed(
            timing=timing,
            throughput=Throughput(per_s, per_s * audio_s, timing.median_ms / 1000 / audio_s, rounds, "rounds"),
            speedup_same_precision=_speedup(case, case.precision, timing.median_ms, samples),
            speedup_fp32=_speedup(case, "fp32", timing.median_ms, samples),
            memory=Memory(
                allocated_peak_bytes=size if cuda else None,
                reserved_peak_bytes=size if cuda else None,
                model_bytes=size // 2 if cuda else None,
                process_gpu_bytes=int(size * 1.6) if cuda else None,
                device_delta_bytes=None,
                rss_peak_bytes=10**9,
                rss_delta_bytes=10**8,
            ),
            gpu_state=GpuState(1755, 1700, 2619, 61, 410.0, (), 12) if cuda else None,
        ),
    )
    return changed(record, **changes)


def quality_record(case: Case, verdict: str = "pass", device: str = "cuda:0", **changes: Any) -> Record:
    """An ``ok`` quality record whose SNR follows the precision."""
    snr_db = SNR_DB[case.precision]
    sound = Sound(
        snr_db=snr_db,
        lsd_db=10 ** ((60 - snr_db) / 40),
        lsd_0_4_db=0.1,
        lsd_4_8_db=0.2,
        lsd_8_16_db=0.4,
        mr_stft=0.05,
        max_abs=1e-3,
        verdict=verdict,
        decided_by="snr_db",
        reason=f"{snr_db} dB",
    )
    record = replace(speed_record(case, rounds=6, device=device), kind="quality", build=None, result=sound)
    return changed(record, **changes)


def failed_record(case: Case, status: Status, reason: str, **changes: Any) -> Record:
    """A record of a case that did not end ``ok``."""
    record = Record(RUN_ID, "speed", case, status, reason, "cuda:0", "2026-11-22T00:00:00+00:00", 0)
    return changed(record, **changes)


def sweep_records(rounds: int = 40, versions: tuple[str, ...] = ("v3", "v4")) -> list[Record]:
    """A small whole run: three backends, failures, and the sound of most configurations."""
    records = []
    for version in versions:
        frames = (23, 128, 468 if version == "v3" else 500)
        for backend in ("eager", "torchscript", "tensorrt"):
            for precision in ("fp32", "fp16"):
                cases = [Case(version, backend, precision, batch, t) for t in frames for batch in (1, 4)]
                records += [speed_record(case, rounds) for case in cases]
                case = Case(version, backend, precision, 1, frames[-1])
                if (backend, precision) != ("torchscript", "fp32"):
                    verdict = "fail" if (version, backend, precision) == ("v4", "tensorrt", "fp16") else "pass"
                    records.append(quality_record(case, verdict))
        case = Case(version, "tensorrt-onnx", "fp16", 1, frames[-1])
        records.append(failed_record(case, Status.UNAVAILABLE, "the package tensorrt is not installed"))
        case = Case(version, "tensorrt", "bf16", 1, frames[-1])
        records.append(failed_record(case, Status.CRASHED, "the worker ended with signal 11"))
    return records


def write_run(directory: Path, records: list[Record]) -> Path:
    """Writes a run and returns its directory; waits for the disk once, not once a record."""
    directory.mkdir(parents=True, exist_ok=True)
    *most, last = records
    text = "".join(dump_record(record) + "\n" for record in most)
    (directory / "records.jsonl").write_text(text, encoding="utf-8")
    append_record(directory, last)
    return directory


def with_audio(directory: Path, record: Record, seconds: float = 0.5, sample_rate: int = 24000) -> Record:
    """Writes a tone as the three WAV files beside the records; returns the record that names them."""
    time = np.arange(int(seconds * sample_rate)) / sample_rate
    tone = 0.3 * np.sin(2 * np.pi * (200 + 2000 * time) * time)
    files = {}
    for role, audio in (("reference", tone), ("test", 0.999 * tone), ("difference", 0.1 * tone)):
        path = directory / "audio" / f"{record.id}-{role}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, audio, sample_rate, subtype="PCM_16")
        files[role] = str(path.relative_to(directory))
    return replace(record, files=files)
