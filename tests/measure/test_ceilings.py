"""Ceilings are measured once for a machine, kept under what they depend on, and never taken from a faulty file."""

import json
from pathlib import Path

import pytest
import torch

from bench.measure import ceilings as module
from bench.measure.ceilings import ceilings, copy_bytes_per_s, product_flops_per_s
from bench.precision import PRECISIONS

CPU = torch.device("cpu")
FP32, AUTOCAST = PRECISIONS["fp32"], PRECISIONS["autocast"]


class Counter:
    """Stands in for a measurement: the next value at each call."""

    def __init__(self, *values: float) -> None:
        self.values, self.calls = list(values), 0

    def __call__(self, *_: object) -> float:
        """One value."""
        self.calls += 1
        return self.values.pop(0)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> tuple[Counter, Counter]:
    """Copies at 10 then 5 then 20 B/s, products at 100 then 300 then 200 FLOP/s."""
    copies, products = Counter(10.0, 5.0, 20.0), Counter(100.0, 300.0, 200.0)
    monkeypatch.setattr(module, "copy_bytes_per_s", copies)
    monkeypatch.setattr(module, "product_flops_per_s", products)
    return copies, products


def test_a_machine_is_measured_once(tmp_path: Path, measured: tuple[Counter, Counter]) -> None:
    """The second case takes what the first one left; another precision adds its product alone."""
    copies, products = measured
    first = ceilings(CPU, FP32, tmp_path)
    assert (first.copy_bytes_per_s, first.flops_per_s, first.product) == (10.0, 100.0, "fp32")
    assert ceilings(CPU, FP32, tmp_path) == first
    other = ceilings(CPU, AUTOCAST, tmp_path)
    assert (other.flops_per_s, other.product) == (300.0, "bf16")
    assert (copies.calls, products.calls) == (1, 2)


def test_measuring_again_keeps_the_higher_one(tmp_path: Path, measured: tuple[Counter, Counter]) -> None:
    """A ceiling that a busy machine made too low is put right; one measured on a busy machine lowers nothing."""
    ceilings(CPU, FP32, tmp_path)
    again = ceilings(CPU, FP32, tmp_path, again=True)
    assert (again.copy_bytes_per_s, again.flops_per_s) == (10.0, 300.0)
    third = ceilings(CPU, FP32, tmp_path, again=True)
    assert (third.copy_bytes_per_s, third.flops_per_s) == (20.0, 300.0)
    assert measured[0].calls == 3


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: "no JSON",
        lambda content: json.dumps({**content, "identity": {"device": "another"}}),
        lambda content: json.dumps({**content, "figures": {"copy": [0, ""], "fp32": [1, ""]}}),
        lambda content: json.dumps({**content, "figures": {"copy": ["fast", ""]}}),
        lambda _: "[]",
    ],
    ids=["torn", "another machine", "zero", "no number", "no object"],
)
def test_a_faulty_file_is_measured_over(tmp_path: Path, measured: tuple[Counter, Counter], spoil: object) -> None:
    """What cannot be true is not taken for a ceiling, and is replaced."""
    ceilings(CPU, FP32, tmp_path)
    [file] = tmp_path.iterdir()
    file.write_text(spoil(json.loads(file.read_text())), encoding="utf-8")  # type: ignore[operator]
    assert ceilings(CPU, FP32, tmp_path).flops_per_s == 300.0
    assert ceilings(CPU, FP32, tmp_path).flops_per_s == 300.0
    assert measured[1].calls == 2


def test_threads_are_part_of_a_processor(tmp_path: Path, measured: tuple[Counter, Counter]) -> None:
    """What one thread reaches is no ceiling for two."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        ceilings(CPU, FP32, tmp_path)
        torch.set_num_threads(2)
        ceilings(CPU, FP32, tmp_path)
    finally:
        torch.set_num_threads(before)
    assert measured[1].calls == 2


def test_a_folder_that_cannot_be_written_costs_the_memory_only(
    tmp_path: Path, measured: tuple[Counter, Counter]
) -> None:
    """Without a cache a run has its ceilings all the same."""
    blocked = tmp_path / "file"
    blocked.write_text("", encoding="utf-8")
    assert ceilings(CPU, FP32, blocked).flops_per_s == 100.0
    assert measured[1].calls == 1


def test_real_ceilings_are_speeds_of_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor copies between 0.1 and 10,000 GB/s and multiplies between 0.1 and 100,000 GFLOP/s."""
    monkeypatch.setitem(module.COPY_BYTES, "cpu", 1 << 24)
    monkeypatch.setitem(module.SIDE, "cpu", 256)
    assert 1e8 < copy_bytes_per_s(CPU) < 1e13
    assert 1e8 < product_flops_per_s(CPU, FP32) < 1e14
