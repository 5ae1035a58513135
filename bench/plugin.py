"""The wiring between pytest, pytest-benchmark and a sweep, and the only module that imports pytest.

``pytest suites/`` makes a :class:`~bench.run.whole.Sweep` of the command line before anything runs; a suite takes a
``case`` and the ``sweep``, and hands its record to ``conclude_speed`` or ``conclude_quality``. The project's
``pyproject.toml`` loads this module before pytest looks at the command line, so that no value of an option passes for a
folder of tests, whose ``conftest.py`` pytest would import.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from bench.errors import InputError, not_installed
from bench.run.call import check_company, collects_suites, path_taken_for_tests
from bench.run.options import OPTIONS
from bench.run.signals import Signals, StopSweep, sentence

if TYPE_CHECKING:
    # A Python that lacks torch is told so in one sentence: what brings it is imported late.
    from bench.records.schema import Record
    from bench.run.progress import Progress
    from bench.run.replay import Benchmark, ReplayClock
    from bench.run.whole import Sweep


class Reporter(Protocol):
    """What is used of pytest's terminal reporter, whose type is not public."""

    isatty: bool

    def rewrite(self, line: str, **markup: bool) -> None:
        """Writes over the present line."""

    def section(self, title: str) -> None:
        """Begins a section."""

    def write_line(self, line: str) -> None:
        """Writes a line."""


_SWEEP = pytest.StashKey["Sweep"]()
_CLOCK: "pytest.StashKey[ReplayClock]" = pytest.StashKey()
_SIGNALS = Signals()
# A run that lacks records although nothing failed; 1 is for a verdict or a failed case.
INCOMPLETE = 2
_CONCLUDE = "conclude_"
_ON_REQUEST = "test_load.py"


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """The options of a sweep, as text; :func:`bench.run.options.read_options` says what is wrong with one.

    Raises:
        pytest.UsageError: a conftest.py loads this module, too late to keep pytest out of an option's path.
    """
    late = any(
        Path(str(getattr(plugin, "__file__", ""))).name == "conftest.py" for plugin in pluginmanager.get_plugins()
    )
    taken = path_taken_for_tests(sys.argv[1:]) if late else None
    if taken is not None:
        raise pytest.UsageError(f"without the project's pyproject.toml an option and its path are one word: {taken}")
    if any("suites" in Path(argument).parts for argument in sys.argv[1:]):
        # As early as can be: torch takes seconds to come.
        _SIGNALS.install()
    group = parser.getgroup("sweep", "vocoder sweep (suites/)")
    for option in OPTIONS:
        if option.flag:
            group.addoption(option.name, dest=option.key, action="store_const", const="yes", help=option.help)
            continue
        group.addoption(option.name, metavar=option.metavar, dest=option.key, help=option.help)
        if option.old:
            help_text = f"old spelling of {option.name}"
            group.addoption(option.old, metavar=option.metavar, dest=option.old_key, help=help_text)


def pytest_configure(config: pytest.Config) -> None:
    """Reads the sweep's options before anything runs, so that a wrong one costs nothing."""
    if not _sweeps(config) or config.option.help:
        _SIGNALS.restore()
        return
    _SIGNALS.install()
    try:
        plugins = {name for name, plugin in config.pluginmanager.list_name_plugin() if plugin is not None}
        timeout = config.getini("timeout") if "timeout" in plugins else ""
        check_company(plugins, config.option.__dict__, str(timeout or ""))
        with _SIGNALS.raising():
            from bench.run.whole import read_sweep

            runs = not config.option.collectonly
            config.stash[_SWEEP] = read_sweep(config.option.__dict__, _SIGNALS, runs=runs)
    except StopSweep as stop:
        pytest.exit(str(stop), returncode=128 + stop.number)
    except InputError as error:
        pytest.exit(f"error: {error}", returncode=2)
    except ModuleNotFoundError as error:
        reason = not_installed(error)
        if reason is None:
            raise
        pytest.exit(f"error: {reason}", returncode=2)


