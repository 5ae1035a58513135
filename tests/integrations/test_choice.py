"""What ``auto`` takes: the records' answer, the fastest that sounds right, or the first that runs."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bench.case import Case
from bench.errors import InputError, UnsupportedError
from bench.integrations import choice
from bench.integrations.choice import Wanted, choose
from bench.integrations.live import read_live
from bench.integrations.runners import Model
from bench.records.schema import Record
from tests.integrations.conftest import Planted
from tests.integrations.stand_in_tts import BigVGAN
from tests.synthetic_records import ENVIRONMENT, quality_record, speed_record, write_run

LENGTHS = [466, 932]


@pytest.fixture(scope="module")
def model() -> Model:
    """The small v3 on the processor."""
    return Model(*read_live(BigVGAN().eval()), torch.device("cpu"), None)


def run_of(folder: Path, *cases: Case, device: str = "cpu") -> Path:
    """A run that judged and timed these cases."""
    records: list[Record] = []
    for case in cases:
        records += [speed_record(case, device=device), quality_record(case, device=device)]
    return write_run(folder, records)


def test_the_records_answer(tmp_path: Path, model: Model) -> None:
    """Of the precision that was asked for the fastest in its tier, at one chunk, with the reason."""
    cases = [Case("v3", name, "fp32", 1, 468) for name in ("eager", "torchscript")]
    run = run_of(tmp_path / "run", *cases, Case("v3", "torchscript", "bf16", 1, 468))
    for records in (run, tmp_path):
        found, runners = choose(Wanted(precision="fp32", records=records), "v3", model, LENGTHS)
        assert found.case.id == "v3-torchscript-fp32-b1-t466"
        assert found.why == f"recommended by {run}"
        assert runners.find((1, 100, 51)) is not None
        runners.close()


def test_records_of_another_machine(tmp_path: Path, model: Model) -> None:
    """Figures of another GPU are no answer here, and are not taken for one."""
    run = run_of(tmp_path / "run", Case("v3", "eager", "fp32", 1, 468), device="cuda:0")
    with pytest.raises(InputError, match="are of Synthetic GPU 80GB, and this is cpu: measure here, or leave records"):
        choose(Wanted(precision="fp32", records=run), "v3", model, LENGTHS)
    assert choice._device_name(ENVIRONMENT, "cuda:0") == "Synthetic GPU 80GB"
    assert choice._device_name(ENVIRONMENT, "cpu") == "cpu"


def test_records_without_the_precision(tmp_path: Path, model: Model) -> None:
    """The sentence says what is missing."""
    run = run_of(tmp_path / "run", Case("v3", "eager", "fp32", 1, 468))
    with pytest.raises(InputError, match="the run has no timed case of v3 in fp16"):
        choose(Wanted(precision="fp16", records=run), "v3", model, LENGTHS)


def test_the_fastest_here(model: Model, planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow backend loses, those that do not run are named with the reason, and the times are kept."""
    planted.delay_s = 0.05
    monkeypatch.setattr(choice, "QUICK", ("fused", "planted", "eager"))
    found, runners = choose(Wanted(precision="fp32"), "v3", model, LENGTHS)
    assert found.case.backend == "eager"
    assert found.why == "fastest of 2 that were measured here"
    assert found.measured_ms["planted fp32"] > 50 > found.measured_ms["eager fp32"]
    assert dict(found.refused) == {"fused fp32": "UnsupportedError: fused: fused kernels need an NVIDIA GPU."}
    assert planted.closed == 1
    assert runners.lengths == (466,)


def test_the_fastest_that_sounds_right(model: Model, planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend at half the level is fast and wrong: it is refused by its sound."""
    planted.louder = 0.5
    monkeypatch.setattr(choice, "QUICK", ("planted", "eager"))
    found, _ = choose(Wanted(precision="fp32"), "v3", model, LENGTHS)
    assert found.case.backend == "eager"
    assert dict(found.refused)["planted fp32"].startswith("its sound fails: ")


def test_the_first_that_runs(model: Model, planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a measurement fused comes first; where it does not run, the next one."""
    assert choice.QUICK[0] == "fused"
    monkeypatch.setattr(choice, "QUICK", ("fused", "planted", "eager"))
    found, _ = choose(Wanted(precision="fp32", measure=False), "v3", model, LENGTHS)
    assert (found.case.backend, found.measured_ms) == ("planted", {})
    assert [name for name, _ in found.refused] == ["fused fp32"]
    planted.refuses = ("v3",)
    monkeypatch.setattr(choice, "QUICK", ("fused", "planted"))
    for measure in (True, False):
        with pytest.raises(UnsupportedError, match=r"nothing runs v3 in fp32 on cpu: fused fp32: .*; planted fp32: "):
            choose(Wanted(precision="fp32", measure=measure), "v3", model, LENGTHS)


def test_a_backend_by_name(model: Model) -> None:
    """With its options, as a sweep has them; another is never taken in its place."""
    found, _ = choose(Wanted("torchscript", "fp32"), "v3", model, LENGTHS)
    assert found.case == replace(Case("v3", "torchscript", "fp32", 1, 466))
    with pytest.raises(InputError, match="backend eager has no option"):
        choose(Wanted("eager:level=1", "fp32"), "v3", model, LENGTHS)
