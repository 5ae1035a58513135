"""Jobs in a process of their own: what arrives, what comes back, and what a fault costs."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import psutil
import pytest

from bench.case import Case
from bench.errors import InputError
from bench.measure.sampling import StopRule
from bench.records.schema import Speed, Status
from bench.run.job import Answer, Job, Kind, read_line, write_line
from bench.run.limits import Limits
from bench.run.load.plan import LoadPlan
from bench.run.settings import Settings
from bench.run.worker import Worker

SETTINGS = Settings("run", threads=1)

# A worker whose jobs do what the case's option says. Sessions load nothing, so that it is there in a second.
SCRIPT = """
import ctypes, os, signal, subprocess, sys, time, types
from bench.errors import InputError
from bench.records.schema import Build, Record, Status
from bench.run import worker_process

class Bare:
    def __init__(self, settings):
        self.settings = settings
        self.jobs = 0
    def begin(self, case, kind):
        return Record(self.settings.run_id, kind, case, Status.OK, "", "cpu", "now", 0, audio="begun")
    def close(self):
        print("closed", self.jobs, flush=True)

sys.modules["bench.run.session"] = types.SimpleNamespace(Session=Bare)

def do(job, session):
    how, record = dict(job.case.options)["how"], session.begin(job.case, job.kind.record_kind)
    session.jobs += 1
    print("a library talks")
    print(f"last words of {how}", file=sys.stderr, flush=True)
    if how == "segv":
        ctypes.string_at(0)
    if how == "abort":
        os.abort()
    if how in ("exit0", "exit7"):
        os._exit(int(how[-1]))
    if how == "hang":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
        open(os.environ["CHILD"], "w").write(str(child.pid))
        time.sleep(600)
    if how == "raise":
        raise ValueError("it broke\\nbadly")
    if how == "systemexit":
        raise SystemExit(3)
    if how == "garbage":
        os.write(1, b'{"record": "none"}\\n' * 50 + bytes(range(256)))
        os.write(2, b"\\xff\\xfe")
    if how == "nan":
        return Record("run", "speed", job.case, Status.OK, "", "cpu", "now", 0, environment={"x": float("nan")})
    if how == "refuse":
        raise InputError("weights.pth is no checkpoint")
    if how == "none":
        return None
    reason = f"pid {os.getpid()}, job {session.jobs}, stop {job.settings.stop.max_rounds}"
    return Record("run", "speed", job.case, Status.OK, reason, "cpu", "now", 0)

worker_process.main(int(sys.argv[1]), do)
"""


@pytest.fixture
def worker() -> Iterator[Worker]:
    """A worker of the script."""
    with Worker((sys.executable, "-c", SCRIPT)) as worker:
        yield worker


def job(how: str, settings: Settings = SETTINGS) -> Job:
    """A job that ends that way."""
    return Job(Kind.SPEED, Case("v3", "eager", "fp32", 1, 2, (("how", how),)), settings)


def changed(value: object) -> object:
    """Another value of the same type."""
    if isinstance(value, StopRule):
        return StopRule(3, 0.25, 0.5, 7.0, 11)
    if isinstance(value, LoadPlan):
        return LoadPlan("other", (3, 5), 0.5, (0.1,), 2, 9, utterances=3, scale=0.5, soak_s=7.0)
    if isinstance(value, tuple):
        return ("a", "b,c")
    return value + 1 if isinstance(value, int) else f"other {value}"


def test_a_job_arrives_whole() -> None:
    """Every field of the settings, the stop rule among them, and of the case is there after reading."""
    settings = Settings(**{item.name: changed(getattr(SETTINGS, item.name)) for item in fields(Settings)})  # type: ignore[arg-type]
    assert all(getattr(settings, item.name) != getattr(SETTINGS, item.name) for item in fields(Settings))
    for kind in Kind:
        sent = Job(kind, Case("v4", "tensorrt", "fp16", 2, 9, (("a", "1"), ("b", "x=y"))), settings)
        assert read_line(write_line(sent), Job) == sent
    answer = Answer(refused="one\ntwo")
    assert read_line(write_line(answer), Answer) == answer
    assert write_line(answer).count(b"\n") == 1


def test_jobs_share_a_process_and_a_session(worker: Worker) -> None:
    """One process and one session serve jobs of the same settings; other settings get a session of their own."""
    first, second = worker.do(job("ok")), worker.do(job("ok"))
    other = worker.do(job("ok", replace(SETTINGS, stop=StopRule(max_rounds=77))))
    assert first.status is second.status is other.status is Status.OK
    pid = worker.pid
    assert first.reason == f"pid {pid}, job 1, stop 2000"
    assert second.reason == f"pid {pid}, job 2, stop 2000"
    assert other.reason == f"pid {pid}, job 1, stop 77"
    assert "closed 2" in worker.output_tail()


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("segv", "the process ended by signal SIGSEGV: last words of segv"),
        ("abort", "the process ended by signal SIGABRT: last words of abort"),
        ("exit0", "the process ended by exit status 0: last words of exit0"),
        ("exit7", "the process ended by exit status 7: last words of exit7"),
        ("raise", "ValueError: it broke"),
        ("systemexit", "SystemExit: 3"),
        ("nan", "ValueError: Out of range float values are not JSON compliant"),
        ("none", "TypeError: a NoneType is no record"),
    ],
)
def test_a_fault_costs_one_job(worker: Worker, how: str, reason: str) -> None:
    """What ends the process or is no outcome becomes a row with its cause, and the next job a fresh process."""
    before = worker.do(job("ok"))
    pid = worker.pid
    record = worker.do(job(how))
    assert record.status is Status.CRASHED
    assert record.reason.startswith(reason)
    assert record.case == job(how).case
    # What was known before the fault is in the row.
    assert record.audio == "begun"
    after = worker.do(job("ok"))
    assert before.status is after.status is Status.OK
    assert worker.pid != pid
    assert after.reason.startswith(f"pid {worker.pid}, job 1,")


def test_a_hang_is_killed_with_its_children(worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time limit ends the process and what it started, in a session of its own or not."""
    monkeypatch.setenv("CHILD", str(tmp_path / "child"))
    worker.do(job("ok"))
    pid = worker.pid
    assert pid is not None
    started = time.monotonic()
    record = worker.do(job("hang"), Limits(case_s=2))
    assert 2 <= time.monotonic() - started < 20
    assert (record.status, record.reason) == (Status.TIMEOUT, "no answer within 2 s: last words of hang")
    child = int((tmp_path / "child").read_text())
    for gone in (pid, child):
        assert not psutil.pid_exists(gone) or psutil.Process(gone).status() == psutil.STATUS_ZOMBIE
    assert worker.do(job("ok"), Limits(case_s=60)).status is Status.OK


