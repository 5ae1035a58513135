"""The wiring of a sweep, in small pytest runs of their own: options, header, outcomes, summary and exit codes."""

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bench.plugin import ReplayClock, SweepProgress
from bench.records.jsonl import read_records
from tests.conftest import PACKAGE

pytest_plugins = ["pytester"]

# Suites whose cases end as the batch says, without running a vocoder.
SUITE = """
from dataclasses import replace

import pytest

from bench.records.schema import Status
from tests.synthetic_records import failed_record, quality_record, speed_record

STATUS = {2: Status.UNSUPPORTED, 3: Status.CRASHED, 4: Status.UNAVAILABLE}


def outcome(case, session, good):
    if case.batch == 5:
        import warnings
        warnings.warn("a library's remark")
    if case.batch in STATUS:
        return failed_record(case, STATUS[case.batch], "because.")
    return good(case)


def test_speed(case, session, conclude_speed):
    record = outcome(case, session, speed_record)
    conclude_speed(replace(record, run_id=session.settings.run_id))


def test_quality(case, session, conclude_quality):
    record = outcome(case, session, quality_record)
    conclude_quality(replace(record, run_id=session.settings.run_id))
"""

PROFILE = """
[[grid]]
versions = ["v3"]
backends = ["eager"]
precisions = ["fp32"]
batches = [1, 2, 3, 4, 5]
frames = [2]
"""


class Checkout:
    """A small checkout with the wiring, a suite and a profile."""

    def __init__(self, pytester: pytest.Pytester, weights: Path) -> None:
        self._pytester, self._weights = pytester, weights
        pytester.makeconftest('pytest_plugins = ["bench.plugin"]')
        pytester.makefile(".toml", small=PROFILE)
        suites = pytester.mkdir("suites")
        (suites / "test_suite.py").write_text(SUITE, encoding="utf-8")
        tests = pytester.mkdir("own")
        (tests / "test_own.py").write_text("def test_own(): pass", encoding="utf-8")

    def run(self, *arguments: str) -> pytest.RunResult:
        """Runs pytest in a process of its own, as a user does."""
        return self._pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments)

    def sweep(self, *arguments: str) -> pytest.RunResult:
        """Sweeps the profile with the small weights."""
        given = ("--profile=small.toml", f"--weights={self._weights}", "--device=cpu", "--threads=1")
        return self.run("suites", *given, *arguments)

    def records(self) -> list[Any]:
        """The records of the only run."""
        [run] = (self._pytester.path / "results").iterdir()
        return read_records(run)


@pytest.fixture
def checkout(pytester: pytest.Pytester, v3_directory: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    """The small checkout."""
    root = str(Path(__file__).resolve().parents[1])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([PACKAGE, root]))
    for name in [name for name in os.environ if "XDIST" in name]:
        monkeypatch.delenv(name)
    return Checkout(pytester, v3_directory)


def test_a_sweep_of_every_outcome(checkout: Checkout) -> None:
    """Each outcome passes, skips or fails its test and is filed; a warning of a library breaks nothing."""
    result = checkout.sweep("--benchmark-json=benchmark.json")
    result.assert_outcomes(passed=4, skipped=4, failed=2, warnings=2)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    records = checkout.records()
    assert len(records) == 10
    out = result.stdout.str()
    assert "sweep: 5 cases on cpu, v3: " in out
    assert "crashed: because." in out
    assert "4 ok, 2 unsupported, 2 crashed, 2 unavailable" in out
    assert "Traceback" not in out
    data = json.loads(Path("benchmark.json").read_text(encoding="utf-8"))
    measured = {record.id: record for record in records if record.timing is not None}
    assert {entry["extra_info"]["id"] for entry in data["benchmarks"]} == set(measured)
    for entry in data["benchmarks"]:
        timing = measured[entry["extra_info"]["id"]].timing
        assert [1000 * sample for sample in entry["stats"]["data"]] == pytest.approx(timing.samples_ms)
    assert data["machine_info"]["threads"] == 1


