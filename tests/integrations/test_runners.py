"""Runners are prepared for the lengths of the default path, and proven before they are used."""

import pytest
import torch

from bench.case import Case
from bench.errors import WrongOutputError
from bench.integrations.live import read_live
from bench.integrations.runners import Model, active, prepare
from tests.integrations.conftest import Planted
from tests.integrations.stand_in_tts import Generator

CASE = Case("v4", "planted", "fp32", 1, 1)


@pytest.fixture(scope="module")
def model() -> Model:
    """The small v4 on the processor."""
    return Model(*read_live(Generator().eval()), torch.device("cpu"), None)


def test_one_runner_a_length_where_it_takes_no_other(model: Model, planted: Planted) -> None:
    """Static ones are made for each length; a shape between, another batch or a strange rank has none."""
    planted.only = True
    runners = prepare(CASE, model, [50, 100, 150])
    assert runners.lengths == (50, 100, 150)
    assert len({id(runners.find((1, 100, frames))) for frames in (50, 100, 150)}) == 3
    for shape in ((1, 100, 51), (2, 100, 50), (1, 80, 50), (100, 50)):
        assert runners.find(shape) is None
    runners.close()
    runners.close()
    assert planted.closed == 3


def test_one_runner_for_all_where_it_takes_them(model: Model, planted: Planted) -> None:
    """A runner for any length is prepared once."""
    runners = prepare(CASE, model, [50, 100, 150])
    assert (runners.lengths, len(planted.networks)) == ((50,), 1)
    assert runners.find((1, 100, 7)) is not None


def test_a_runner_that_is_wrong_is_not_used(model: Model, planted: Planted) -> None:
    """Silence is refused before GPT-SoVITS hears it, and what was made by then is given back."""
    planted.louder = 0.0
    with pytest.raises(WrongOutputError, match="silent"):
        prepare(CASE, model, [50])
    assert planted.closed == 1


def test_a_call_leaves_the_process_as_it_is(model: Model) -> None:
    """TF32 switches are set for float32 alone, and put back."""
    switch = torch.backends.cuda.matmul
    before = switch.fp32_precision
    for precision, during in (("fp32", "ieee"), ("fp16", before)):
        with active(Case("v4", "eager", precision, 1, 1)):
            assert switch.fp32_precision == during
            assert torch.is_inference_mode_enabled()
        assert switch.fp32_precision == before
    assert model.device.type == "cpu"
