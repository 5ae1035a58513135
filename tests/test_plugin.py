"""The wiring of a sweep, in small pytest runs of their own: options, header, outcomes, summary and exit codes."""

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bench.plugin import SweepProgress
from bench.records.jsonl import read_records
from bench.records.plan import read_plan
from bench.records.schema import Speed
from bench.run.replay import ReplayClock
from tests.conftest import PACKAGE

pytest_plugins = ["pytester"]

# Suites whose cases end as the batch says, without running a vocoder.
SUITE = """
from dataclasses import replace

import pytest

from bench.records.schema import Status
from tests.synthetic_records import failed_record, quality_record, speed_record

STATUS = {2: Status.UNSUPPORTED, 3: Status.CRASHED, 4: Status.UNAVAILABLE}


def outcome(case, kind, good):
    if case.batch == 5:
        import warnings
        warnings.warn("a library's remark")
    if case.batch in STATUS:
        return replace(failed_record(case, STATUS[case.batch], "because."), kind=kind)
    return good(case)


def test_speed(case, sweep, conclude_speed):
    record = outcome(case, "speed", speed_record)
    conclude_speed(replace(record, run_id=sweep.settings.run_id))


def test_quality(case, sweep, conclude_quality):
    record = outcome(case, "quality", quality_record)
    conclude_quality(replace(record, run_id=sweep.settings.run_id))
"""

PROFILE = """
[[grid]]
versions = ["v3"]
backends = ["eager"]
precisions = ["fp32"]
batches = [1, 2, 3, 4, 5]
frames = [2]
"""


# Forgets the first record.
FORGETFUL = """
import pytest


@pytest.fixture(autouse=True)
def forget(sweep, case, monkeypatch):
    if case.batch == 1:
        monkeypatch.setattr(type(sweep), "file", lambda self, record: None)
"""


class Checkout:
    """A small checkout with the wiring, a suite and a profile."""

    def __init__(self, pytester: pytest.Pytester, weights: Path) -> None:
        self._pytester, self.weights = pytester, (f"--weights={weights}",)
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
        given = ("--profile=small.toml", *self.weights, "--device=cpu", "--threads=1")
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
    measured = {record.id: speed for record in records if (speed := record.answer(Speed)) is not None}
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
    """One sentence and exit code 2, before anything is measured, where a record has no place."""
    Path("results").write_text("a file", encoding="utf-8")
    result = checkout.sweep("--batches=1")
    assert result.ret == 2
    text = result.stdout.str() + result.stderr.str()
    assert "error: cannot write to " in text
    assert "give another folder with --results" in text
    assert "collected" not in text


def test_a_run_that_lacks_records_does_not_end_with_0(checkout: Checkout) -> None:
    """Where a record is gone at the end, the summary says which, the plan says incomplete, and the exit code is 2."""
    (Path("suites") / "conftest.py").write_text(FORGETFUL, encoding="utf-8")
    result = checkout.sweep("--batches=1,5", "--benchmark-only")
    assert result.ret == 2
    out = result.stdout.str()
    assert "incomplete: 1 records are missing: speed of v3-eager-fp32-b1-t2" in out
    [run] = Path("results").iterdir()
    plan = read_plan(run)
    assert plan is not None
    assert (plan.ended, [name for _, name in plan.expected]) == (
        "incomplete",
        ["v3-eager-fp32-b1-t2", "v3-eager-fp32-b5-t2"],
    )
    # What is missing is done by a resumed sweep, and nothing else.
    (Path("suites") / "conftest.py").unlink()
    again = checkout.run("suites", f"--resume={run}", "--benchmark-only")
    again.assert_outcomes(passed=1, skipped=2, deselected=1)
    assert again.ret == 0
    assert len(checkout.records()) == 2
    ended = read_plan(run)
    assert ended is not None
    assert ended.ended == "complete"
    nothing = checkout.run("suites/test_suite.py", "-k", "speed", f"--resume={run}")
    assert nothing.ret == 0
    assert len(checkout.records()) == 2


def test_what_a_sweep_cannot_run_with(checkout: Checkout) -> None:
    """Spread cases and a missing pytest-benchmark are one sentence and exit code 2."""
    for arguments, sentence in {
        ("-n2",): "error: a sweep times its cases one after another: leave out -n and --dist of pytest-xdist",
        ("-p", "no:benchmark"): "error: a sweep needs pytest-benchmark: leave out -p no:benchmark",
    }.items():
        result = checkout.sweep(*arguments)
        text = result.stdout.str() + result.stderr.str()
        assert result.ret == 2, text
        assert sentence in text
        assert "Traceback" not in text
    checkout.run("own", "-p", "no:benchmark").assert_outcomes(passed=1)


def test_a_path_with_a_blank_is_no_test(checkout: Checkout) -> None:
    """Code beside the value of an option is never run, also where the plugin comes as late as conftest.py."""
    voice = Path("voice")
    voice.mkdir()
    (voice / "conftest.py").write_text("print('CODE BESIDE IT RAN', flush=True)", encoding="utf-8")
    for option in ("--audio", "--results", "--engine-cache", "--resume", "--weights"):
        early = checkout.run("-p", "bench.plugin", "suites", option, "voice", "-s", "--collect-only")
        late = checkout.run("suites", option, "voice", "-s", "--collect-only")
        for result in (early, late):
            assert "CODE BESIDE IT RAN" not in result.stdout.str() + result.stderr.str()
        assert late.ret == 4
        assert f"an option and its path are one word: {option}=voice" in late.stderr.str()


def test_a_checkout_is_reached_by_any_path(checkout: Checkout, tmp_path: Path) -> None:
    """A symbolic link and a --rootdir lead to a sweep."""
    link = tmp_path / "link"
    link.symlink_to(Path.cwd())
    for arguments in ((f"{link}/suites",), ("suites", f"--rootdir={Path.cwd().parent}")):
        result = checkout.run(
            *arguments, "--profile=small.toml", "--batches=1", "--device=cpu", "--threads=1", *checkout.weights
        )
        assert result.ret == 0, result.stdout.str()
        result.assert_outcomes(passed=2)


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
