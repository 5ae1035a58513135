"""Every fault of a backend, in real worker processes: it costs its own row, which says why, and no other."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import bench.backends
from bench import backends as discovery
from bench.backend import REGISTRY
from bench.case import Case
from bench.measure.sampling import StopRule
from bench.records.jsonl import read_records
from bench.records.plan import read_plan
from bench.records.schema import Record, Status
from bench.run.isolation import Cases
from bench.run.job import Kind
from bench.run.limits import Limits
from bench.run.settings import Settings
from bench.run.tryout import try_out
from tests.conftest import PACKAGE, ROOT

FAULTY = Path(__file__).with_name("faulty.py")
# Makes the planted file part of the backends' folder in every Python that is started.
SITE = """
import sys, importlib.abc, importlib.util

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "bench.backends":
            sys.meta_path.remove(self)
            spec = importlib.util.find_spec(name)
            spec.submodule_search_locations.append({folder!r})
            return spec

sys.meta_path.insert(0, Finder())
"""


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Plants the faulty backend in this process and in those that it starts; returns a folder for results."""
    before = dict(discovery.backends())
    folder = tmp_path / "planted"
    folder.mkdir()
    (folder / "faulty.py").write_text(FAULTY.read_text(encoding="utf-8"), encoding="utf-8")
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(SITE.format(folder=str(folder)), encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), PACKAGE, str(ROOT)]))
    monkeypatch.setattr(bench.backends, "__path__", [*bench.backends.__path__, str(folder)])
    monkeypatch.setattr(discovery, "_broken", {})
    monkeypatch.setattr(discovery, "_unchecked", set())
    yield tmp_path / "results"
    REGISTRY.clear()
    REGISTRY.update(before)
    sys.modules.pop("bench.backends.faulty", None)


@pytest.fixture
def settings(planted: Path, v3_directory: Path) -> Settings:
    """Two rounds a case, of a small network."""
    stop = StopRule(min_rounds=2, min_time_s=0.0, relative_width=10.0, time_limit_s=5.0, max_rounds=2)
    return Settings("run", str(planted), weights=(str(v3_directory),), threads=1, stop=stop)


@pytest.fixture
def cases(settings: Settings) -> Iterator[Cases]:
    """Does cases of the faulty backend in workers, under limits that a test can wait for."""
    cases = Cases(settings, Limits(case_s=120.0, build_s=60.0, memory_bytes=3 << 30))
    yield cases
    cases.close()


@pytest.fixture
def here(settings: Settings) -> Iterator[Cases]:
    """Does cases in this process, where a fault that ends none is as good as in a worker."""
    cases = Cases(settings, in_process=True)
    yield cases
    cases.close()


def case_of(at: str = "", how: str = "", frames: int = 2) -> Case:
    """A case whose backend fails so."""
    return Case("v3", "faulty", "fp32", 1, frames, (("at", at), ("how", how)) if at else ())


def check_fault(record: Record, status: Status, reason: str) -> None:
    """The row of a fault, whole: case, cause, weights and speech."""
    assert record.status is status, record.reason
    assert reason in record.reason
    assert "\n" not in record.reason
    assert record.weights is not None
    assert record.audio is not None
    assert record.result is None


def test_a_fault_that_ends_the_process_costs_its_own_row(cases: Cases) -> None:
    """The row says how the process ended; the case after the last of them is measured."""
    for at, how, reason in (
        ("prepare", "segv", "the process ended by signal SIGSEGV"),
        ("run", "abort", "the process ended by signal SIGABRT"),
        ("run", "kill", "the process ended by signal SIGKILL, which nobody here sent"),
        ("run", "exit0", "the process ended by exit status 0"),
        ("close", "exit7", "the process ended by exit status 7"),
        ("run", "sysexit", "SystemExit: 3"),
        ("run", "interrupt", "KeyboardInterrupt"),
        ("prepare", "norunner", "the backend faulty handed back a NoneType, which is no Runner"),
        ("details", "cycle", "the backend faulty gives build details that JSON cannot hold"),
    ):
        check_fault(cases.perform(Kind.SPEED, case_of(at, how)), Status.CRASHED, reason)
    check_fault(
        cases.perform(Kind.SPEED, case_of("prepare", "changes")),
        Status.WRONG_OUTPUT,
        "the backend faulty changed the vocoder that other cases share.",
    )
    after = cases.perform(Kind.SPEED, case_of())
    assert after.status is Status.OK, after.reason


