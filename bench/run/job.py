"""A job ``(kind, case, settings)``: what a worker is asked, and what it answers, as lines of JSON.

This module imports no torch and no backend, so that both sides are there at once.
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from bench.case import Case
from bench.run.settings import Settings

Message = TypeVar("Message", "Job", "Answer")


class Kind(StrEnum):
    """What to do with a case."""

    SPEED = "speed"
    QUALITY = "quality"
    STREAMING = "streaming"
    LOAD = "load"
    BUILD = "build"  # builds the case's engine, or finds it in the cache, and loads it
    PROBE = "probe"  # asks the case's backend whether it runs here, without weights or speech

    @property
    def record_kind(self) -> str:
        """The kind of the record that comes of it; a build and a probe are the first part of a speed case."""
        return Kind.SPEED if self in (Kind.BUILD, Kind.PROBE) else self


class Stage(StrEnum):
    """What a worker is busy with, so that a build and the rest have limits of their own."""

    CASE = "case"
    BUILD = "build"


@dataclass(frozen=True)
class Job:
    """One thing to do.

    Attributes:
        kind: What to do.
        case: With which case.
        settings: Of the run; whole, so that a worker measures as its parent would.
    """

    kind: Kind
    case: Case
    settings: Settings


@dataclass(frozen=True)
class Answer:
    """One line from a worker: a job is answered by ``begun``, any number of stages, and then by one of the others.

    Attributes:
        begun: The record before anything ran, as a line of ``records.jsonl``. It becomes the row of a job that ends
            the process.
        stage: What the worker turns to.
        record: The outcome, likewise.
        refused: Why what the user gave cannot be used.
        fault: What was raised that is no outcome; the process is not used again.
    """

    begun: str | None = None
    stage: Stage | None = None
    record: str | None = None
    refused: str | None = None
    fault: str | None = None


def write_line(message: Job | Answer) -> bytes:
    """One line of JSON with its newline.

    Raises:
        ValueError: a value that JSON cannot hold, such as NaN.
        TypeError: an object that JSON cannot hold.
    """
    plain: Any = msgspec.to_builtins(message)
    return json.dumps(plain, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def read_line(line: bytes, message: type[Message]) -> Message:
    """Reads a line of :func:`write_line`; names that are not UTF-8 come back as they were.

    Raises:
        msgspec.DecodeError: it is none.
    """
    try:
        plain = json.loads(line)
    except ValueError as error:
        raise msgspec.DecodeError(str(error)) from error
    return msgspec.convert(plain, message)
