"""The wiring between pytest, pytest-benchmark and bench; nothing else."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

PROFILE_OF_DEVICE = {"cpu": "smoke", "cuda": "standard"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of a sweep. Lists are comma-separated and take an axis's place in the profile."""
    group = parser.getgroup("sweep", "vocoder sweep (suites/)")
    group.addoption(
        "--profile",
        metavar="NAME",
        help="smoke, standard, full, nightly, shapes, or a .toml file (default: smoke on a CPU, standard on a GPU)",
    )
    group.addoption("--versions", metavar="LIST", help="v3,v4")
    group.addoption("--backends", metavar="LIST", help="such as eager,torchscript,tensorrt")
    group.addoption("--precisions", metavar="LIST", help="such as fp32,tf32,fp16,bf16,autocast,int8,fp8")
    group.addoption("--batches", metavar="LIST", help="such as 1,4")
    group.addoption("--frames", metavar="LIST", help="mel frames, such as 23,468 or t_ref,t_chunk")
    group.addoption("--device", metavar="DEVICE", help="cpu or cuda:N (default: the first GPU, else cpu)")
    group.addoption(
        "--weights",
        metavar="LIST",
        help="v3 directory, v4 vocoder.pth or GPT-SoVITS checkout (default: synthetic weights)",
    )
    group.addoption("--audio", metavar="FILE", help="speech for the inputs (default: the clip in bench/data)")
    group.addoption("--results", metavar="DIR", default="results", help="where runs go (default: results)")
    group.addoption(
        "--engines", metavar="DIR", help="where built engines are kept, or off (default: the user's cache directory)"
    )
    group.addoption(
        "--twins",
        metavar="WHERE",
        default="all",
        help="for which shapes an engine for many is compared with one for the shape alone: all, best (those that it "
        "is tuned for) or off (default: all)",
    )
    group.addoption("--threads", metavar="N", type=int, help="CPU threads (default: physical cores)")
    group.addoption("--seed", metavar="N", type=int, default=0, help="seed of weights and order (default: 0)")


def _sweeps(config: pytest.Config) -> bool:
    """Whether this call collects suites, and not only the project's own tests."""
    suites = config.rootpath / "suites"
    arguments = (Path(config.invocation_params.dir, arg.partition("::")[0]).resolve() for arg in config.args)
    return any(suites.is_relative_to(path) or path.is_relative_to(suites) for path in arguments)


def pytest_configure(config: pytest.Config) -> None:
    """Reads the sweep's options before anything runs, so that a wrong one costs nothing."""
    if not _sweeps(config) or config.option.help:
        return
    from bench.errors import InputError, not_installed

    try:
        config.stash[_SWEEP] = _read_sweep(config)
    except InputError as error:
        pytest.exit(f"error: {error}", returncode=2)
    except ModuleNotFoundError as error:
        reason = not_installed(error)
        if reason is None:
            raise
        pytest.exit(f"error: {reason}", returncode=2)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Shows progress where somebody watches."""
    config = session.config
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if _SWEEP in config.stash and reporter is not None and reporter.isatty and config.option.verbose == 0:
        config.pluginmanager.register(SweepProgress(reporter))


class SweepProgress:
    """On a terminal, which case of how many runs and the time left, in place of pytest's letters."""

    def __init__(self, reporter: Any) -> None:
        self._reporter, self._progress = reporter, None

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


_SWEEP = pytest.StashKey[Any]()
_WARNINGS = pytest.StashKey[list[str]]()


def _read_sweep(config: pytest.Config) -> tuple[list[Any], Any]:
    """The cases and settings that the command line asks for, every input tried out."""
    import torch

    from bench.errors import InputError
    from bench.measure.environment import physical_cores
    from bench.run.device import find_device
    from bench.run.run_id import new_run_id
    from bench.run.session import engine_store, load, speech
    from bench.run.settings import Settings
    from bench.run.sweep import AXES, load_profile, split_list

    option = config.option
    device = find_device(option.device)
    threads = physical_cores() if option.threads is None else option.threads
    if threads < 1:
        raise InputError(f"--threads is a whole number from 1, not {threads}")
    if option.twins not in ("all", "best", "off"):
        raise InputError(f"--twins is all, best or off, not {option.twins!r}")
    profile = load_profile(option.profile or PROFILE_OF_DEVICE[device.type])
    given = {axis: getattr(option, axis) for axis in AXES if getattr(option, axis) is not None}
    cases = profile.cases({axis: split_list(f"--{axis}", text) for axis, text in given.items()})
    settings = Settings(
        run_id=new_run_id(datetime.now(UTC), Path(option.results)),
        results=option.results,
        device=str(device),
        weights=() if option.weights is None else tuple(split_list("--weights", option.weights)),
        seed=option.seed,
        audio=option.audio,
        threads=threads,
        engines=option.engines,
        twins=option.twins,
        stop=profile.stop,
    )
    if option.benchmark_disable:
        settings = replace(settings, stop=replace(settings.stop, min_rounds=1, max_rounds=1))
    torch.set_num_threads(threads)
    engine_store(option.engines)
    for version in dict.fromkeys(case.version for case in cases):
        vocoder, _ = load(version, settings.weights, settings.seed)
        speech(settings.audio, vocoder.spec)
    return cases, settings