@pytest.mark.parametrize(
    ("at", "how", "reason"),
    [
        ("prepare", "base", "OddError: planted base exception"),
        ("run", "raise", "RuntimeError: planted: it raises"),
        ("prepare", "input", "InputError: planted input error"),
        ("close", "raise", "RuntimeError: planted: it raises"),
        ("prepare", "norunner", "the backend faulty handed back a NoneType, which is no Runner"),
        ("effective", "none", "Runner.effective gave a NoneType"),
        *(("details", how, "the backend faulty gives build details that JSON cannot hold")
          for how in ("nan", "set", "bytes", "tensor", "cycle", "surrogate")),
    ],
)  # fmt: skip
def test_what_is_raised_costs_its_own_row(here: Cases, at: str, how: str, reason: str) -> None:
    """The row says what was raised; the case after it is measured."""
    record = here.perform(Kind.SPEED, case_of(at, how))
    assert record.status is Status.CRASHED
    assert reason in record.reason
    assert here.perform(Kind.SPEED, case_of()).status is Status.OK


@pytest.mark.parametrize(
    ("at", "how", "reason"),
    [
        ("run", "double", "the waveform is float64, which fp32 is not."),
        ("run", "int16", "the waveform is int16, which fp32 is not."),
        ("run", "constant", "the waveform is constant."),
        ("run", "silent", "the waveform is silent."),
        ("run", "nan", "the waveform holds NaN or infinity."),
        ("run", "loud", "the waveform's level is +600 dB from eager float32's."),
        ("run", "longer", "instead of (1, 1, 512)."),
        ("run", "nothing", "the runner returned a NoneType, which is no tensor."),
        ("run", "stale", "the second is a stale buffer."),
        ("run", "eats", "the call changes its input."),
        ("prepare", "changes", "the backend faulty changed the vocoder that other cases share."),
    ],
)
def test_no_wrong_waveform_is_ok(here: Cases, at: str, how: str, reason: str) -> None:
    """The speed suite refuses what is not the label's waveform; the next case runs on the vocoder as it was."""
    check_fault(here.perform(Kind.SPEED, case_of(at, how)), Status.WRONG_OUTPUT, reason)
    assert here.perform(Kind.SPEED, case_of()).status is Status.OK