def test_what_libraries_print_is_no_answer(worker: Worker) -> None:
    """Lines on standard output that look like answers, and bytes that are no text, change nothing."""
    record = worker.do(job("garbage"))
    assert (record.status, record.case) == (Status.OK, job("garbage").case)
    assert worker.do(job("ok")).status is Status.OK


def test_what_the_user_gave_is_an_error(worker: Worker) -> None:
    """An unusable input is no row; the process stays."""
    worker.do(job("ok"))
    pid = worker.pid
    with pytest.raises(InputError, match=r"^weights\.pth is no checkpoint$"):
        worker.do(job("refuse"))
    assert worker.pid == pid
    assert worker.do(job("ok")).status is Status.OK


def test_a_death_between_jobs_costs_nothing(worker: Worker) -> None:
    """A process that is killed while it waits is replaced before the next job."""
    worker.do(job("ok"))
    assert worker.pid is not None
    dead = psutil.Process(worker.pid)
    dead.kill()
    dead.wait()
    assert worker.do(job("ok")).status is Status.OK


def test_a_worker_that_never_starts_is_a_row() -> None:
    """A command that ends at once is a crash with its last line."""
    with Worker((sys.executable, "-c", "import sys; sys.exit('no such module')")) as worker:
        record = worker.do(job("ok"))
    assert record.status is Status.CRASHED
    assert record.reason == "the process ended by exit status 1: no such module"


def test_stop_ends_the_job_of_another_thread(worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that runs is ended, and none begins any more."""
    monkeypatch.setenv("CHILD", str(tmp_path / "child"))
    worker.do(job("ok"))
    timer = threading.Timer(1.0, worker.stop)
    timer.start()
    assert worker.do(job("hang"), Limits(case_s=60)).status is Status.CRASHED
    assert worker.do(job("ok")).reason == "the worker was stopped."
    assert worker.pid is None


def test_closing_leaves_no_process() -> None:
    """The process leaves by itself when it is told to."""
    with Worker((sys.executable, "-c", SCRIPT)) as worker:
        worker.do(job("ok"))
        process = psutil.Process(worker.pid)
    assert not process.is_running()


def test_the_worker_itself_measures(v3_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real worker gives what the same job gives here, from any folder: same weights, same stop rule, same kind."""
    monkeypatch.chdir(tmp_path)
    stop = StopRule(min_rounds=6, min_time_s=0.0, relative_width=10.0, max_rounds=6)
    settings = Settings("run", str(tmp_path), weights=(str(v3_directory),), stop=stop)
    case = Case("v3", "eager", "fp32", 1, 1)
    with Worker() as worker:
        speed = worker.do(Job(Kind.SPEED, case, settings), Limits(case_s=120))
        build = worker.do(Job(Kind.BUILD, case, settings), Limits(case_s=120))
        with pytest.raises(InputError, match="do not exist"):
            worker.do(Job(Kind.SPEED, case, replace(settings, weights=("none",))), Limits(case_s=120))
    assert speed.status is Status.OK, speed.reason
    assert isinstance(speed.result, Speed)
    found = speed.result
    assert (found.timing.rounds if found.marked is None else found.marked.of) == 6
    assert speed.weights is not None
    assert speed.weights.name.startswith(v3_directory.name)
    assert build.build is not None
    assert build.result is None
    assert os.getpid() != worker.pid
