"""The wiring between pytest, pytest-benchmark and a sweep, and the only module that imports pytest.

A checkout's ``conftest.py`` loads it. ``pytest suites/`` makes a :class:`Sweep` of the command line before anything
runs; a suite takes a ``case`` and the ``session``, and hands its record to ``conclude_speed`` or ``conclude_quality``.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from bench.errors import InputError, not_installed
from bench.run.options import OPTIONS, read_options

if TYPE_CHECKING:
    # A Python that lacks torch is told so in one sentence: what brings it is imported late.
    from bench.case import Case
    from bench.records.schema import Record
    from bench.run.progress import Progress
    from bench.run.session import Session
    from bench.run.settings import Settings

PROFILE_OF_DEVICE = {"cpu": "smoke", "cuda": "standard"}


class Benchmark(Protocol):
    """What is used of pytest-benchmark's fixture, which has no types."""

    group: str | None
    extra_info: dict[str, Any]

    def pedantic(self, target: Callable[[], None], *, rounds: int, iterations: int) -> object:
        """Times ``target``."""


class Reporter(Protocol):
    """What is used of pytest's terminal reporter, whose type is not public."""

    isatty: bool

    def rewrite(self, line: str, **markup: bool) -> None:
        """Writes over the present line."""

    def section(self, title: str) -> None:
        """Begins a section."""

    def write_line(self, line: str) -> None:
        """Writes a line."""


@dataclass
class Sweep:
    """What a call of pytest sweeps.

    Attributes:
        cases: In order.
        session: What they share.
        notes: Sentences for the header.
        warnings: Fidelity warnings for the summary.
    """

    cases: list["Case"]
    session: "Session"
    notes: tuple[str, ...] = ()
    warnings: list[str] = field(default_factory=list)

    @property
    def settings(self) -> "Settings":
        """Of the run."""
        return self.session.settings


class ReplayClock:
    """A timer for pytest-benchmark that advances by measured durations only.

    The rounds have been run, in turn with their baselines, when pytest-benchmark asks for them; its table
    and its JSON show the same samples as the record.
    """

    def __init__(self) -> None:
        self.now_s = 0.0
        self._rest_s: Iterator[float] = iter(())

    def __call__(self) -> float:
        """The present, in seconds."""
        return self.now_s

    def advance(self) -> None:
        """Moves on by the next sample."""
        self.now_s += next(self._rest_s, 0.0)

    def replay(self, benchmark: Benchmark, samples_ms: tuple[float, ...]) -> None:
        """Lets ``benchmark`` time these samples, one a round."""
        self._rest_s = iter([sample / 1000 for sample in samples_ms])
        benchmark.pedantic(self.advance, rounds=len(samples_ms), iterations=1)


_SWEEP = pytest.StashKey[Sweep]()
_CLOCK = pytest.StashKey[ReplayClock]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of a sweep, as text; :func:`bench.run.options.read_options` says what is wrong with one."""
    group = parser.getgroup("sweep", "vocoder sweep (suites/)")
    for option in OPTIONS:
        group.addoption(option.name, metavar=option.metavar, dest=option.key, help=option.help)
        if option.old:
            help_text = f"old spelling of {option.name}"
            group.addoption(option.old, metavar=option.metavar, dest=option.old_key, help=help_text)


def pytest_configure(config: pytest.Config) -> None:
    """Reads the sweep's options before anything runs, so that a wrong one costs nothing."""
    if not _sweeps(config) or config.option.help:
        return
    try:
        config.stash[_SWEEP] = read_sweep(config.option.__dict__)
    except InputError as error:
        pytest.exit(f"error: {error}", returncode=2)
    except ModuleNotFoundError as error:
        reason = not_installed(error)
        if reason is None:
            raise
        pytest.exit(f"error: {reason}", returncode=2)


