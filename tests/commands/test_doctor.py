"""The doctor names what does not fit together, says what to do, and its exit code follows."""

from dataclasses import replace
from typing import Any

import pytest

from bench.backends import backends
from bench.cli import main
from bench.commands.doctor import Diagnosis, Facts, Finding, gather, judge

FIT = Facts(
    torch="2.14.1+cu130",
    torch_cuda="13.0",
    gpus=(("NVIDIA H100 80GB HBM3", "9.0"),),
    driver="580.65.06",
    driver_cuda="13.0",
    torch_tensorrt="2.14.0",
    torch_tensorrt_rtx=None,
    tensorrt="11.1.0.106",
    tensorrt_rtx="1.7.1.116",
    optional={"onnx": "1.23.2", "pesq": "0.0.4"},
    backends={"eager": None, "tensorrt": None},
)


def diagnose(**changes: Any) -> Diagnosis:
    """The diagnosis of a fit machine with these facts changed."""
    return Diagnosis(tuple(judge(replace(FIT, **changes))))


def test_a_fit_machine() -> None:
    """Nothing to do and exit code 0 where everything fits."""
    diagnosis = diagnose()
    assert {finding.level for finding in diagnosis.findings} == {"ok"}
    assert diagnosis.exit_code == 0
    assert "To do" not in diagnosis.text()
    assert "Fit for GPU runs." in diagnosis.text()
    assert "cuda:0 NVIDIA H100 80GB HBM3, compute capability 9.0" in diagnosis.text()


@pytest.mark.parametrize(
    ("changes", "text", "remedy"),
    [
        ({"driver": None, "driver_cuda": None, "gpus": ()}, "no NVIDIA driver answers", "install an NVIDIA driver"),
        (
            {"torch": "2.14.1+cpu", "torch_cuda": None, "gpus": ()},
            "CPU build",
            "pip install -r requirements/gpu.txt",
        ),
        (
            {"driver_cuda": "12.8"},
            "torch is built for CUDA 13.0, the driver runs up to 12.8",
            "update the NVIDIA driver",
        ),
        ({"gpus": ()}, "PyTorch sees no GPU", "CUDA_VISIBLE_DEVICES"),
        ({"torch": "2.15.0+cu132"}, "torch 2.15 is outside 2.11 to 2.14", "pip install"),
        ({"torch": "2.9.1"}, "torch 2.9 is outside 2.11 to 2.14", "pip install"),
        (
            {"torch": "2.13.0+cu130", "tensorrt": "11.0.0.114"},
            "torch-tensorrt 2.14.0 does not fit torch 2.13",
            "pip install torch-tensorrt==2.13.0",
        ),
        (
            {"torch_tensorrt_rtx": "2.14.0"},
            "overwrite each other",
            "pip uninstall torch-tensorrt-rtx",
        ),
        (
            {"tensorrt": "11.4.0.106"},
            "TensorRT 11.4.0.106 does not fit torch-tensorrt 2.14.0 (>=11.1, <11.2)",
            "pip install 'tensorrt-cu13>=11.1,<11.2'",
        ),
        (
            {"torch": "2.11.0+cu130", "torch_tensorrt": "2.11.0", "tensorrt": "10.14.1"},
            "TensorRT 10.14.1 does not fit torch-tensorrt 2.11.0 (>=10.15, <10.16)",
            "pip install 'tensorrt-cu13>=10.15,<10.16'",
        ),
        ({"torch_tensorrt": None, "tensorrt": "8.5.3.1"}, "TensorRT 8.5.3.1 is older than 8.6", "tensorrt-cu13"),
    ],
)
def test_what_does_not_fit(changes: dict[str, object], text: str, remedy: str) -> None:
    """Each mismatch is the one bad finding, with its remedy, and makes the exit code 1."""
    diagnosis = diagnose(**changes)
    [bad] = [finding for finding in diagnosis.findings if finding.level == "bad"]
    assert text in bad.text
    assert remedy in bad.remedy
    assert diagnosis.exit_code == 1
    assert f"  - {bad.remedy}" in diagnosis.text()
    assert "Not fit for GPU runs" in diagnosis.text()


@pytest.mark.parametrize(
    ("changes", "text", "remedy"),
    [
        ({"torch_tensorrt": None}, "torch-tensorrt is not installed", "pip install torch-tensorrt==2.14.0"),
        ({"tensorrt": None}, "TensorRT library cannot be imported", "pip install 'tensorrt-cu13>=11.1,<11.2'"),
        (
            {"tensorrt_rtx": None, "gpus": (("NVIDIA GeForce RTX 3060", "8.6"),)},
            "TensorRT-RTX, which is for cards like this one, is not installed",
            'pip install -e ".[rtx]"',
        ),
        ({"optional": {"nvidia-modelopt": None}}, "nvidia-modelopt is not installed", 'pip install -e ".[quantise]"'),
        ({"optional": {"pesq": None}}, "pesq is not installed", 'pip install -e ".[perceptual]"'),
        ({"optional": {"onnx": None}}, "onnx is not installed", 'pip install -e ".[onnx]"'),
        (
            {"backends": {"tensorrt": "TensorRT needs an NVIDIA GPU."}},
            "backend tensorrt cannot run: TensorRT needs",
            "",
        ),
    ],
)
def test_what_is_only_missing(changes: dict[str, object], text: str, remedy: str) -> None:
    """Something optional that is absent is a note with its remedy and leaves the machine fit."""
    diagnosis = diagnose(**changes)
    [note] = [finding for finding in diagnosis.findings if finding.level == "note"]
    assert text in note.text
    assert note.remedy == remedy
    assert diagnosis.exit_code == 0


def test_rtx_is_no_advice_for_other_cards() -> None:
    """On an H100, which TensorRT-RTX does not run on, its absence is not mentioned."""
    assert "TensorRT-RTX" not in diagnose(tensorrt_rtx=None).text()


@pytest.mark.parametrize("version", ["8.6.1", "10.3.0", "11.4.0.106"])
def test_native_tensorrt_alone(version: str) -> None:
    """Without torch-tensorrt every TensorRT from 8.6 on fits."""
    assert diagnose(torch_tensorrt=None, tensorrt=version).exit_code == 0


@pytest.mark.parametrize(
    ("torch_version", "tensorrt"),
    [("2.11.0", "10.15.1.29"), ("2.12.1", "10.16.1.11"), ("2.13.0", "11.0.0.114"), ("2.14.0", "11.1.0.106")],
)
def test_releases_that_fit(torch_version: str, tensorrt: str) -> None:
    """Each torch-tensorrt release fits its torch and the TensorRT that its wheel asks for."""
    changes = {"torch": f"{torch_version}+cu130", "torch_tensorrt": torch_version, "tensorrt": tensorrt}
    assert diagnose(**changes).exit_code == 0


def test_a_remedy_is_said_once() -> None:
    """Findings with the same remedy give one line of what to do."""
    lines = Diagnosis((Finding("bad", "a", "do it"), Finding("bad", "b", "do it"))).text().splitlines()
    assert lines.count("  - do it") == 1


def test_this_machine_is_examined(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The command gathers facts of every backend, prints them and exits with the diagnosis."""
    facts = gather()
    assert set(facts.backends) == set(backends())
    assert facts.backends["eager"] is None
    monkeypatch.setattr("bench.commands.doctor.gather", lambda: replace(FIT, driver_cuda="12.8"))
    assert main(["doctor"]) == 1
    assert "update the NVIDIA driver" in capsys.readouterr().out
    monkeypatch.setattr("bench.commands.doctor.gather", lambda: FIT)
    assert main(["doctor"]) == 0
