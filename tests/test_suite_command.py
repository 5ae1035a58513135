"""The suite as a user runs it: exit codes, the files it leaves, and one sentence for every mistake."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from bench.case import Case
from bench.errors import InputError
from bench.records.schema import FILE_NAME, Status
from bench.run.replay import headline
from bench.run.signals import Signals
from bench.run.whole import read_sweep
from tests.conftest import PACKAGE, ROOT, SweepRun, sweep
from tests.synthetic_records import changed, given, speed_of


@pytest.fixture(scope="module")
def run(cpu_sweep: SweepRun) -> SweepRun:
    """The sweep that all tests look at."""
    return cpu_sweep


def test_a_sweep_leaves_a_record_of_every_case(run: SweepRun) -> None:
    """Exit code 0; eager and TorchScript are measured, and the TensorRT backends are rows that say why not."""
    assert run.done.returncode == 0, run.done.stdout + run.done.stderr
    records = run.records()
    assert {name for name, record in records.items() if record.status is Status.OK} >= {"eager", "torchscript"}
    for name in ("tensorrt", "tensorrt-onnx"):
        assert records[name].status is Status.UNAVAILABLE
        assert records[name].reason.endswith(".")
        assert records[name].result is None
        assert records[name].reason in run.done.stdout
    assert {record.run_id for record in records.values()} == {
        path.name for path in run.results.iterdir() if path.is_dir()
    }


def test_the_terminal_says_what_ran_on_which_weights(run: SweepRun) -> None:
    """Header and summary name cases, device, weights and the record file, and the table the cases."""
    out = run.done.stdout
    records = run.records()
    assert f"sweep: {len(records)} cases on cpu, v3: " in out
    assert "weights: bigvgan_v2_24khz_100band_256x/bigvgan_generator.pt" in out
    assert FILE_NAME in out
    assert "test_speed[v3-torchscript-fp32-b1-t1]" in out


def test_pytest_benchmark_shows_the_record_s_samples(run: SweepRun) -> None:
    """pytest-benchmark's JSON has the same durations, statistics and headline as the record, and the GPU's place."""
    data = json.loads(run.json.read_text(encoding="utf-8"))
    entries = {entry["extra_info"]["id"]: entry for entry in data["benchmarks"]}
    measured = {record.id: record for record in run.records().values() if record.status is Status.OK}
    assert entries.keys() == measured.keys()
    for name, entry in entries.items():
        found = speed_of(measured[name])
        timing = found.timing
        assert timing is not None
        assert timing.rounds == entry["stats"]["rounds"]
        # Six, less those that other work on the machine disturbed.
        assert (timing.rounds if found.marked is None else found.marked.of) == 6
        assert np.allclose(np.array(entry["stats"]["data"]) * 1000, timing.samples_ms, rtol=0, atol=1e-6)
        assert entry["stats"]["median"] * 1000 == pytest.approx(timing.median_ms)
        assert given(measured[name].weights).name == entry["extra_info"]["weights"]
        assert entry["extra_info"]["speedup_fp32"] == given(speed_of(measured[name]).speedup_fp32).ratio
    assert data["machine_info"]["gpu"] is None
    assert data["machine_info"]["versions"]["torch_build"] == torch.__version__
    assert data["machine_info"]["threads"] == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--weights=/nowhere/at/all"], "error: weights /nowhere/at/all do not exist"),
        (["--device=cuda:77"], "error: device cuda:77 is not here"),
        (["--frames=0", "--profile=smoke"], "error: frames are whole numbers from 1, not '0'"),
    ],
)
def test_a_mistake_is_one_sentence(run: SweepRun, arguments: list[str], sentence: str) -> None:
    """Exit code 2, one sentence, no traceback, nothing run, and the records of earlier runs as they were."""
    before = {path: path.read_bytes() for path in run.results.rglob("*") if path.is_file()}
    done = sweep(f"--results={run.results}", *arguments)
    output = done.stdout + done.stderr
    lines = [line for line in output.splitlines() if "error:" in line]
    assert done.returncode == 2, output
    assert "Traceback" not in output
    assert len(lines) == 1
    assert sentence in lines[0]
    assert {path: path.read_bytes() for path in run.results.rglob("*") if path.is_file()} == before
    assert [path.name for path in run.results.iterdir()] == [next(iter(run.records().values())).run_id]


def read(**options: str) -> list[Case]:
    """Reads a sweep's options in this process, as pytest does before anything runs."""
    sweep = read_sweep({"device": "cpu", "threads": "1", **options}, Signals(), runs=False)
    sweep.close()
    return sweep.cases


def _sound(file: Path, samples: np.ndarray) -> str:
    soundfile.write(file, samples.astype(np.float32), 24_000, subtype="FLOAT")
    return str(file)