def test_what_is_not_here_is_asked_once(cases: Cases, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend that is unavailable on a device is so for every case of it, and no other process is started."""
    monkeypatch.setenv("FAULTY", "away")
    first, second = (
        cases.perform(kind, case_of(frames=frames)) for kind, frames in ((Kind.SPEED, 2), (Kind.QUALITY, 3))
    )
    assert first.status is second.status is Status.UNAVAILABLE
    assert first.reason == second.reason
    assert "it is away, says process" in first.reason
    assert (second.kind, second.case.frames) == ("quality", 3)


def test_backends_are_asked_before_the_first_case(cases: Cases, monkeypatch: pytest.MonkeyPatch) -> None:
    """All in one process; one that ends it is left to its own case, and no weights are needed."""
    eager = Case("v3", "eager", "fp32", 1, 2)
    monkeypatch.setenv("FAULTY", "away")
    assert "it is away, says process" in cases.probe([eager, case_of()])["faulty"]
    assert cases.perform(Kind.SPEED, case_of()).status is Status.UNAVAILABLE
    monkeypatch.setenv("FAULTY", "unavailable:exit0")
    again = Cases(Settings("run", weights=("/nowhere",), threads=1))
    assert again.probe([case_of(), eager]) == {}
    assert again.probe([case_of()]) == {}
    again.close()


def test_what_harms_nobody_is_measured(cases: Cases) -> None:
    """Another folder, threads, defaults, a warning or a child that escaped change no row."""
    for how in ("chdir", "threads", "warn", "float64", "fork", "closestd", ""):
        record = cases.perform(Kind.SPEED, case_of("prepare" if how else "", how))
        assert record.status is Status.OK, (how, record.reason)
        assert record.environment["threads"] == 1


def test_time_and_memory_have_limits(settings: Settings) -> None:
    """A build or a call that takes too long, or too much memory, is a row; what is larger than that is skipped."""
    for at, given, reason in (
        ("prepare", Limits(case_s=120.0, build_s=3.0), "the build took longer than 3 s"),
        ("run", Limits(case_s=15.0, build_s=60.0), "no answer within 15 s"),
        ("run", None, "the time of the whole sweep was over"),
    ):
        limits = given or Limits(end_s=time.monotonic() + 20.0)
        cases = Cases(settings, limits)
        record = cases.perform(Kind.SPEED, case_of(at, "hang"))
        assert (record.status, record.reason.rstrip(".")) == (Status.TIMEOUT, reason)
        if limits.end_s is not None:
            assert cases.perform(Kind.SPEED, case_of()).status is Status.SKIPPED
        cases.close()
    cases = Cases(settings, Limits(memory_bytes=2 << 30))
    record = cases.perform(Kind.SPEED, case_of("run", "memory"))
    assert record.status is Status.OUT_OF_MEMORY
    assert "GiB of memory, more than its 2.00 GiB" in record.reason
    larger = cases.perform(Kind.SPEED, case_of("run", "memory", frames=3))
    reason = "the smaller v3-faulty-fp32-b1-t2-at=run-how=memory ran out of memory."
    assert (larger.status, larger.reason) == (Status.SKIPPED, reason)
    assert cases.perform(Kind.SPEED, case_of("run", "torchmemory")).status is Status.OUT_OF_MEMORY
    cases.close()


def test_last_words_are_kept(cases: Cases, planted: Path) -> None:
    """What the process printed lies beside the records, with the whole traceback."""
    record = cases.perform(Kind.SPEED, case_of("run", "raise"))
    log = (planted / "run" / record.files["log"]).read_text(encoding="utf-8")
    assert "Traceback (most recent call last)" in log
    assert "second line" in log


@pytest.mark.parametrize("stage", ["import", "check"])
@pytest.mark.parametrize("how", ["raise", "segv", "exit0", "sysexit", "base", "hang"])
def test_discovery_survives(planted: Path, monkeypatch: pytest.MonkeyPatch, stage: str, how: str) -> None:
    """A file that ends or hangs the process as it is imported or checks a case leaves every other backend there."""
    assert not planted.exists()
    monkeypatch.setenv("FAULTY", f"{stage}:{how}")

    def look() -> None:
        discovery.backends()
        discovery.check(case_of())

    try_out(look, limit_s=10.0)
    look()
    assert {"eager", "torchscript", "faulty"} <= set(discovery.backends())
    if stage == "import":
        with pytest.raises(ImportError, match=r"^bench/backends/faulty\.py cannot be imported: "):
            discovery.find_backend("faulty").prepare(None)  # type: ignore[arg-type]


def test_a_backend_is_imported_without_the_others(planted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking for eager does not run the file of another backend."""
    monkeypatch.setenv("FAULTY_SAYS", str(planted))
    assert discovery.find_backend("eager").name == "eager"
    assert not planted.exists()
    assert discovery.find_backend("faulty").name == "faulty"
    assert planted.exists()


PROFILE = """
[[grid]]
versions = ["v3"]
precisions = ["fp32"]
batches = [1]
frames = [2, 3]

[stop]
min_rounds = 2
max_rounds = 2
min_time_s = 0.0
relative_width = 1.0
"""


def sweep_of(folder: Path, weights: Path, *arguments: str, suite: str = "suites/test_speed.py") -> list[str]:
    """A sweep's command line."""
    profile = folder / "two.toml"
    profile.write_text(PROFILE, encoding="utf-8")
    given = [f"--profile={profile}", f"--weights={weights}", f"--results={folder / 'results'}", "--device=cpu"]
    return [sys.executable, "-m", "pytest", suite, "-p", "no:cacheprovider", "--threads=1", *given, *arguments]


@pytest.mark.parametrize("stage", ["import:segv", "unavailable:exit0", "check:exit0"])
def test_a_whole_sweep_keeps_its_good_cases(
    planted: Path, v3_directory: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    """Of a sweep over eager and a faulty file, eager is measured and the faulty rows say why; exit code 1."""
    monkeypatch.setenv("FAULTY", stage)
    for name in [name for name in os.environ if "XDIST" in name]:
        monkeypatch.delenv(name)
    command = sweep_of(planted.parent, v3_directory, "--backends=faulty,eager")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 1, done.stdout + done.stderr
    [run] = planted.iterdir()
    records = {(record.case.backend, record.case.frames): record for record in read_records(run)}
    assert {key: record.status for key, record in records.items()} == {
        ("eager", 2): Status.OK,
        ("eager", 3): Status.OK,
        ("faulty", 2): Status.CRASHED,
        ("faulty", 3): Status.CRASHED,
    }
    plan = read_plan(run)
    assert plan is not None
    assert plan.ended == "complete"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("when", ["at the start", "in a case"])
def test_a_signal_ends_a_sweep_in_order(
    planted: Path, v3_directory: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: int, when: str
) -> None:
    """What is there is written, the summary says where, the exit code is the signal's, and there is no traceback."""
    for name in [name for name in os.environ if "XDIST" in name]:
        monkeypatch.delenv(name)
    command = sweep_of(planted.parent, v3_directory, "--backends=eager,faulty:at=run:how=hang")
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and process.poll() is None:
            records = list(planted.glob("*/records.jsonl"))
            if when == "at the start" or (records and records[0].read_text(encoding="utf-8").count("\n") == 2):
                break
            time.sleep(0.2)
        time.sleep(4.0)
        process.send_signal(number)
        out = process.stdout.read()
        assert process.wait(60) == code, out
    assert "Traceback" not in out
    if when == "in a case":
        assert "2 ok" in out
        assert "incomplete: 2 records are missing" in out
        [run] = planted.iterdir()
        plan = read_plan(run)
        assert plan is not None
        assert plan.ended == "interrupted"
        assert len(read_records(run)) == 2
