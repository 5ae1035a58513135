"""``vocoder-bench recommend`` prints the answer, in words or as JSON."""

import json
from pathlib import Path

import pytest

from bench.case import Case
from bench.cli import main
from tests.synthetic_records import quality_record, speed_record, write_run

EAGER, TENSORRT = Case("v3", "eager", "fp16", 1, 468), Case("v3", "tensorrt", "fp16", 1, 468)


@pytest.fixture
def run(tmp_path: Path) -> str:
    """A run of two configurations, one of which was not judged."""
    records = [speed_record(EAGER), quality_record(EAGER), speed_record(TENSORRT)]
    return str(write_run(tmp_path / "run", records))


def test_words(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The case, its figure, what it was judged on, what was not considered, and the lines."""
    assert main(["recommend", "--version", "v3", run]) == 0
    printed = capsys.readouterr().out
    assert "v3 on cuda:0 by latency: v3-eager-fp16-b1-t468" in printed
    assert "its sound passes its tier on synthetic weights" in printed
    assert "not considered: tensorrt fp16: its sound was not judged" in printed
    assert "runner-up: none" in printed
    assert "from bench.recommend import load" in printed


def test_json(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Everything that the words say, for a program."""
    assert main(["recommend", "--version", "v3", "--objective", "throughput", "--json", run]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["case"] == "v3-eager-fp16-b1-t468"
    assert (found["objective"], found["unit"], found["runner_up"]) == ("throughput", "audio s/s", None)
    assert found["ruled_out"] == [["tensorrt fp16", "its sound was not judged"]]


@pytest.mark.parametrize("option", ["--frames", "--max-build-s"])
def test_figures_are_positive(run: str, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Zero frames or seconds are the user's mistake."""
    assert main(["recommend", "--version", "v3", option, "0", run]) == 2
    assert f"{option} is positive" in capsys.readouterr().err
