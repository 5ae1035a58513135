"""Limits and new lengths of a case: measured again where they cannot be true, and blank where there is nothing."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from bench.backend import Runner
from bench.case import Case
from bench.measure.clock import WallClock
from bench.records.limits import Ceilings
from bench.records.schema import Build
from bench.run import beside
from tests.conftest import small_v3
from tests.synthetic_records import speed_of, speed_record

CPU = torch.device("cpu")
CASE = Case("v3", "eager", "fp32", 1, 3)
SLOW = Ceilings(copy_bytes_per_s=1e12, flops_per_s=1e6, product="fp32", measured_at="2026-01-01T00:00:00+00:00")
FAST = replace(SLOW, flops_per_s=1e15, copy_bytes_per_s=1e15)


def test_a_limit_that_a_case_exceeds_is_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ceiling of 1 MFLOP/s cannot be the machine's; the record holds the new one."""
    asked: list[bool] = []

    def measured(*_: object, again: bool) -> Ceilings:
        asked.append(again)
        return FAST

    monkeypatch.setattr(beside, "ceilings", measured)
    timing = speed_of(speed_record(CASE)).timing
    found = beside.limit_of(CASE, small_v3(), CPU, SLOW, timing)
    assert asked == [True]
    assert found.ceilings == FAST
    assert found.percent_of_limit < 100
    assert beside.limit_of(CASE, small_v3(), CPU, FAST, timing).ceilings == FAST
    assert asked == [True]


def test_ceilings_that_cannot_be_measured_are_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """A card without a product of the precision keeps its durations."""

    def fails(*_: object) -> Ceilings:
        raise RuntimeError("no kernel image\nmore lines")

    monkeypatch.setattr(beside, "ceilings", fails)
    assert beside.ceilings_or_reason(CASE, CPU) == "RuntimeError: no kernel image"


class _Session:
    """What a new length asks of a session."""

    def __init__(self, lengths: set[int]) -> None:
        self.lengths, self.device = lengths, CPU

    def vocoder(self, _: str) -> object:
        return small_v3()

    def lengths_run(self, _: str) -> set[int]:
        return self.lengths

    def voice(self, _: str) -> "_Session":
        return self

    def mel(self, batch: int, frames: int) -> Tensor:
        return torch.zeros(batch, 100, frames)


def _runner(takes: bool) -> tuple[Runner, list[tuple[int, ...]]]:
    shapes: list[tuple[int, ...]] = []

    def run(mel: Tensor) -> Tensor:
        shapes.append(tuple(mel.shape))
        return mel

    return Runner(run, torch.float16, Build(0.0), lambda _: None, takes=lambda _: takes), shapes  # type: ignore[arg-type,return-value]


def test_a_new_length_is_one_that_nothing_ran() -> None:
    """The nearest length that was not seen, which then counts as seen; a runner of one shape has no such cost."""
    runner, shapes = _runner(takes=True)
    session = _Session({3, 4})
    found = beside.new_length_of(CASE, runner, session, WallClock())  # type: ignore[arg-type]
    assert found is not None
    assert found.frames == 2
    assert set(shapes) == {(1, 100, 2)}
    assert session.lengths == {2, 3, 4}
    runner, shapes = _runner(takes=False)
    assert beside.new_length_of(CASE, runner, session, WallClock()) is None  # type: ignore[arg-type]
    assert shapes == []
