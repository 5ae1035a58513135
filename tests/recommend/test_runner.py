"""A recommendation can be called: it is the vocoder, in the recommended configuration."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bench.case import Case
from bench.errors import InputError, UnsupportedError
from bench.measure import environment
from bench.recommend import load
from bench.vocoders import load_vocoder
from tests.synthetic_records import quality_record, speed_record, write_run

CASE = Case("v3", "eager", "fp32", 1, 3)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests share the machine's cores."""
    monkeypatch.setattr(environment, "physical_cores", lambda: 1)


@pytest.fixture
def run(tmp_path: Path) -> str:
    """A run on the processor that recommends eager fp32."""
    return str(write_run(tmp_path / "run", [speed_record(CASE, device="cpu"), quality_record(CASE, device="cpu")]))


def test_it_vocodes_as_the_vocoder_does(run: str, v3_directory: Path) -> None:
    """Its answers are the vocoder's, the caller's own, and of any shape that the backend takes."""
    vocoder = load_vocoder("v3", v3_directory)
    first, second = torch.randn(1, 100, 3), torch.randn(2, 100, 4)
    with load(run, "v3", v3_directory) as vocode:
        assert vocode.case == CASE
        assert vocode.answer.chosen.case == CASE
        one, two = vocode(first), vocode(second)
    with torch.inference_mode():
        assert torch.allclose(one, vocoder(first), atol=1e-5)
        assert torch.allclose(two, vocoder(second), atol=1e-5)
    assert one.dtype is torch.float32


def test_a_shape_that_the_runner_does_not_take_is_refused(run: str, v3_directory: Path) -> None:
    """Rather than run wrongly."""
    with load(run, "v3", v3_directory) as vocode:
        runner = replace(vocode._prepared.runner, takes=lambda _: False)
        vocode._prepared = replace(vocode._prepared, runner=runner)
        vocode(torch.randn(1, 100, 3))
        with pytest.raises(UnsupportedError, match=r"does not take the shape \(1, 100, 4\)"):
            vocode(torch.randn(1, 100, 4))


def test_weights_that_cannot_be_used(run: str, tmp_path: Path) -> None:
    """The user's mistake is the user's sentence."""
    with pytest.raises(InputError):
        load(run, "v3", tmp_path / "nothing")