def _sweeps(config: pytest.Config) -> bool:
    """Whether this call collects suites, and not only the project's own tests."""
    suites = config.rootpath / "suites"
    arguments = (Path(config.invocation_params.dir, arg.partition("::")[0]).resolve() for arg in config.args)
    return any(suites.is_relative_to(path) or path.is_relative_to(suites) for path in arguments)


def read_sweep(values: dict[str, Any]) -> Sweep:
    """The sweep that the command line asks for, every input tried out.

    Args:
        values: pytest's options by name.

    Raises:
        InputError: an option or a file that cannot be used.
    """
    from bench.measure.environment import physical_cores
    from bench.run.device import find_device
    from bench.run.run_id import new_run_id
    from bench.run.session import Session
    from bench.run.sweep import load_profile

    options = read_options(values)
    device = find_device(options.device)
    profile = load_profile(options.profile or PROFILE_OF_DEVICE[device.type])
    cases = profile.cases(options.axes)
    run_id = new_run_id(datetime.now(UTC), Path(options.results))
    stop = profile.stop
    if values.get("benchmark_disable"):
        stop = replace(stop, min_rounds=1, max_rounds=1)
    session = Session(options.settings(run_id, str(device), physical_cores(), stop))
    for version in dict.fromkeys(case.version for case in cases):
        session.voice(version)
    return Sweep(cases, session, options.notes)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Closes the session."""
    if _SWEEP in config.stash:
        config.stash[_SWEEP].session.close()


def pytest_report_header(config: pytest.Config) -> list[str]:
    """What is about to run, and on which weights."""
    if _SWEEP not in config.stash:
        return []
    sweep = config.stash[_SWEEP]
    versions = dict.fromkeys(case.version for case in sweep.cases)
    weights = "; ".join(f"{version}: {sweep.session.weights(version).name}" for version in versions)
    return [
        f"sweep: {len(sweep.cases)} cases on {sweep.settings.device}, {weights}",
        f"records: {sweep.settings.directory}",
        *(f"note: {note}" for note in sweep.notes),
    ]


def pytest_sessionstart(session: pytest.Session) -> None:
    """Shows progress where somebody watches."""
    config = session.config
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if _SWEEP in config.stash and reporter is not None and reporter.isatty and config.option.verbose == 0:
        config.pluginmanager.register(SweepProgress(reporter))


class SweepProgress:
    """On a terminal, which case of how many runs and the time left, in place of pytest's letters."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._progress: Progress | None = None

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Starts the clock."""
        from bench.run.progress import Progress

        self._progress = Progress(len(session.items))

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logstart(self, location: tuple[str, int | None, str]) -> None:
        """Says what begins."""
        if self._progress is not None:
            self._reporter.rewrite(f"{self._progress.begin('case')}: {location[2]}", erase=True)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Leaves the line to what comes next."""
        self._reporter.rewrite("", erase=True)

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Counts outcomes as ever, without a letter for each."""
        if report.when == "call" or report.skipped:
            return report.outcome, "", ""
        return None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test a case."""
    if "case" in metafunc.fixturenames and _SWEEP in metafunc.config.stash:
        cases = metafunc.config.stash[_SWEEP].cases
        metafunc.parametrize("case", cases, ids=[case.id for case in cases])


@pytest.hookimpl(tryfirst=True)
def pytest_itemcollected(item: pytest.Item) -> None:
    """Gives every speed case the clock of its samples."""
    if "conclude_speed" in getattr(item, "fixturenames", ()):
        clock = item.config.stash.setdefault(_CLOCK, ReplayClock())
        item.add_marker(pytest.mark.benchmark(timer=clock))
        # A case that fails has no durations to show.
        item.add_marker(pytest.mark.filterwarnings("ignore:Benchmark fixture was not used"))


@pytest.fixture(scope="session")
def session(request: pytest.FixtureRequest) -> "Session":
    """What the cases of the run share."""
    return request.config.stash[_SWEEP].session


