"""A case taken apart: every layer beside its floor, as text."""

from bench.measure.kernels import Trace
from bench.measure.work import Layer
from bench.precision import PRECISIONS
from bench.records.kinds.profile import ProfiledKernel
from bench.records.limits import Ceilings
from bench.run.profiling import layer_times, profile_text

LIMITS = Ceilings(1e12, 1e14, "fp16", "2026-01-01T00:00:00+00:00")
LAYERS = [
    Layer("conv_pre", "conv", flops=10**11, weights=10, inputs=10, outputs=10),
    Layer("act", "activation", flops=10, weights=0, inputs=10**9, outputs=10**9),
]


def test_layers_stand_beside_their_floors() -> None:
    """1 ms of arithmetic in 4 ms is a quarter of the limit; a layer without a time has its floor alone."""
    found = layer_times(LAYERS, {"conv_pre": 4.0}, PRECISIONS["fp16"], LIMITS)
    assert [item.bound_by for item in found] == ["compute", "memory"]
    assert found[0].percent_of_limit == 25.0
    assert found[1].percent_of_limit is None


def test_the_text_has_every_layer_and_the_longest_kernels() -> None:
    """Kernels beyond the first are summed, so that nothing is lost."""
    trace = Trace(
        (ProfiledKernel("conv", 2, 3.0), ProfiledKernel("snake", 4, 1.0), ProfiledKernel("copy", 1, 0.5)),
        7,
        80.0,
        {"conv_pre": 4.0},
    )
    text = profile_text(
        "v3-eager-fp16-b1-t9", trace, layer_times(LAYERS, trace.layers_ms, PRECISIONS["fp16"], LIMITS), 1
    )
    assert "v3-eager-fp16-b1-t9: 7 kernels, GPU busy for 80 % of the time" in text
    assert "1.5000      5  2 others" in text
    assert "snake" not in text
    [line] = [line for line in text.splitlines() if line.endswith("conv_pre")]
    assert line.split() == ["4.0000", "1.0000", "25", "%", "100.000", "compute", "conv_pre"]
