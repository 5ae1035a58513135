"""``run.json``: what a run set out to do, so that whoever reads it sees what is missing."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from bench.case import Case
from bench.errors import InputError
from bench.records.schema import Record
from bench.records.writing import write_whole

PLAN_FILE = "run.json"
_LIMIT_BYTES = 64 << 20
_NAMES_SHOWN = 5

Key = tuple[str, str]  # kind and case id


@dataclass(frozen=True)
class Plan:
    """What a run set out to do.

    Attributes:
        run_id: Name of the run.
        started_at: UTC time, ISO 8601.
        expected: Kind and case id of every record that belongs to the run.
        cases: The sweep's cases, in order.
        settings: Those of :class:`bench.run.settings.Settings`.
        weights: SHA-256 of the weights by version.
        ended_at: UTC time of the end; None while it runs, or where it was killed.
        ended: ``"complete"``, ``"incomplete"`` or ``"interrupted"``; empty while it runs.
        version: Of this form.
    """

    run_id: str
    started_at: str
    expected: tuple[Key, ...]
    cases: tuple[Case, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    weights: dict[str, str] = field(default_factory=dict)
    ended_at: str | None = None
    ended: str = ""
    version: int = 1

    def missing(self, records: Iterable[Record]) -> list[Key]:
        """What belongs to the run and has no record."""
        there = {(record.kind, record.id) for record in records}
        return [key for key in self.expected if key not in there]

    def finish(self, ended_at: str, ended: str) -> "Plan":
        """The plan of a run that has ended."""
        return replace(self, ended_at=ended_at, ended=ended)


def write_plan(directory: Path, plan: Plan) -> None:
    """Writes ``run.json`` into a run's folder.

    Raises:
        OSError: it cannot be written.
    """
    # Escapes hold what msgspec's writer refuses: names that are not UTF-8.
    write_whole(directory / PLAN_FILE, json.dumps(msgspec.to_builtins(plan), indent=1).encode() + b"\n")


def read_plan(directory: Path) -> Plan | None:
    """Reads a run's ``run.json``; None where the run has none, as runs of earlier versions.

    Raises:
        InputError: it is there and cannot be read.
    """
    file = directory / PLAN_FILE
    if not file.is_file():
        return None
    try:
        if file.stat().st_size > _LIMIT_BYTES:
            raise InputError(f"{file} is too large for a plan")
        plan = msgspec.convert(json.loads(file.read_bytes()), Plan)
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InputError(f"{file} is not the plan of a run: {error}") from error
    if plan.version != 1:
        raise InputError(f"{file} is of version {plan.version}, which this version does not read; update the suite")
    return plan


def plan_notices(directory: Path, records: Iterable[Record]) -> list[str]:
    """What a run's plan says against its records, in sentences for the reader to see first."""
    try:
        plan = read_plan(directory)
    except InputError as error:
        return [f"{error}."]
    if plan is None:
        return []
    notices = []
    missing = plan.missing(records)
    if missing:
        names = ", ".join(f"{kind} of {name}" for kind, name in missing[:_NAMES_SHOWN])
        more = f" and {len(missing) - _NAMES_SHOWN} more" if len(missing) > _NAMES_SHOWN else ""
        total = len(plan.expected)
        notices.append(f"This run is incomplete: {len(missing)} of {total} records are missing: {names}{more}.")
    if not plan.ended:
        notices.append("This run did not come to its end: it was killed, or it is still running.")
    elif plan.ended == "interrupted":
        notices.append("This run was interrupted.")
    return notices