def _sweeps(config: pytest.Config) -> bool:
    """Whether this call collects suites, and not only the project's own tests."""
    start = config.invocation_params.dir
    return collects_suites(Path(start, argument.partition("::")[0]) for argument in config.args)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Ends the workers and gives the signals back."""
    if _SWEEP in config.stash:
        config.stash[_SWEEP].close()
    _SIGNALS.restore()


def pytest_report_header(config: pytest.Config) -> list[str]:
    """What is about to run, and on which weights."""
    if _SWEEP not in config.stash:
        return []
    from bench.run.summary import shown

    sweep = config.stash[_SWEEP]
    weights = "; ".join(f"{version}: {weights.name}" for version, weights in sweep.about.weights.items())
    return [
        f"sweep: {len(sweep.cases)} cases on {sweep.settings.device}, {weights}",
        f"records: {shown(sweep.settings.directory)}",
        *(f"note: {note}" for note in sweep.notes),
    ]


def pytest_report_collectionfinish(config: pytest.Config, items: list[pytest.Item]) -> list[str]:
    """How long it will take, before it starts."""
    if _SWEEP not in config.stash or config.option.collectonly:
        return []
    from bench.run.summary import time_needed

    keys = [key for item in items if (key := _key(item)) and not _left_to_benchmark(config, key[0])]
    return [f"time: {time_needed(config.stash[_SWEEP], keys)}"]


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


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leaves the load suite to calls that name it: a case of it takes minutes."""
    named = any(collection_path.name in argument for argument in config.args)
    return True if collection_path.name == _ON_REQUEST and not named else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test a case; a stream is of each configuration's longest."""
    if "case" in metafunc.fixturenames and _SWEEP in metafunc.config.stash:
        from bench.run.order import utterances

        cases = metafunc.config.stash[_SWEEP].cases
        if "conclude_streaming" in metafunc.fixturenames:
            cases = utterances(cases)
        if "conclude_load" in metafunc.fixturenames:
            from bench.run.load.cases import load_cases

            cases = load_cases(cases)
        metafunc.parametrize("case", cases, ids=[case.id for case in cases])


