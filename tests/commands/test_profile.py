"""``vocoder-bench profile`` prints a case's kernels and layers, and refuses what cannot run."""

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from bench.case import Case
from bench.cli import main
from bench.compare.runs import compare_runs
from bench.measure import ceilings, environment
from bench.records.jsonl import read_records
from bench.records.kinds.profile import Profile
from bench.records.plan import Plan, write_plan
from bench.records.run import load_run
from bench.records.schema import Record
from bench.report.sections.inside import asks, profiled
from bench.run.session import Session
from bench.run.settings import Settings
from tests.synthetic_records import speed_record, write_run

CASE = Case("v3", "eager", "fp32", 1, 1)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests share the machine's cores."""
    monkeypatch.setattr(environment, "physical_cores", lambda: 1)


@pytest.fixture
def small_ceilings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The machine's limits, measured in a moment and kept in a folder of the test."""
    folder = tmp_path / "ceilings"
    monkeypatch.setenv("VOCODER_BENCH_CEILINGS", str(folder))
    monkeypatch.setitem(ceilings.COPY_BYTES, "cpu", 1 << 20)
    monkeypatch.setitem(ceilings.SIDE, "cpu", 64)
    return folder


@pytest.fixture
def record(v3_directory: Path) -> Record:
    """A timed case of small weights on this machine, with invented durations."""
    with Session(Settings("synthetic-run", weights=(str(v3_directory),))) as session:
        return replace(session.begin(CASE, "speed"), result=speed_record(CASE, device="cpu").result)


def test_a_case_on_the_processor(v3_directory: Path, small_ceilings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every layer has a time, a floor, and what bounds it."""
    assert main(["profile", CASE.id, "--device", "cpu", "--weights", str(v3_directory)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("v3-eager-fp32-b1-t1: ")
    assert "aten::conv1d" in printed
    [line] = [line for line in printed.splitlines() if line.endswith("  conv_pre")]
    assert len(line.split()) == 7
    assert list(small_ceilings.iterdir())


@pytest.mark.usefixtures("small_ceilings")
def test_the_report_s_own_command_puts_a_profile_into_the_run(
    record: Record, v3_directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run then holds the profile under its own id, the report draws it, and comparisons do not know it."""
    folder = write_run(tmp_path / "run", [record])
    write_plan(folder, Plan("synthetic-run", "2026-01-01", (), settings={"weights": [str(v3_directory)]}))
    [ask] = asks(load_run(folder))
    assert main(shlex.split(ask.command)[1:]) == 0
    assert f"vocoder-bench report {folder}" in capsys.readouterr().out
    kept = read_records(folder)[-1]
    profile = kept.answer(Profile)
    assert profile is not None
    assert (kept.run_id, kept.id) == ("synthetic-run", CASE.id)
    assert all(layer.ms is not None for layer in profile.layers)
    run = load_run(folder)
    assert asks(run) == []
    [item] = profiled(run)
    assert {"input, convolutions", "stage 1, activations"} <= {part.name for part in item.parts}
    before = write_run(tmp_path / "before", [record])
    assert [case.kind for case in compare_runs(folder, before).cases] == ["speed"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"case": Case("v3", "eager", "fp32", 1, 2)}, "holds no record of v3-eager-fp32-b1-t1"),
        ({"environment": {"cpu": {"name": "another"}}}, "ran on the machine another, this is"),
    ],
)
def test_a_run_that_the_profile_does_not_belong_to(
    record: Record,
    v3_directory: Path,
    changes: dict[str, object],
    reason: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One sentence, exit code 2, and the run as it was."""
    folder = write_run(tmp_path / "run", [replace(record, **changes)])  # type: ignore[arg-type]
    before = (folder / "records.jsonl").read_bytes()
    assert main(["profile", CASE.id, "--into", str(folder), "--weights", str(v3_directory)]) == 2
    assert reason in capsys.readouterr().err
    assert (folder / "records.jsonl").read_bytes() == before


def test_other_weights_are_refused(record: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run without run.json does not tell where its weights are; synthetic ones are others."""
    assert record.weights is not None
    other = replace(record.weights, sha256="0" * 64)
    folder = write_run(tmp_path / "run", [replace(record, weights=other)])
    assert main(["profile", CASE.id, "--into", str(folder)]) == 2
    assert "give the run's with --weights" in capsys.readouterr().err


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