def pytest_report_header(config: pytest.Config) -> list[str]:
    """What is about to run, and on which weights."""
    if _SWEEP not in config.stash:
        return []
    from bench.run.session import load

    cases, settings = config.stash[_SWEEP]
    names = dict.fromkeys(
        f"{version}: {load(version, settings.weights, settings.seed)[1].name}"
        for version in dict.fromkeys(case.version for case in cases)
    )
    return [
        f"sweep: {len(cases)} cases on {settings.device}, {'; '.join(names)}",
        f"records: {settings.directory}",
    ]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test a case."""
    if "case" in metafunc.fixturenames and _SWEEP in metafunc.config.stash:
        cases, _ = metafunc.config.stash[_SWEEP]
        metafunc.parametrize("case", cases, ids=[case.id for case in cases])


@pytest.fixture(scope="session")
def settings(request: pytest.FixtureRequest) -> Any:
    """The run's settings."""
    return request.config.stash[_SWEEP][1]


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

    def replay(self, benchmark: Any, samples_ms: tuple[float, ...]) -> None:
        """Lets ``benchmark`` time these samples, one a round."""
        self._rest_s = itertools.chain(sample / 1000 for sample in samples_ms)
        benchmark.pedantic(self.advance, rounds=len(samples_ms), iterations=1)


_CLOCK = ReplayClock()


@pytest.hookimpl(tryfirst=True)
def pytest_itemcollected(item: pytest.Item) -> None:
    """Gives every speed case the clock of its samples."""
    if "conclude_speed" in getattr(item, "fixturenames", ()):
        item.add_marker(pytest.mark.benchmark(timer=_CLOCK))
        # A case that fails has no durations to show.
        item.add_marker(pytest.mark.filterwarnings("ignore:Benchmark fixture was not used"))


def _file(record: Any, settings: Any) -> None:
    from bench.records.jsonl import append_record

    try:
        append_record(settings.directory, record)
    except OSError as error:
        pytest.exit(f"error: cannot write to {settings.directory}: {error.strerror}", returncode=2)


def _judge(record: Any) -> None:
    """Passes, skips or fails the test as the record's status says."""
    from bench.records.schema import Status

    if record.status in (Status.UNAVAILABLE, Status.UNSUPPORTED):
        pytest.skip(record.reason)
    if record.status is not Status.OK:
        pytest.fail(f"{record.status}: {record.reason}", pytrace=False)


@pytest.fixture
def conclude_speed(benchmark: Any, settings: Any) -> Callable[[Any], None]:
    """Files a record, shows its durations in pytest-benchmark's table, and passes, skips or fails."""

    def conclude(record: Any) -> None:
        _file(record, settings)
        if record.result is not None:
            case = record.case
            benchmark.group = f"{case.version} batch {case.batch}, {case.frames} frames"
            benchmark.extra_info.update(_headline(record))
            _CLOCK.replay(benchmark, record.result.timing.samples_ms)
        _judge(record)

    return conclude


@pytest.fixture
def conclude_quality(settings: Any, request: pytest.FixtureRequest) -> Callable[[Any], None]:
    """Files a record, and passes, warns, skips or fails by its verdict."""

    def conclude(record: Any) -> None:
        _file(record, settings)
        _judge(record)
        verdict, reason = record.result.verdict, record.result.reason
        if verdict == "fail":
            pytest.fail(f"fidelity fails: {reason}", pytrace=False)
        if verdict == "warn":
            request.config.stash.setdefault(_WARNINGS, []).append(f"{record.id}: {reason}")

    return conclude


def _headline(record: Any) -> dict[str, Any]:
    """What pytest-benchmark's JSON says of a case beside its durations; the record says more."""
    speed = record.result
    same = speed.speedup_same_precision
    return {
        "id": record.id,
        "run_id": record.run_id,
        "weights": record.weights.name,
        "clock": speed.timing.clock,
        "stop_reason": speed.timing.stop_reason,
        "audio_s_per_s": speed.throughput.audio_s_per_s,
        "real_time_factor": speed.throughput.real_time_factor,
        "speedup_same_precision": same.ratio if same else None,
        "speedup_fp32": speed.speedup_fp32.ratio,
        "compute": record.precision.compute,
    }


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Adds the GPU and the versions that figures depend on to pytest-benchmark's JSON."""
    if _SWEEP not in config.stash:
        return
    import torch

    from bench.measure.environment import capture

    _, settings = config.stash[_SWEEP]
    environment = capture(torch.device(settings.device))
    machine_info.update({key: environment[key] for key in ("gpu", "versions", "threads", "git")})


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Says how the cases ended and where the records are."""
    if _SWEEP not in config.stash:
        return
    from bench.records.jsonl import read_records
    from bench.records.schema import FILE_NAME

    _, settings = config.stash[_SWEEP]
    file = settings.directory / FILE_NAME
    if not file.is_file():
        return
    records = read_records(file)
    counts = Counter(record.status for record in records)
    weights = dict.fromkeys(record.weights.name for record in records if record.weights)
    terminalreporter.section("records")
    terminalreporter.write_line(", ".join(f"{count} {status}" for status, count in counts.items()))
    terminalreporter.write_line(f"weights: {'; '.join(weights)}")
    for warning in config.stash.get(_WARNINGS, []):
        terminalreporter.write_line(f"fidelity warning: {warning}")
    terminalreporter.write_line(str(file))
