"""A case taken apart, untimed: its kernels, and each layer's time beside the layer's floor."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.measure.kernels import Trace
from bench.measure.roofline import layer_floor_ms
from bench.measure.work import Layer
from bench.precision import Precision
from bench.records.limits import Ceilings


@dataclass(frozen=True)
class LayerTime:
    """One layer of a case.

    Attributes:
        layer: What it computes.
        floor_ms: What the machine allows for it.
        bound_by: What sets that floor.
        ms: What it took; None where the backend does not tell its layers apart.
    """

    layer: Layer
    floor_ms: float
    bound_by: str
    ms: float | None

    @property
    def percent_of_limit(self) -> float | None:
        """The floor over the time."""
        return 100 * self.floor_ms / self.ms if self.ms else None


def layer_times(
    layers: Sequence[Layer], layers_ms: Mapping[str, float], precision: Precision, limits: Ceilings
) -> list[LayerTime]:
    """Every layer with its floor, in the order that layers run in."""
    return [
        LayerTime(layer, *layer_floor_ms(layer, precision, limits), ms=layers_ms.get(layer.name)) for layer in layers
    ]


def profile_text(case_id: str, trace: Trace, layers: Sequence[LayerTime], most: int = 15) -> str:
    """The profile as text: totals, kernels, layers.

    Args:
        case_id: The case.
        trace: Its kernels.
        layers: Its layers.
        most: Kernels to list.
    """
    busy = "" if trace.busy_percent is None else f", GPU busy for {trace.busy_percent:.0f} % of the time between them"
    lines = [f"{case_id}: {trace.count:g} kernels{busy}", "", f"{'ms':>9} {'calls':>6}  kernel"]
    lines += [f"{kernel.ms:9.4f} {kernel.calls:6g}  {kernel.name[:100]}" for kernel in trace.kernels[:most]]
    rest = trace.kernels[most:]
    if rest:
        lines.append(f"{sum(kernel.ms for kernel in rest):9.4f} {sum(k.calls for k in rest):6g}  {len(rest)} others")
    lines += ["", f"{'ms':>9} {'floor':>9} {'limit':>6} {'GFLOP':>8}  {'bound by':8}  layer"]
    lines += [_layer_line(item) for item in layers]
    return "\n".join(lines)


def _layer_line(item: LayerTime) -> str:
    time = "" if item.ms is None else f"{item.ms:.4f}"
    limit = "" if item.percent_of_limit is None else f"{item.percent_of_limit:.0f} %"
    gflop = item.layer.flops / 1e9
    return f"{time:>9} {item.floor_ms:9.4f} {limit:>6} {gflop:8.3f}  {item.bound_by:8}  {item.layer.name}"
