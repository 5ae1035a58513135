"""The floor is arithmetic on counted work and measured ceilings, and the bound follows from it."""

import pytest

from bench.measure.roofline import layer_floor_ms, roofline
from bench.measure.work import Layer, Work
from bench.precision import PRECISIONS
from bench.records.limits import Ceilings

# 1 TB/s and 100 TFLOP/s.
LIMITS = Ceilings(copy_bytes_per_s=1e12, flops_per_s=1e14, product="fp16", measured_at="2026-01-01T00:00:00+00:00")
CONV = Layer("conv", "conv", flops=2 * 10**11, weights=10**6, inputs=10**8, outputs=3 * 10**8)
WORK = Work(flops=CONV.flops, weights=CONV.weights, mel=1000, audio=2000, layers=(CONV,))


def test_a_long_run_is_bound_by_compute() -> None:
    """200 GFLOP at 100 TFLOP/s are 2 ms; a run of 4 ms is at half of the limit."""
    found = roofline(WORK, PRECISIONS["fp16"], LIMITS, median_ms=4.0, launch_median_ms=0.5)
    assert found.floor_ms == pytest.approx(2.0)
    assert found.percent_of_limit == pytest.approx(50.0)
    assert found.bound_by == "compute"
    assert found.least_bytes == 2 * (10**6 + 3000)
    assert found.flops == 2 * 10**11


def test_a_short_run_is_bound_by_reading_the_weights() -> None:
    """With a tenth of a millisecond of arithmetic, 0.4 ms of weights in float32 set the floor."""
    short = Work(flops=10**10, weights=10**8, mel=0, audio=0, layers=())
    found = roofline(short, PRECISIONS["fp32"], LIMITS, median_ms=1.0, launch_median_ms=None)
    assert found.floor_ms == pytest.approx(0.4)
    assert found.bound_by == "memory"
    assert found.percent_of_limit == pytest.approx(40.0)


@pytest.mark.parametrize(("launch_ms", "bound"), [(3.7, "launches"), (3.5, "compute"), (None, "compute")])
def test_a_run_that_waits_for_its_host_is_bound_by_launches(launch_ms: float | None, bound: str) -> None:
    """Whatever the floor: where launching takes nine tenths of the time, a faster kernel would not help."""
    assert roofline(WORK, PRECISIONS["fp16"], LIMITS, 4.0, launch_ms).bound_by == bound


def test_a_layer_reads_its_input_and_writes_its_output() -> None:
    """0.8 GB of float16 signals and 2 MB of weights are 0.802 ms; 2 ms of arithmetic set the floor, and less do not."""
    floor_ms, bound = layer_floor_ms(CONV, PRECISIONS["fp16"], LIMITS)
    assert floor_ms == pytest.approx(2.0)
    assert bound == "compute"
    light = Layer("act", "activation", flops=10**9, weights=0, inputs=10**8, outputs=10**8)
    floor_ms, bound = layer_floor_ms(light, PRECISIONS["fp16"], LIMITS)
    assert floor_ms == pytest.approx(0.4)
    assert bound == "memory"
    both = Work(CONV.flops, CONV.weights, 0, 0, (CONV, light))
    assert roofline(both, PRECISIONS["fp16"], LIMITS, 4.0, None).layered_floor_ms == pytest.approx(2.4)


def test_quantised_weights_take_a_byte() -> None:
    """int8 keeps weights in one byte and signals in float16."""
    found = roofline(WORK, PRECISIONS["int8"], LIMITS, 4.0, None)
    assert found.least_bytes == 10**6 + 2 * 3000
