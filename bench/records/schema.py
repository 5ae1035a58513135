"""Records: the outcome of every case, one JSON object a line, and the only thing reports read.

A results directory holds ``records.jsonl``. A line is written as its case ends and reaches the disk before
the next case starts, so a run that dies keeps what it measured. A last line that was cut off is left out on
reading. Fields that this version does not know are ignored; a newer :data:`SCHEMA_VERSION` is refused.

The fields are those of :class:`Record` and the dataclasses it holds; units are part of their names. A value
that was not measured is ``null``, never 0. Changes that a reader must know about raise the version:

====== ===================================================================================
schema change
====== ===================================================================================
1      first
2      what a kind of record has for an answer stands in ``result``; 1 is read as 2
====== ===================================================================================
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from bench.case import Case
from bench.records.kind import Result
from bench.records.kinds.sound import InputSound, Sound
from bench.records.kinds.speed import (
    GpuState,
    Marked,
    Memory,
    Process,
    Speed,
    Speedup,
    Throughput,
    Timing,
    waits_for_host,
)
from bench.records.runner import Build, EffectivePrecision, break_even_inferences
from bench.spec import Weights

__all__ = [
    "FILE_NAME",
    "SCHEMA_VERSION",
    "Build",
    "EffectivePrecision",
    "GpuState",
    "InputSound",
    "Marked",
    "Memory",
    "Process",
    "Record",
    "Result",
    "Sound",
    "Speed",
    "Speedup",
    "Status",
    "Throughput",
    "Timing",
    "break_even_inferences",
    "waits_for_host",
]

SCHEMA_VERSION = 2
FILE_NAME = "records.jsonl"

AnyResult = TypeVar("AnyResult", bound=Result)


class Status(StrEnum):
    """How a case ended. Every status but ``OK`` comes with a reason."""

    OK = "ok"
    UNAVAILABLE = "unavailable"  # the backend cannot run on this machine
    UNSUPPORTED = "unsupported"  # the backend runs here, but not this case
    OUT_OF_MEMORY = "out_of_memory"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    SKIPPED = "skipped"  # not tried: a smaller shape ran out of memory, or the time of the sweep was over
    WRONG_OUTPUT = "wrong_output"  # another precision, a fallback, a non-finite or misshapen result


@dataclass(frozen=True)
class Record:
    """One outcome of one case.

    Attributes:
        run_id: Names the results directory.
        kind: Which suite asked: a name of :data:`bench.records.kind.KINDS`, such as ``"speed"`` or ``"quality"``.
        case: What was run.
        status: How it ended.
        reason: Why, in one sentence; empty when ``ok``.
        device: ``"cpu"`` or ``"cuda:N"``.
        recorded_at: UTC time, ISO 8601.
        seed: Seed of synthetic weights and of every bootstrap.
        weights: Which weights ran.
        audio: Name and digest of the speech that the mels come from.
        build: What it cost to get the runner.
        precision: What was in effect.
        environment: From :func:`bench.measure.environment.capture`.
        files: Files kept beside the records, by role, as paths relative to the run's directory.
        result: The answer, of the type that the kind names; None where the case did not end ``ok``.
    """

    run_id: str
    kind: str
    case: Case
    status: Status
    reason: str
    device: str
    recorded_at: str
    seed: int
    weights: Weights | None = None
    audio: str | None = None
    build: Build | None = None
    precision: EffectivePrecision | None = None
    environment: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    result: Result | None = None
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        """Refuses a result of another kind, which no reader would find."""
        if self.result is not None and self.result.kind != self.kind:
            raise ValueError(f"a record of kind {self.kind!r} cannot hold a result of kind {self.result.kind!r}")

    @property
    def id(self) -> str:
        """The case's id."""
        return self.case.id

    def answer(self, kind: type[AnyResult]) -> AnyResult | None:
        """The result if it is of this kind, such as ``record.answer(Speed)``; else None."""
        return self.result if isinstance(self.result, kind) else None
