"""Engines built beforehand: which, where, how many at once, and what becomes of those that fail."""

import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bench.backend import Request, Runner
from bench.backends import find_backend
from bench.backends.tensorrt_onnx import TensorRtOnnx
from bench.case import Case
from bench.cli import main
from bench.errors import InputError, UnsupportedError
from bench.records.jsonl import dump_record
from bench.records.schema import Build, Status
from bench.run.engine_builds import Places, build_all, build_one, engine_cases
from bench.run.session import Session
from bench.run.settings import Settings
from bench.run.worker import Worker
from tests.synthetic_records import failed_record, speed_record

FAST = Case("v4", "tensorrt-onnx", "fp16", 1, 500, (("level", "1"),))
GRAPH = replace(FAST, options=(("cuda_graph", "on"), ("level", "1")))
RANGE = replace(FAST, options=(("level", "1"), ("shapes", "dynamic")))


def test_an_engine_is_built_once() -> None:
    """A CUDA graph is a way to run one, a range takes every length, and what is not kept is left out."""
    others = [Case("v4", "eager", "fp16", 1, 500), Case("v4", "tensorrt", "fp16", 1, 500)]
    assert engine_cases([FAST, GRAPH, *others], "off") == [FAST]
    longer = replace(RANGE, frames=1000)
    assert engine_cases([longer, RANGE], "off") == [longer]
    assert engine_cases([replace(FAST, frames=1000), FAST], "off") == [replace(FAST, frames=1000), FAST]
    # Static baselines: at every shape, or at the one that the range is tuned for, which FAST is.
    assert engine_cases([longer, RANGE], "all") == [longer, replace(FAST, frames=1000), FAST]
    assert engine_cases([longer, RANGE], "best") == [longer, FAST]


class Standing(TensorRtOnnx):
    """Builds nothing."""

    closed = 0

    def unavailable_reason(self, _: object, /) -> None:
        """It is there."""

    def prepare(self, request: Request) -> Runner:
        """An engine of 3 MiB, or none."""
        if request.case.batch > 1:
            raise UnsupportedError("too many")

        def close() -> None:
            Standing.closed += 1

        build = Build(seconds=0.0, engine_bytes=3 << 20, details={}, build_s=7.0, load_s=0.1, from_cache=False)
        return Runner(lambda mel: mel, request.mel.dtype, build, lambda _: None, close=close)  # type: ignore[arg-type, return-value]


def test_one_build(monkeypatch: pytest.MonkeyPatch) -> None:
    """The build or the reason; the engine is given back."""
    monkeypatch.setattr("bench.run.session.find_backend", lambda _: Standing())
    with Session(Settings("engines")) as session:
        record = build_one(FAST, session)
        assert (record.status, record.build and record.build.build_s, Standing.closed) == (Status.OK, 7.0, 1)
        assert build_one(replace(FAST, batch=2), session).reason == "too many"


# A worker whose builds end as the case's level says, and which sees how many others build on its device.
SCRIPT = """
import os, signal, sys, time, types
from pathlib import Path
from bench.errors import InputError
from bench.records.jsonl import load_record
from bench.records.schema import Record, Status
from bench.run import worker_process

class Bare:
    def __init__(self, settings):
        self.settings = settings
    def begin(self, case, kind):
        return Record(self.settings.run_id, kind, case, Status.OK, "", self.settings.device, "now", 0)
    def close(self):
        pass

sys.modules["bench.run.session"] = types.SimpleNamespace(Session=Bare)
folder = Path(sys.argv[1])

def do(job, session):
    how, device = dict(job.case.options)["level"], job.settings.device
    print("a library talks", file=sys.stderr)
    if how == "signal":
        os.kill(os.getpid(), signal.SIGSEGV)
    if how == "exit":
        os._exit(3)
    if how == "silent":
        os._exit(0)
    if how == "hang":
        time.sleep(600)
    if how == "refused":
        raise InputError("weights.pth is no checkpoint")
    if how == "count":
        mine = folder / f"{device}.{os.getpid()}"
        mine.touch()
        time.sleep(0.5)
        seen = len(list(folder.glob(f"{device}.*")))
        mine.unlink()
        raise RuntimeError(f"seen {seen}")
    return load_record((folder / f"{how}.json").read_text())

worker_process.main(int(sys.argv[2]), do)
"""


def run(folder: Path, cases: list[Case], places: Places) -> tuple[bool, list[str]]:
    """Builds with the script above; whether all is there, and the lines."""
    lines: list[str] = []

    def worker() -> Worker:
        return Worker((sys.executable, "-c", SCRIPT, str(folder)))

    return build_all(cases, Settings("engines"), places, lines.append, worker), sorted(lines)


def case_of(level: str) -> Case:
    """A case whose build ends so."""
    return replace(FAST, options=(("level", level),))


