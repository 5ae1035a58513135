"""A sweep from its options to its end, without pytest: inputs tried, a folder reserved, cases done, nothing missing."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import psutil

from bench.case import Case
from bench.errors import InputError
from bench.measure.disturbance import busy_processors
from bench.measure.environment import physical_cores
from bench.records.jsonl import append_record, read_records
from bench.records.plan import PLAN_FILE, Key, Plan, read_plan, write_plan
from bench.records.schema import FILE_NAME, Record, Status
from bench.run.device import find_device
from bench.run.estimate import Pace, measure_pace, sweep_s
from bench.run.folder import RunFolder
from bench.run.isolation import About, Cases
from bench.run.job import Kind
from bench.run.limits import GIB, Limits, default_memory_bytes
from bench.run.options import SweepOptions, read_options
from bench.run.order import grouped
from bench.run.run_id import run_ids
from bench.run.session import Session
from bench.run.settings import Settings
from bench.run.signals import Signals
from bench.run.sweep import load_profile
from bench.run.tryout import try_out

if TYPE_CHECKING:
    from bench.run.ray_cases import RayCases

PROFILE_OF_DEVICE = {"cpu": "smoke", "cuda": "standard"}
# A record of these has its answer; a resumed run does the others again.
_DONE = (Status.OK, Status.UNAVAILABLE, Status.UNSUPPORTED)


@dataclass
class Sweep:
    """A sweep that is about to run, runs or has run.

    Attributes:
        cases: In order.
        settings: Of the run.
        about: Weights, speech and machine.
        folder: The run's folder; None where nothing is to run.
        signals: Ctrl-C and SIGTERM.
        done: What a resumed run has already.
        notes: Sentences for the header.
        unavailable: Backends that do not run here.
        pace: Of the processor that cases run on; None on a GPU, whose builds no call tells.
        loaded: Whether other work kept the processors busy before.
        warnings: Fidelity warnings for the summary.
        plan: What belongs to the run; None before :meth:`begin`.
    """

    cases: list[Case]
    settings: Settings
    about: About
    folder: RunFolder | None
    signals: Signals
    performer: "Cases | RayCases"
    done: frozenset[Key] = frozenset()
    notes: tuple[str, ...] = ()
    unavailable: frozenset[str] = frozenset()
    pace: Pace | None = None
    loaded: bool = False
    warnings: list[str] = field(default_factory=list)
    plan: Plan | None = None

    def begin(self, expected: Sequence[Key]) -> None:
        """Writes down what belongs to the run.

        Args:
            expected: Kind and case id of every case that this sweep does.

        Raises:
            InputError: it cannot be written.
        """
        if self.folder is None:
            return
        before = self.plan.expected if self.plan is not None else ()
        self.plan = Plan(
            run_id=self.settings.run_id,
            started_at=self.plan.started_at if self.plan is not None else _now(),
            expected=tuple(dict.fromkeys([*before, *expected])),
            cases=tuple(self.cases),
            settings=msgspec.to_builtins(self.settings),
            weights={version: weights.sha256 for version, weights in self.about.weights.items()},
        )
        try:
            write_plan(self.folder.directory, self.plan)
        except OSError as error:
            raise InputError(f"cannot write to {self.folder.directory}: {error.strerror}") from error
        by_id = {case.id: case for case in self.cases}
        self.performer.expect([(Kind(kind), by_id[name]) for kind, name in expected if name in by_id])

    def expected_s(self, keys: Iterable[Key]) -> float | None:
        """About how many seconds it takes to do what files these records; None where nobody can say."""
        if self.pace is None:
            return None
        cases = {case.id: case for case in self.cases}
        kinds = {str(kind): kind for kind in Kind}
        jobs = [(kinds[kind], cases[case]) for kind, case in keys if case in cases and kind in kinds]
        return sweep_s(jobs, self.unavailable, self.pace, self.settings)

    def perform(self, kind: Kind, case: Case) -> Record:
        """Does a case and returns its record.

        Raises:
            StopSweep: Ctrl-C or SIGTERM.
        """
        with self.signals.raising():
            return self.performer.perform(kind, case)

    def file(self, record: Record) -> None:
        """Adds a record to the run's.

        Raises:
            OSError: it cannot be written.
        """
        append_record(self.settings.directory, record)

    def records(self) -> list[Record]:
        """What the run has on disk; nothing where its file is gone."""
        try:
            return read_records(self.settings.directory / FILE_NAME)
        except InputError:
            return []

    def end(self) -> list[Key]:
        """Writes down how the run ended; returns what is missing."""
        if self.plan is None or self.folder is None:
            return []
        missing = self.plan.missing(self.records())
        how = "interrupted" if self.signals.number is not None else "incomplete" if missing else "complete"
        try:
            write_plan(self.folder.directory, self.plan.finish(_now(), how))
        except OSError as error:
            self.warnings.append(f"{self.folder.directory / PLAN_FILE} cannot be written: {error.strerror}")
        return missing

    def close(self) -> None:
        """Ends the worker and lets others into the run's folder; a folder in which nothing began is removed."""
        self.performer.close()
        if self.folder is not None:
            self.folder.release(drop=self.plan is None)


