"""Levels of runs, and what they and earlier nights say of their error."""

import math
from dataclasses import replace

import numpy as np
import pytest

from bench.compare.levels import level, past_spread, recurrent, sign, spread, usable
from bench.compare.observation import Observation, Processes, observe
from bench.compare.thresholds import load_thresholds
from tests.comparing import processes, quality, record
from tests.synthetic_records import changed, speed_of

METRICS = load_thresholds().metrics


def seen(shared: int = 3, **changes: object) -> Observation:
    return observe(record(shared=shared, **changes), METRICS)  # type: ignore[arg-type]


def of(times: tuple[float, ...], control: tuple[float, ...] | None, builds: tuple[int, ...]) -> Observation:
    return replace(seen(), processes=Processes(times, control, tuple(-time for time in times), builds))


def test_a_level_is_the_mean_of_its_processes() -> None:
    """Each process counts alike, however many rounds it took; of one process it is the mean of the batches."""
    item = of((1.0, 2.0, 6.0), None, (0, 0, 0))
    assert level(item, "time", METRICS["time"]) == 3.0
    assert level(item, "throughput", METRICS["throughput"]) == -3.0
    one = seen(shared=1)
    assert one.processes is None
    assert level(one, "time", METRICS["time"]) == pytest.approx(math.log(10), abs=0.01)


def test_processes_of_a_record_are_its_samples_in_order() -> None:
    """The level of each process is that of its own rounds."""
    samples = [10.0] * 20 + [11.0] * 20 + [12.0] * 20
    timing = replace(speed_of(record()).timing, samples_ms=tuple(samples), rounds=60)
    item = observe(changed(record(), timing=timing, processes=processes(samples, 3, (0, 0, 1))), METRICS)
    assert item.processes is not None
    np.testing.assert_allclose(np.exp(item.processes.time), [10, 11, 12])
    assert item.processes.builds == (0, 0, 1)
    # Processes that do not add up to the samples say nothing.
    assert observe(changed(record(), processes=processes(samples[:40], 2)), METRICS).processes is None


def test_the_spread_is_between_builds_where_there_are_several() -> None:
    """Two builds of two processes each are two units, not four."""
    found = spread(of((1.0, 1.2, 2.0, 2.2), None, (0, 0, 1, 1)), "time", 0.0)
    assert found.units == 2
    assert found.squares == pytest.approx(0.5)
    found = spread(of((1.0, 1.2, 2.0, 2.2), None, (0, 0, 0, 0)), "time", 0.0)
    assert found.units == 4
    assert found.squares == pytest.approx(0.02 + 0.02 + 1.0)
    assert not spread(seen(shared=1), "time", 0.0).replicated


def test_what_the_baseline_shares_is_taken_out_of_the_spread() -> None:
    """Processes that differ as their baselines do do not differ; a throughput falls where times grow."""
    item = of((1.0, 2.0, 4.0), (0.0, 1.0, 3.0), (0, 0, 0))
    assert spread(item, "time", 1.0).squares == pytest.approx(0.0)
    assert spread(item, "throughput", 1.0).squares == pytest.approx(0.0)
    assert spread(item, "time", 0.0).squares > 4
    assert (sign("time"), sign("throughput"), sign("build")) == (1.0, -1.0, 0.0)


def test_values_are_held_at_their_ceiling() -> None:
    """An SNR over 120 dB counts as 120; a memory is compared as its logarithm."""
    item = observe(quality(snr_db=140.0), METRICS)
    assert level(item, "snr_db", METRICS["snr_db"]) == 120.0
    assert level(seen(), "memory_process", METRICS["memory_process"]) == pytest.approx(math.log(2**31))
    assert not usable(replace(seen(), values={"build": 0.0}), "build", METRICS["build"])
    assert not usable(replace(seen(), rounds=None), "time", METRICS["time"])


def test_past_spread_is_around_one_step_and_no_more() -> None:
    """A change that lasts is no noise; a level that comes and goes is."""
    metric, rng = METRICS["time"], np.random.default_rng(0)
    noise = rng.normal(0, 0.003, 30)
    variance, freedom = past_spread(noise.tolist(), metric)
    assert variance == pytest.approx(noise.var(ddof=1))
    assert freedom == 29
    step = noise + np.where(np.arange(30) >= 15, 0.1, 0.0)
    variance, freedom = past_spread(step.tolist(), metric)
    assert math.sqrt(variance) < 0.005
    assert freedom == 28
    modes = noise + np.where(np.arange(30) // 5 % 2, 0.1, 0.0)
    assert math.sqrt(past_spread(modes.tolist(), metric)[0]) == pytest.approx(0.05, rel=0.1)
    assert past_spread([1.0, 1.0], metric) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("nights", "move", "known"),
    [
        ([0, 1, 0, 0, 1, 0], 1.0, True),
        ([0, 1, 0, 0, 0, 0], 1.0, False),
        ([0, 1, 1, 1, 0, 0], 1.0, False),
        ([0, 0, 0, 0, 1, 1], 1.0, False),
        ([0, 1, 0, 0, 1, 1], 1.0, False),
        ([0, -1, 0, -1, 0, 0], 1.0, False),
        ([0, -1, 0, -1, 0, 0], -1.0, True),
        ([0, 0.5, 0, 0.5, 0, 0], 1.0, False),
        ([], 1.0, False),
    ],
)
def test_a_level_is_known_where_nights_had_it_and_left_it_twice(nights: list[float], move: float, known: bool) -> None:
    """One visit may be the same change before; the newest nights may be the change itself."""
    assert recurrent(nights, 0.0, move) is known


def test_engines_are_named_by_what_their_builds_took() -> None:
    """Two runs of one engine file have the same name, another build has another, and eager has none."""
    one = record()
    parts = tuple(replace(part, build_s=12.5) for part in speed_of(one).processes)
    assert observe(changed(one, processes=parts), METRICS).engines == "12.5"
    assert observe(one, METRICS).engines is None
