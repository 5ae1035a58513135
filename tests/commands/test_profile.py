"""``vocoder-bench profile`` prints a case's kernels and layers, and refuses what cannot run."""

from pathlib import Path

import pytest

from bench.cli import main
from bench.measure import environment


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests share the machine's cores."""
    monkeypatch.setattr(environment, "physical_cores", lambda: 1)


def test_a_case_on_the_processor(
    v3_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every layer has a time, a floor, and what bounds it."""
    from bench.measure import ceilings

    monkeypatch.setenv("VOCODER_BENCH_CEILINGS", str(tmp_path))
    monkeypatch.setitem(ceilings.COPY_BYTES, "cpu", 1 << 20)
    monkeypatch.setitem(ceilings.SIDE, "cpu", 64)
    assert main(["profile", "v3-eager-fp32-b1-t1", "--device", "cpu", "--weights", str(v3_directory)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("v3-eager-fp32-b1-t1: ")
    assert "aten::conv1d" in printed
    [line] = [line for line in printed.splitlines() if line.endswith("  conv_pre")]
    assert len(line.split()) == 7
    assert list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("v3-cuda-graph-fp16-b1-t9", "cannot run here: CUDA graphs need an NVIDIA GPU"),
        ("v3-eager-tf32-b1-t9", "cannot run here: tf32 exists on NVIDIA GPUs only"),
        ("v3-nothing-fp16-b1-t9", "unknown backend 'nothing'"),
        ("nonsense", "is no case"),
    ],
)
def test_what_cannot_run(case: str, reason: str, v3_directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence and exit code 2."""
    assert main(["profile", case, "--device", "cpu", "--weights", str(v3_directory)]) == 2
    assert reason in capsys.readouterr().err