def _mistakes(directory: Path, v3: Path) -> dict[str, tuple[dict[str, str], str]]:
    """Options that cannot be used, by name, and what the sentence says."""
    no_config = directory / "no-config"
    no_config.mkdir()
    (no_config / "bigvgan_generator.pt").write_bytes((v3 / "bigvgan_generator.pt").read_bytes())
    truncated = directory / "truncated"
    truncated.mkdir()
    (truncated / "config.json").write_bytes((v3 / "config.json").read_bytes())
    (truncated / "bigvgan_generator.pt").write_bytes((v3 / "bigvgan_generator.pt").read_bytes()[:5000])
    no_checkpoint = directory / "vocoder.pth"
    no_checkpoint.write_text("hello", encoding="utf-8")
    code = directory / "code.pth"
    torch.save({"generator": {"weight": torch.zeros(1), "path": Path("x")}}, code)
    keys = directory / "keys.pth"
    torch.save({"generator": {"colour": torch.zeros(1)}}, keys)
    empty, zeros = _sound(directory / "empty.wav", np.zeros(0)), _sound(directory / "zeros.wav", np.zeros(24_000))
    nan = _sound(directory / "nan.wav", np.full(24_000, np.nan))
    short = _sound(directory / "short.wav", np.sin(np.arange(500)))
    v4 = {"versions": "v4"}
    return {
        "no config": ({"weights": str(no_config)}, "no config.json"),
        "truncated": ({"weights": str(truncated)}, "truncated or no PyTorch checkpoint"),
        "not a checkpoint": ({**v4, "weights": str(no_checkpoint)}, "truncated or no PyTorch checkpoint"),
        "wants to run code": ({**v4, "weights": str(code)}, "wants to run code"),
        "wrong keys": ({**v4, "weights": str(keys)}, "lacks conv_post.weight, conv_pre.bias, conv_pre.weight and"),
        "no audio": ({"audio": str(directory / "none.wav")}, "does not exist"),
        "empty audio": ({"audio": empty}, "is empty"),
        "silent audio": ({"audio": zeros}, "is all zeros"),
        "NaN audio": ({"audio": nan}, "holds NaN"),
        "short audio": ({"audio": short}, "less than one mel window"),
        "version": ({"versions": "v9"}, "unknown version 'v9'"),
        "backend": ({"backends": "eager,abacus"}, "unknown backend 'abacus'"),
        "precision": ({"precisions": "fp12"}, "unknown precision 'fp12'"),
        "batch": ({"batches": "0"}, "batches are whole numbers from 1, not '0'"),
        "empty list": ({"frames": " , "}, "--frames is an empty list"),
        "threads": ({"threads": "0"}, "--threads is a whole number from 1"),
        "engine cache": ({"engine_cache": str(no_checkpoint)}, "is not a folder"),
        "static baseline": ({"static_baseline": "some"}, "--static-baseline is all, best or off, not 'some'"),
        "level": ({"backends": "tensorrt-onnx:level=9"}, "option level is a whole number from 0 to 5, not '9'"),
        "shapes": ({"backends": "tensorrt:shapes=long"}, "option shapes is static, dynamic, or profiles"),
        "activation": ({"backends": "tensorrt-rtx:activation=fast"}, "option activation is one of ends-64, frames-16"),
        "float32": ({"backends": "tensorrt-onnx:float32=("}, "option float32 is a regular expression"),
        "profile": ({"profile": "enormous"}, "unknown profile 'enormous'"),
    }


def test_every_input_is_tried_before_anything_runs(tmp_path: Path, v3_directory: Path) -> None:
    """Each unusable option ends in one sentence that names it, and no run directory is made."""
    results = tmp_path / "results"
    for name, (options, message) in _mistakes(tmp_path, v3_directory).items():
        options = {"profile": "smoke", "versions": "v3", "weights": str(v3_directory), **options}
        with pytest.raises(InputError) as caught:
            read(results=str(results), **options)
        sentence = str(caught.value)
        assert message in sentence, name
        assert "\n" not in sentence, name
    assert not results.exists()


def test_lists_narrow_the_profile(v3_directory: Path) -> None:
    """Comma-separated lists take the place of the profile's axes, blanks aside."""
    cases = read(versions="v3", backends="eager, torchscript", frames="9,t_ref", batches="1", weights=str(v3_directory))
    assert [case.id for case in cases] == [
        "v3-eager-fp32-b1-t9",
        "v3-eager-fp32-b1-t468",
        "v3-torchscript-fp32-b1-t9",
        "v3-torchscript-fp32-b1-t468",
    ]


def test_the_headline_has_what_the_record_has(run: SweepRun) -> None:
    """pytest-benchmark's headline leaves blank what eager cannot be compared in, and is otherwise the record's."""
    record = run.records()["torchscript"]
    speedup = given(speed_of(record).speedup_same_precision)
    assert headline(record)["speedup_same_precision"] == speedup.ratio
    assert headline(changed(record, speedup_same_precision=None))["speedup_same_precision"] is None


def test_nobody_watching_gets_no_progress(run: SweepRun) -> None:
    """Where output goes to a file there is no such line."""
    assert "case 1 of" not in run.done.stdout + run.done.stderr


@pytest.mark.parametrize("command", [["bench", "engines", "list"], ["bench", "doctor"], ["pytest", "suites/"]])
def test_a_package_that_is_missing_is_one_sentence(tmp_path: Path, command: list[str]) -> None:
    """Who starts in a Python without the project's packages is told so, with exit code 2 and without a traceback."""
    for name in ("torch", "filelock"):
        absent = f"raise ModuleNotFoundError('No module named {name}', name='{name}')"
        (tmp_path / f"{name}.py").write_text(absent, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", *command, *(["-p", "no:cacheprovider"] if "pytest" in command else [])],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if "XDIST" not in name}
        | {"PYTHONPATH": os.pathsep.join([str(tmp_path), PACKAGE]), "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    missing = "filelock" if "engines" in command else "torch"
    assert f"error: {missing} is not installed for {sys.executable}: pip install" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
