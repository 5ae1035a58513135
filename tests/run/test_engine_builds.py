"""Engines built beforehand: which, where, how many at once, and what becomes of those that fail."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench.backend import Request, Runner
from bench.backends import find_backend
from bench.backends.tensorrt_onnx import TensorRtOnnx
from bench.case import Case
from bench.cli import main
from bench.errors import InputError, UnsupportedError
from bench.records.schema import Build, Status
from bench.run import engine_builds as engines_build
from bench.run.engine_builds import build_all, build_one, engine_cases
from bench.run.settings import Settings
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
    # Twins: at every shape, or at the one that the range is tuned for, which FAST is.
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
    record = build_one(FAST, Settings("engines"))
    assert (record.status, record.build and record.build.build_s, Standing.closed) == (Status.OK, 7.0, 1)
    assert build_one(replace(FAST, batch=2), Settings("engines")).reason == "too many"


SCRIPT = """
import json, os, signal, sys, time
job = json.load(sys.stdin)
how, device = dict(job["case"]["options"])["level"], job["settings"]["device"]
open(os.path.join(sys.argv[1], f"{how}-{device}"), "w").close()
print("a library talks", file=sys.stderr)
if how == "signal":
    os.kill(os.getpid(), signal.SIGSEGV)
if how == "exit":
    sys.exit(3)
if how == "refused":
    print("error: weights.pth is no checkpoint", file=sys.stderr)
    sys.exit(2)
if how == "silent":
    sys.exit(0)
print("a library talks")
print(open(os.path.join(sys.argv[1], f"{how}.json")).read())
"""


def run(folder: Path, cases: list[Case], devices: list[str], workers: int = 1) -> tuple[bool, list[str]]:
    """Builds with the script above; whether all is there, and the lines."""
    lines: list[str] = []
    command = (sys.executable, "-c", SCRIPT, str(folder))
    return build_all(cases, Settings("engines"), devices, workers, lines.append, command), sorted(lines)


def case_of(level: str) -> Case:
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
        (tmp_path / f"{name}.json").write_text(engines_build.dump_record(record), encoding="utf-8")
    good = [case_of(name) for name in ("built", "kept", "none")]
    there, lines = run(tmp_path, good, ["cuda:1"])
    assert there
    assert lines == [
        f"built {good[0].id} on cuda:1: 482 s, 3 MiB",
        f"kept {good[1].id}: 3 MiB",
        f"unsupported {good[2].id}: no int8 here",
    ]
    bad = [case_of(name) for name in ("signal", "exit", "silent", "memory", "built")]
    there, lines = run(tmp_path, bad, ["cuda:1"])
    assert not there
    assert lines == [
        f"built {bad[4].id} on cuda:1: 482 s, 3 MiB",
        f"crashed (exit 0) {bad[2].id} on cuda:1: a library talks",
        f"crashed (exit 3) {bad[1].id} on cuda:1: a library talks",
        f"crashed (signal SIGSEGV) {bad[0].id} on cuda:1: a library talks",
        f"out_of_memory {bad[3].id}: too large",
    ]


def test_what_the_user_gave_is_one_error(tmp_path: Path) -> None:
    """Weights that cannot be used end everything."""
    with pytest.raises(InputError, match=r"^weights\.pth is no checkpoint$"):
        run(tmp_path, [case_of("refused")], ["cuda:0"])


WAITING = """
import json, os, sys, time
device = json.load(sys.stdin)["settings"]["device"]
mine = os.path.join(sys.argv[1], f"{device}.{os.getpid()}")
open(mine, "w").close()
time.sleep(0.3)
print(f"seen {len([name for name in os.listdir(sys.argv[1]) if name.startswith(device)])}", file=sys.stderr)
os.unlink(mine)
sys.exit(3)
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_no_more_builds_at_once_than_asked_for(tmp_path: Path, workers: int) -> None:
    """On each of two devices."""
    lines: list[str] = []
    cases = [replace(FAST, frames=frames) for frames in range(20, 28)]
    command = (sys.executable, "-c", WAITING, str(tmp_path))
    build_all(cases, Settings("engines"), ["cuda:0", "cuda:1"], workers, lines.append, command)
    seen = {device: max(int(line[-1]) for line in lines if f"on {device}" in line) for device in ("cuda:0", "cuda:1")}
    assert seen == {"cuda:0": workers, "cuda:1": workers}


def test_a_job_as_a_process_takes_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The case and the settings arrive as they were sent."""
    got: list[object] = []

    def build(case: Case, settings: Settings) -> object:
        got.extend((case, settings))
        return failed_record(case, Status.UNSUPPORTED, "no")

    settings = Settings("engines", device="cuda:1", weights=("a", "b"), engines="folder")
    job = json.dumps({"case": engines_build.asdict(FAST), "settings": engines_build._plain(settings)})
    monkeypatch.setattr(engines_build, "build_one", build)
    monkeypatch.setattr(sys, "stdin", open_text(job))
    assert engines_build.main() == 0
    assert got == [FAST, settings]
    assert engines_build._record(capsys.readouterr().out) is not None


def open_text(text: str) -> object:
    import io

    return io.StringIO(text)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a GPU every engine is unavailable, by processes of its own; wrong options are one sentence."""
    folder = ["--folder", str(tmp_path)]
    narrow = ["--versions", "v4", "--frames", "9", "--batches", "1", "--precisions", "fp32"]
    command = ["engines", "build", "smoke", *narrow, *folder]
    assert main([*command, "--devices", "cpu", "--backends", "tensorrt-onnx"]) == 0
    assert "unavailable v4-tensorrt-onnx-fp32-b1-t9: TensorRT needs an NVIDIA GPU." in capsys.readouterr().out
    for wrong, sentence in {
        ("--devices", "gpu"): "unknown device 'gpu'",
        ("--devices", ","): "--devices is an empty list",
        ("--workers", "0"): "--workers is a whole number from 1, not 0",
        ("--backends", "eager", "--devices", "cpu"): "no case of smoke keeps an engine",
        ("--backends", "tensorrt-onnx:level=9", "--devices", "cpu"): "option level is a whole number from 0 to 5",
    }.items():
        assert main([*command, *wrong]) == 2
        assert sentence in capsys.readouterr().err


def test_what_keeps_engines() -> None:
    """torch-tensorrt's are not in the cache."""
    names = ("eager", "torchscript", "tensorrt", "tensorrt-onnx", "tensorrt-rtx")
    assert [find_backend(name).keeps_engines for name in names] == [False, False, False, True, True]
