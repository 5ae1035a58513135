"""How long a sweep takes, from a machine's pace."""

from dataclasses import replace

import pytest

from bench.case import Case
from bench.measure.sampling import StopRule
from bench.run.estimate import INPUTS, PACE_FRAMES, Pace, sweep_s
from bench.run.job import Kind
from bench.run.settings import Settings

PACE = Pace(start_s=4.0, load_s={"v3": 2.0, "v4": 1.0}, call_s={"v3": 0.5, "v4": 0.1}, halo={"v3": 10, "v4": 6})
SETTINGS = Settings("run", stop=StopRule(min_rounds=6, time_limit_s=5.0))
CASE = Case("v3", "eager", "fp32", 1, PACE_FRAMES)
STREAM = Case("v4", "eager", "fp32", 1, 23)


def test_a_worker_starts_once_for_the_kinds_of_a_configuration() -> None:
    """Speed and sound of one configuration share a start and the loading of weights."""
    alone = [sweep_s([(kind, CASE)], [], PACE, SETTINGS) for kind in (Kind.SPEED, Kind.QUALITY)]
    both = sweep_s([(Kind.SPEED, CASE), (Kind.QUALITY, CASE)], [], PACE, SETTINGS)
    assert both == pytest.approx(sum(alone) - 6.0)


def test_every_call_counts() -> None:
    """A sound is of eight inputs, each vocoded by the case and by eager; a machine half as fast takes twice as long."""
    sound = sweep_s([(Kind.QUALITY, CASE)], [], PACE, SETTINGS) - 6.0
    assert sound > 2 * INPUTS * 0.5
    slow = replace(PACE, call_s={"v3": 1.0, "v4": 0.2})
    again = sweep_s([(Kind.QUALITY, CASE)], [], slow, SETTINGS) - 6.0
    assert again == pytest.approx(2 * sound, rel=0.1)


def test_streams_count_and_what_does_not_run_here_does_not() -> None:
    """Six streams of three windows at least; cases of unavailable backends take nothing."""
    assert sweep_s([(Kind.STREAMING, STREAM)], [], PACE, SETTINGS) - 5.0 > 6 * 3 * 0.1
    assert sweep_s([(Kind.STREAMING, replace(STREAM, batch=2))], [], PACE, SETTINGS) == pytest.approx(5.0, abs=0.5)
    assert sweep_s([(Kind.SPEED, CASE)], ["eager"], PACE, SETTINGS) == 0.0