def test_every_engine_has_a_process_and_a_line(tmp_path: Path) -> None:
    """What ends badly, by signal, exit or silence, is named and costs the others nothing."""
    built = Build(seconds=9.0, engine_bytes=3 << 20, details={}, build_s=482.0, load_s=0.1, from_cache=False)
    for name, record in {
        "built": speed_record(case_of("built"), build=built),
        "kept": speed_record(case_of("kept"), build=replace(built, from_cache=True)),
        "none": failed_record(case_of("none"), Status.UNSUPPORTED, "no int8 here"),
        "memory": failed_record(case_of("memory"), Status.OUT_OF_MEMORY, "too large"),
    }.items():
        (tmp_path / f"{name}.json").write_text(dump_record(replace(record, device="cuda:1")), encoding="utf-8")
    good = [case_of(name) for name in ("built", "kept", "none")]
    there, lines = run(tmp_path, good, Places(["cuda:1"]))
    assert there
    assert lines == [
        f"built {good[0].id} on cuda:1: 482 s, 3 MiB",
        f"kept {good[1].id}: 3 MiB",
        f"unsupported {good[2].id} on cuda:1: no int8 here",
    ]
    bad = [case_of(name) for name in ("signal", "exit", "silent", "memory", "built")]
    there, lines = run(tmp_path, bad, Places(["cuda:1"]))
    assert not there
    assert lines == [
        f"built {bad[4].id} on cuda:1: 482 s, 3 MiB",
        f"crashed {bad[1].id} on cuda:1: the process ended by exit status 3: a library talks",
        f"crashed {bad[0].id} on cuda:1: the process ended by signal SIGSEGV: a library talks",
        f"crashed {bad[2].id} on cuda:1: the process ended by exit status 0: a library talks",
        f"out_of_memory {bad[3].id} on cuda:1: too large",
    ]


def test_a_build_that_hangs_is_killed(tmp_path: Path) -> None:
    """The time limit ends it, and the line says so."""
    there, [line] = run(tmp_path, [case_of("hang")], Places(["cuda:1"], time_limit_s=4))
    assert not there
    assert line.startswith(f"timeout {case_of('hang').id} on cuda:1: no answer within 4 s")


def test_what_the_user_gave_is_one_error(tmp_path: Path) -> None:
    """Weights that cannot be used end everything, the builds that run included."""
    started = time.monotonic()
    with pytest.raises(InputError, match=r"^weights\.pth is no checkpoint$"):
        run(tmp_path, [case_of("refused"), case_of("hang"), case_of("count")], Places(["cuda:0"], workers=2))
    assert time.monotonic() - started < 120


@pytest.mark.parametrize("workers", [1, 2])
def test_no_more_builds_at_once_than_asked_for(tmp_path: Path, workers: int) -> None:
    """On each of two devices."""
    cases = [replace(case_of("count"), frames=frames) for frames in range(20, 26)]
    _, lines = run(tmp_path, cases, Places(["cuda:0", "cuda:1"], workers))
    assert len(lines) == len(cases)
    for device in ("cuda:0", "cuda:1"):
        seen = [int(line[-1]) for line in lines if f"on {device}" in line]
        assert 1 <= max(seen) <= workers


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a GPU every engine is unavailable, by processes of its own; wrong options are one sentence."""
    narrow = ["--versions", "v4", "--frames", "9", "--batches", "1", "--precisions", "fp32"]
    command = ["engines", "build", "smoke", *narrow, "--engine-cache", str(tmp_path)]
    assert main([*command, "--devices", "cpu", "--backends", "tensorrt-onnx"]) == 0
    line = "unavailable v4-tensorrt-onnx-fp32-b1-t9 on cpu: TensorRT needs an NVIDIA GPU."
    assert line in capsys.readouterr().out
    for wrong, sentence in {
        ("--devices", "gpu"): "unknown device 'gpu'",
        ("--devices", ","): "--devices is an empty list",
        ("--workers", "0"): "--workers is a whole number from 1, not 0",
        ("--time-limit-s", "soon"): "--time-limit-s is a whole number from 1, not 'soon'",
        ("--static-baseline", "some"): "--static-baseline is all, best or off, not 'some'",
        ("--backends", "eager", "--devices", "cpu"): "no case of smoke keeps an engine",
        ("--backends", "tensorrt-onnx:level=9", "--devices", "cpu"): "option level is a whole number from 0 to 5",
        ("--folder", "x"): "--folder is an old spelling of --engine-cache; give one of them",
    }.items():
        assert main([*command, *wrong]) == 2
        error = capsys.readouterr().err
        assert sentence in error
        assert error.count("error: ") == len(error.splitlines()) == 1


def test_old_spellings_of_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``--folder`` and ``--twins`` still work, and say so once on standard error."""
    command = ["engines", "build", "smoke", "--backends", "eager", "--devices", "cpu"]
    assert main([*command, "--folder", str(tmp_path), "--twins", "off"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "note: --folder is now spelled --engine-cache; the old spelling still works",
        "note: --twins is now spelled --static-baseline; the old spelling still works",
        "error: no case of smoke keeps an engine; give --backends tensorrt-onnx, say",
    ]


def test_what_keeps_engines() -> None:
    """torch-tensorrt's are not in the cache."""
    names = ("eager", "torchscript", "tensorrt", "tensorrt-onnx", "tensorrt-rtx")
    assert [find_backend(name).keeps_engines for name in names] == [False, False, False, True, True]