@pytest.hookimpl(tryfirst=True)
def pytest_itemcollected(item: pytest.Item) -> None:
    """Gives every speed case the clock of its samples."""
    if "conclude_speed" in getattr(item, "fixturenames", ()):
        from bench.run import replay

        clock = item.config.stash.setdefault(_CLOCK, replay.ReplayClock())
        item.add_marker(pytest.mark.benchmark(timer=clock))
        # A case that fails has no durations to show.
        item.add_marker(pytest.mark.filterwarnings("ignore:Benchmark fixture was not used"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what a resumed run has already, and brings the cases of a worker together."""
    if _SWEEP not in config.stash:
        return
    from bench.run.order import in_order

    sweep = config.stash[_SWEEP]
    items[:] = [items[index] for index in in_order([_key(item) for item in items], sweep.cases)]
    done = sweep.done
    there = [item for item in items if _key(item) in done]
    if there:
        config.hook.pytest_deselected(items=there)
        items[:] = [item for item in items if _key(item) not in done]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Writes down which records belong to the run, before the first case."""
    config = session.config
    if _SWEEP not in config.stash or config.option.collectonly:
        return
    keys = [key for item in session.items if (key := _key(item)) and not _left_to_benchmark(config, key[0])]
    try:
        config.stash[_SWEEP].begin(keys)
    except InputError as error:
        pytest.exit(f"error: {error}", returncode=2)


def _key(item: pytest.Item) -> tuple[str, str] | None:
    """Kind and case id of the record that a test files; None where it files none."""
    kinds = [name.removeprefix(_CONCLUDE) for name in getattr(item, "fixturenames", ()) if name.startswith(_CONCLUDE)]
    case = getattr(getattr(item, "callspec", None), "params", {}).get("case")
    return (kinds[0], case.id) if kinds and case is not None else None


def _left_to_benchmark(config: pytest.Config, kind: str) -> bool:
    """Whether pytest-benchmark skips cases of this kind, as it was told to."""
    return bool(config.option.benchmark_skip if kind == "speed" else config.option.benchmark_only)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> None:
    """Begins no case after a signal."""
    if _SWEEP in item.config.stash and _SIGNALS.number is not None:
        pytest.exit(sentence(_SIGNALS.number))


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call() -> Iterator[None]:
    """Ends the sweep in order where a signal ended a case."""
    try:
        return (yield)
    except StopSweep as stop:
        # pytest's summary comes with its own exit code alone; pytest_sessionfinish puts the signal's in its place.
        pytest.exit(str(stop))


@pytest.fixture(scope="session")
def sweep(request: pytest.FixtureRequest) -> "Sweep":
    """The sweep, which does the cases."""
    return request.config.stash[_SWEEP]


@pytest.fixture
def conclude_speed(
    benchmark: "Benchmark", sweep: "Sweep", request: pytest.FixtureRequest
) -> Callable[["Record"], None]:
    """Files a record, shows its durations in pytest-benchmark's table, and passes, skips or fails."""
    from bench.records.schema import Speed
    from bench.run.replay import headline

    def conclude(record: "Record") -> None:
        _file(record, sweep)
        speed = record.answer(Speed)
        if speed is not None:
            case = record.case
            benchmark.group = f"{case.version} batch {case.batch}, {case.frames} frames"
            benchmark.extra_info.update(headline(record))
            request.config.stash[_CLOCK].replay(benchmark, speed.timing.samples_ms)
        _judge(record)

    return conclude


@pytest.fixture
def conclude_quality(sweep: "Sweep") -> Callable[["Record"], None]:
    """Files a record, and passes, warns, skips or fails by its verdict."""
    from bench.records.schema import Sound

    def conclude(record: "Record") -> None:
        _file(record, sweep)
        _judge(record)
        sound = record.answer(Sound)
        if sound is not None and sound.verdict == "fail":
            pytest.fail(f"fidelity fails: {sound.reason}", pytrace=False)
        if sound is not None and sound.verdict == "warn":
            sweep.warnings.append(f"fidelity of {record.id}: {sound.reason}")

    return conclude


@pytest.fixture
def conclude_streaming(sweep: "Sweep") -> Callable[["Record"], None]:
    """Files a record, and passes, skips or fails by its status; how a stream sounds is a figure."""

    def conclude(record: "Record") -> None:
        _file(record, sweep)
        _judge(record)

    return conclude


@pytest.fixture
def conclude_load(sweep: "Sweep") -> Callable[["Record"], None]:
    """Files a record, and passes, skips or fails: one wrong answer is a failure."""
    from bench.records.kinds.load import Load

    def conclude(record: "Record") -> None:
        _file(record, sweep)
        _judge(record)
        load = record.answer(Load)
        if load is not None and load.wrong:
            pytest.fail(f"{load.wrong} of {load.checked} answers are not their request's sound", pytrace=False)

    return conclude


def _file(record: "Record", sweep: "Sweep") -> None:
    try:
        sweep.file(record)
    except OSError as error:
        pytest.exit(f"error: cannot write to {sweep.settings.directory}: {error.strerror}", returncode=2)


def _judge(record: "Record") -> None:
    """Passes, skips or fails the test as the record's status says."""
    from bench.records.schema import Status

    if record.status in (Status.UNAVAILABLE, Status.UNSUPPORTED, Status.SKIPPED):
        pytest.skip(record.reason)
    if record.status is not Status.OK:
        pytest.fail(f"{record.status}: {record.reason}", pytrace=False)


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Adds the GPU and the versions that figures depend on to pytest-benchmark's JSON."""
    if _SWEEP in config.stash:
        environment = config.stash[_SWEEP].about.environment
        machine_info.update({key: environment[key] for key in ("gpu", "versions", "threads", "git")})


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Writes down how the run ended; a run that lacks records does not end with 0."""
    if _SWEEP not in session.config.stash:
        return
    sweep = session.config.stash[_SWEEP]
    missing = sweep.end()
    if _SIGNALS.code is not None:
        session.exitstatus = _SIGNALS.code
    elif missing and exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = INCOMPLETE
    elif sweep.done and exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
        session.exitstatus = pytest.ExitCode.OK


def pytest_terminal_summary(terminalreporter: Reporter, config: pytest.Config) -> None:
    """Says how the cases ended, what is missing and where the records are."""
    if _SWEEP not in config.stash or config.stash[_SWEEP].plan is None:
        return
    from bench.recommend.table import answers
    from bench.run.summary import summary

    sweep = config.stash[_SWEEP]
    terminalreporter.section("records")
    for line in summary(sweep):
        terminalreporter.write_line(line)
    for line in answers(sweep.settings.directory):
        terminalreporter.write_line(line)