def read_sweep(values: Mapping[str, Any], signals: Signals, *, runs: bool = True) -> Sweep:
    """The sweep that options ask for, every input tried out.

    Args:
        values: Options by name, and pytest-benchmark's ``benchmark_disable``.
        signals: Ctrl-C and SIGTERM.
        runs: Whether the sweep is to run, and not only to be listed.

    Raises:
        InputError: an option or a file that cannot be used.
    """
    started_s = time.monotonic()
    options = read_options(values)
    if options.ray and options.in_process:
        raise InputError("--ray runs cases in other processes, which --in-process does without; leave out one")
    if options.resume is None:
        cases, settings, plan = _asked(options, one_round=bool(values.get("benchmark_disable")))
    else:
        cases, settings, plan = _resumed(options.resume)
    if options.in_process:
        # One process is no two, whatever a resumed run began with.
        settings = replace(settings, repeats=1, rebuilds=0)
    about, pace = _about(cases, settings, paced=runs and settings.device == "cpu")
    if plan is not None:
        _check_weights(plan, about)
    folder = None
    if plan is not None:
        folder = RunFolder.reopen(settings.directory)
    elif runs:
        folder = RunFolder.reserve(Path(settings.results), datetime.now(UTC))
        settings = replace(settings, run_id=folder.directory.name)
    limits = _limits(options, started_s)
    performer = _performer(options, settings, limits, about)
    signals.at_once = performer.kill
    try:
        unavailable = performer.probe(cases) if runs else {}
    except BaseException:
        performer.close()
        if folder is not None:
            folder.release(drop=plan is None)
        raise
    load = _load(settings) if runs else []
    notes = (*options.notes, *load)
    sweep = Sweep(cases, settings, about, folder, signals, performer, notes=notes, plan=plan)
    sweep.unavailable, sweep.pace, sweep.loaded = frozenset(unavailable), pace, bool(load)
    if plan is not None:
        sweep.done = frozenset((record.kind, record.id) for record in _last(sweep.records()) if record.status in _DONE)
    return sweep


def _asked(options: SweepOptions, *, one_round: bool) -> tuple[list[Case], Settings, None]:
    """Cases and settings of a new run; the run's name is not its own yet."""

    def cases() -> list[Case]:
        kind = find_device(options.device).type
        return load_profile(options.profile or PROFILE_OF_DEVICE[kind]).cases(options.axes)

    try_out(cases)
    found, device = cases(), find_device(options.device)
    profile = load_profile(options.profile or PROFILE_OF_DEVICE[device.type])
    stop, repeats = profile.stop, profile.repeats
    if one_round:
        stop, repeats = replace(stop, min_rounds=1, max_rounds=1), 1
    name = next(run_ids(datetime.now(UTC)))
    return grouped(found), options.settings(name, str(device), physical_cores(), stop, repeats), None


def _resumed(directory: Path) -> tuple[list[Case], Settings, Plan]:
    plan = read_plan(directory)
    if plan is None:
        raise InputError(f"--resume {directory} has no {PLAN_FILE}; give the folder of a run, such as results/<run>")
    try:
        settings = msgspec.convert(plan.settings, Settings)
    except msgspec.ValidationError as error:
        raise InputError(f"--resume {directory}: its {PLAN_FILE} does not hold a run's settings: {error}") from error
    whole = directory.absolute()
    settings = replace(settings, results=str(whole.parent), run_id=whole.name)
    find_device(settings.device)
    return list(plan.cases), settings, plan


def _about(cases: Sequence[Case], settings: Settings, *, paced: bool) -> tuple[About, Pace | None]:
    """Tries weights and speech, and how fast the machine is; what cases share is loaded again where they run."""
    versions = dict.fromkeys(case.version for case in cases)
    with Session(settings) as session:
        # This process came as far as a worker has to.
        pace = measure_pace(session, versions, time.time() - psutil.Process().create_time()) if paced else None
        audio = {version: session.voice(version).identity for version in versions}
        weights = {version: session.weights(version) for version in versions}
        return About(weights, audio, session.environment), pace


def _check_weights(plan: Plan, about: About) -> None:
    for version, weights in about.weights.items():
        if plan.weights.get(version, weights.sha256) != weights.sha256:
            raise InputError(f"--resume: the {version} weights are not those that the run began with")


def _performer(options: SweepOptions, settings: Settings, limits: Limits, about: About) -> "Cases | RayCases":
    if not options.ray:
        return Cases(settings, limits, about, in_process=options.in_process)
    if settings.device not in ("cpu", "cuda:0"):
        raise InputError("with --ray every case has a GPU of its own: give --device cuda, or cpu")
    from bench.run.ray_cases import RayCases

    return RayCases(settings, limits, about, own_memory=options.memory_limit_gib is None)


def _limits(options: SweepOptions, started_s: float) -> Limits:
    memory = options.memory_limit_gib
    return Limits(
        case_s=options.case_limit_s,
        build_s=options.build_limit_s,
        memory_bytes=default_memory_bytes() if memory is None else round(memory * GIB),
        end_s=None if options.sweep_limit_s is None else started_s + options.sweep_limit_s,
    )


def _load(settings: Settings) -> list[str]:
    """What to know of the host before anything is measured: on a CPU, other work that takes it."""
    found = busy_processors() if settings.device == "cpu" else None
    if found is None:
        return []
    busy, allowed = found
    return [
        f"other work keeps {busy:.1f} of {allowed} processors busy: cases take longer, disturbed rounds are not used"
    ]


def _last(records: Sequence[Record]) -> list[Record]:
    """The last record of every kind and case."""
    return list({(record.kind, record.id): record for record in records}.values())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
