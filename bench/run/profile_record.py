"""A case's profile as a record of the run that the case belongs to."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.case import Case
from bench.errors import InputError
from bench.records.jsonl import append_record, newest_run, read_records
from bench.records.kinds.profile import Profile
from bench.records.plan import read_plan
from bench.records.schema import Record, Speed
from bench.run.folder import RunFolder
from bench.run.session import Session


@dataclass(frozen=True)
class Home:
    """The run that a profile goes into.

    Attributes:
        directory: Of the run.
        record: What the run has of the case: its speed where there is one.
        settings: As the run's ``run.json`` gives them; empty where it has none.
    """

    directory: Path
    record: Record
    settings: dict[str, Any]

    def check(self, session: Session) -> None:
        """Refuses a machine or weights that are not the run's.

        Raises:
            InputError: they differ.
        """
        ours = session.begin(self.record.case, Profile.kind)
        for what, before, now, remedy in (
            ("device", self.record.device, ours.device, "give the run's with --device"),
            ("machine", _machine(self.record), _machine(ours), "profile it there"),
            ("weights", _weights(self.record), _weights(ours), "give the run's with --weights"),
        ):
            if before and before != now:
                raise InputError(f"{self.directory} ran on the {what} {before}, this is {now}; {remedy}")

    def append(self, session: Session, profile: Profile) -> None:
        """Adds the profile to the run's records.

        Raises:
            InputError: the run cannot be written, or a sweep writes it.
        """
        record = replace(session.begin(self.record.case, Profile.kind), run_id=self.record.run_id, result=profile)
        folder = RunFolder.reopen(self.directory)
        try:
            append_record(self.directory, record)
        except OSError as error:
            raise InputError(f"cannot write to {self.directory}: {error.strerror}") from error
        finally:
            folder.release()


def find_home(run: Path, case: Case) -> Home:
    """Where the profile of a case goes.

    Args:
        run: The run's directory or its records file, or a folder of runs: its newest.
        case: What is profiled.

    Raises:
        InputError: the run cannot be read, or has no record of the case.
    """
    source = newest_run(run)
    records = [record for record in read_records(source) if record.case == case and record.kind != Profile.kind]
    if not records:
        raise InputError(f"{source} holds no record of {case.id}; give a run that ran it, or leave out --into")
    directory = source if source.is_dir() else source.parent
    plan = read_plan(directory)
    timed = [record for record in records if record.kind == Speed.kind]
    return Home(directory, (timed or records)[-1], {} if plan is None else plan.settings)


def _machine(record: Record) -> str:
    part = record.environment.get("cpu" if record.device == "cpu" else "gpu")
    return str(part.get("name") or "") if isinstance(part, dict) else ""


def _weights(record: Record) -> str:
    return f"{record.weights.name}, sha256 {record.weights.sha256[:12]}" if record.weights else ""
