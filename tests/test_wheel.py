"""What a user installs: one package with its data, whose commands work in an empty folder without the checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

import bench
from bench.case import Case
from bench.run.sweep import profile_directory
from tests.conftest import ROOT
from tests.synthetic_records import speed_record, write_run

SOURCES = ("bench", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a copy of the tree."""
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tree / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    command += ["-w", str(out), str(tree)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [file] = out.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the wheel alone is installed in; the packages that it needs are this Python's."""
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    command += ["--target", str(target), str(wheel)]
    subprocess.run(command, capture_output=True, text=True, check=True)
    return target


def run(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the console script in a folder, with the wheel in front of everything else."""
    return subprocess.run(
        [sys.executable, "-P", installed / "bin" / "vocoder-bench", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_the_wheel_holds_one_package_and_its_data(wheel: Path) -> None:
    """Modules and data of ``bench``, the script, the one version; no test, suite, report or study."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        scripts = archive.read(f"gpt_sovits_vocoder_bench-{bench.__version__}.dist-info/entry_points.txt").decode()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"bench", "gpt_sovits_vocoder_bench"}
    assert "vocoder-bench = bench.cli:main" in scripts
    tree = {path.relative_to(ROOT).as_posix() for path in (ROOT / "bench").rglob("*") if path.is_file()}
    tree = {name for name in tree if "__pycache__" not in name}
    assert {name for name in names if name.startswith("bench/")} == tree
    assert any(name.endswith("profiles/smoke.toml") for name in tree)
    assert wheel.name.startswith(f"gpt_sovits_vocoder_bench-{bench.__version__}-")


def test_commands_work_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    """``doctor``, ``engines build`` of a profile by name, ``report`` and ``compare`` need the wheel alone."""
    doctor = run(installed, tmp_path, "doctor")
    assert doctor.returncode in (0, 1), doctor.stderr
    assert "backend eager can run" in doctor.stdout
    narrow = ["--versions=v4", "--frames=9", "--batches=1", "--precisions=fp32", "--backends=tensorrt-onnx"]
    build = run(installed, tmp_path, "engines", "build", "smoke", "--devices=cpu", "--engine-cache=cache", *narrow)
    assert build.returncode == 0, build.stderr
    assert "unavailable v4-tensorrt-onnx-fp32-b1-t9 on cpu: TensorRT needs an NVIDIA GPU." in build.stdout
    records = [speed_record(Case("v4", "torchscript", "fp16", 1, 500))]
    old, new = (write_run(tmp_path / name, records) for name in ("old", "new"))
    report = run(installed, tmp_path, "report", str(new))
    assert report.returncode == 0, report.stderr
    assert (new / "report.html").stat().st_size > 10_000
    compare = run(installed, tmp_path, "compare", str(old), str(new))
    assert compare.returncode == 0, compare.stdout + compare.stderr
    where = "import bench; print(bench.__file__)"
    command = [sys.executable, "-P", "-c", where]
    done = subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": str(installed)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(str(installed))


@pytest.mark.skipif("TOX_ENV_NAME" not in os.environ, reason="only tox installs the wheel")
def test_tox_tests_the_wheel() -> None:
    """Under tox the package that tests import is the installed one, not the tree."""
    file = Path(bench.__file__).resolve()
    assert file.is_relative_to(Path(sysconfig.get_path("purelib")).resolve()), file
    assert not file.is_relative_to(ROOT / "bench")
    assert profile_directory().is_relative_to(file.parent)


def test_the_version_stands_once() -> None:
    """The project's metadata read it from the package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "version" in project["dynamic"]
    assert "version" not in project