def test_old_spellings_are_told_once(checkout: Checkout) -> None:
    """``--engines`` and ``--twins`` work; the header says how they are spelled now, once each."""
    result = checkout.sweep("--engines=off", "--twins=off", "--batches=1", "--benchmark-only")
    assert result.ret == 0
    for old, new in (("--engines", "--engine-cache"), ("--twins", "--static-baseline")):
        assert result.stdout.str().count(f"note: {old} is now spelled {new}; the old spelling still works") == 1


def test_a_mistake_is_one_sentence_and_2(checkout: Checkout) -> None:
    """A wrong option or value ends the call before anything runs."""
    for argument, sentence in {
        "--static-baseline=some": "error: --static-baseline is all, best or off, not 'some'",
        "--frames=0": "error: frames are whole numbers from 1, not '0'",
    }.items():
        result = checkout.sweep(argument)
        text = result.stdout.str() + result.stderr.str()
        assert result.ret == 2
        assert text.count("error:") == text.count(sentence) == 1
        assert "Traceback" not in text
    assert not Path("results").exists()


def test_results_that_cannot_be_written_end_the_sweep(checkout: Checkout) -> None:
    """One sentence and exit code 2 where a record has no place."""
    Path("results").write_text("a file", encoding="utf-8")
    result = checkout.sweep("--batches=1")
    assert result.ret == 2
    assert "error: cannot write to results" in result.stdout.str() + result.stderr.str()


def test_the_projects_own_tests_need_no_sweep(checkout: Checkout) -> None:
    """A call that collects no suite reads no option of a sweep and makes no run."""
    result = checkout.run("own", "--profile=none")
    result.assert_outcomes(passed=1)
    assert "sweep:" not in result.stdout.str()
    assert not Path("results").exists()


def test_help_lists_the_options(checkout: Checkout) -> None:
    """``--help`` shows every option of the table, also where a profile is wrong."""
    result = checkout.run("suites", "--help", "--profile=none")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*--engine-cache=DIR*", "*--engines=DIR*old spelling of --engine-cache*"])


class FakeBenchmark:
    """Times a call by a clock, as pytest-benchmark does."""

    group: str | None = None

    def __init__(self, clock: ReplayClock) -> None:
        self.extra_info: dict[str, Any] = {}
        self.clock, self.durations_s = clock, list[float]()

    def pedantic(self, target: Any, *, rounds: int, iterations: int) -> None:
        """One round a call."""
        assert iterations == 1
        for _ in range(rounds):
            started = self.clock()
            target()
            self.durations_s.append(self.clock() - started)


def test_the_clock_replays_samples() -> None:
    """A round lasts as long as its sample, and a second case begins with its own."""
    clock = ReplayClock()
    for samples in ((1.0, 2.5, 0.5), (7.0,)):
        benchmark = FakeBenchmark(clock)
        clock.replay(benchmark, samples)
        assert [1000 * second for second in benchmark.durations_s] == pytest.approx(samples)


class Watched:
    """A terminal reporter that keeps its lines."""

    isatty = True

    def __init__(self) -> None:
        self.lines: list[str] = []

    def rewrite(self, line: str, **markup: bool) -> None:
        """Keeps a line."""
        assert markup == {"erase": True}
        self.lines.append(line)

    def section(self, title: str) -> None:
        """Nothing."""

    def write_line(self, line: str) -> None:
        """Nothing."""


def test_a_terminal_shows_which_case_runs() -> None:
    """Which of how many and its name; outcomes are counted without a letter, and the line is wiped at the end."""
    reporter = Watched()
    watch = SweepProgress(reporter)
    watch.pytest_collection_finish(cast("pytest.Session", SimpleNamespace(items=[1, 2])))
    for name in ("test_speed[a]", "test_speed[b]"):
        watch.pytest_runtest_logstart(("suites/test_speed.py", 1, name))
    watch.pytest_sessionfinish()
    assert reporter.lines[0] == "case 1 of 2: test_speed[a]"
    assert reporter.lines[1].startswith("case 2 of 2, ")
    assert reporter.lines[1].endswith(" left: test_speed[b]")
    assert reporter.lines[2] == ""

    def status(when: str) -> tuple[str, str, str] | None:
        report = SimpleNamespace(when=when, outcome="failed", skipped=False)
        return watch.pytest_report_teststatus(cast("pytest.TestReport", report))

    assert status("call") == ("failed", "", "")
    assert status("setup") is None