@pytest.fixture
def conclude_speed(
    benchmark: Benchmark, session: "Session", request: pytest.FixtureRequest
) -> Callable[["Record"], None]:
    """Files a record, shows its durations in pytest-benchmark's table, and passes, skips or fails."""
    from bench.records.schema import Speed

    def conclude(record: "Record") -> None:
        _file(record, session)
        speed = record.answer(Speed)
        if speed is not None:
            case = record.case
            benchmark.group = f"{case.version} batch {case.batch}, {case.frames} frames"
            benchmark.extra_info.update(headline(record))
            request.config.stash[_CLOCK].replay(benchmark, speed.timing.samples_ms)
        _judge(record)

    return conclude


@pytest.fixture
def conclude_quality(session: "Session", request: pytest.FixtureRequest) -> Callable[["Record"], None]:
    """Files a record, and passes, warns, skips or fails by its verdict."""
    from bench.records.schema import Sound

    def conclude(record: "Record") -> None:
        _file(record, session)
        _judge(record)
        sound = record.answer(Sound)
        if sound is not None and sound.verdict == "fail":
            pytest.fail(f"fidelity fails: {sound.reason}", pytrace=False)
        if sound is not None and sound.verdict == "warn":
            request.config.stash[_SWEEP].warnings.append(f"{record.id}: {sound.reason}")

    return conclude


def _file(record: "Record", session: "Session") -> None:
    from bench.records.jsonl import append_record

    directory = session.settings.directory
    try:
        append_record(directory, record)
    except OSError as error:
        pytest.exit(f"error: cannot write to {directory}: {error.strerror}", returncode=2)


def _judge(record: "Record") -> None:
    """Passes, skips or fails the test as the record's status says."""
    from bench.records.schema import Status

    if record.status in (Status.UNAVAILABLE, Status.UNSUPPORTED):
        pytest.skip(record.reason)
    if record.status is not Status.OK:
        pytest.fail(f"{record.status}: {record.reason}", pytrace=False)


def headline(record: "Record") -> dict[str, Any]:
    """What pytest-benchmark's JSON says of a measured case beside its durations; the record says more."""
    from bench.records.schema import Speed

    speed = record.answer(Speed)
    timing, throughput = (speed.timing, speed.throughput) if speed else (None, None)
    same, full = (speed.speedup_same_precision, speed.speedup_fp32) if speed else (None, None)
    return {
        "id": record.id,
        "run_id": record.run_id,
        "weights": record.weights.name if record.weights else None,
        "clock": timing.clock if timing else None,
        "stop_reason": timing.stop_reason if timing else None,
        "audio_s_per_s": throughput.audio_s_per_s if throughput else None,
        "real_time_factor": throughput.real_time_factor if throughput else None,
        "speedup_same_precision": same.ratio if same else None,
        "speedup_fp32": full.ratio if full else None,
        "compute": record.precision.compute if record.precision else None,
    }


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Adds the GPU and the versions that figures depend on to pytest-benchmark's JSON."""
    if _SWEEP in config.stash:
        environment = config.stash[_SWEEP].session.environment
        machine_info.update({key: environment[key] for key in ("gpu", "versions", "threads", "git")})


def pytest_terminal_summary(terminalreporter: Reporter, config: pytest.Config) -> None:
    """Says how the cases ended and where the records are."""
    if _SWEEP not in config.stash:
        return
    from bench.records.jsonl import read_records
    from bench.records.schema import FILE_NAME

    sweep = config.stash[_SWEEP]
    file = sweep.settings.directory / FILE_NAME
    if not file.is_file():
        return
    records = read_records(file)
    counts = Counter(record.status for record in records)
    weights = dict.fromkeys(record.weights.name for record in records if record.weights)
    terminalreporter.section("records")
    terminalreporter.write_line(", ".join(f"{count} {status}" for status, count in counts.items()))
    terminalreporter.write_line(f"weights: {'; '.join(weights)}")
    for warning in sweep.warnings:
        terminalreporter.write_line(f"fidelity warning: {warning}")
    terminalreporter.write_line(str(file))
