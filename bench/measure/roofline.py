"""How far a case is from what the machine allows: its floor, and what keeps it there.

The floor is the longer of two times that no implementation can undercut on this machine: the network's operations at
the rate of the machine's best matrix product, and the least bytes at the rate of its best copy (Williams et al.,
"Roofline", 2009). A run that launches more slowly than the device works is bound by launches, whatever its floor.
"""

from bench.measure.work import Layer, Work
from bench.precision import Precision
from bench.records.limits import Ceilings, Roofline
from bench.records.schema import waits_for_host

COMPUTE, MEMORY, LAUNCHES = "compute", "memory", "launches"


def roofline(
    work: Work, precision: Precision, limits: Ceilings, median_ms: float, launch_median_ms: float | None
) -> Roofline:
    """Holds a median against the floor.

    Args:
        work: Of the network at the case's shape.
        precision: The case's.
        limits: Of the device at this precision.
        median_ms: Of the case.
        launch_median_ms: Host time until a call returned; None where that tells nothing.
    """
    weight_bytes, signal_bytes = sizes(precision)
    least = work.least_bytes(weight_bytes, signal_bytes)
    compute_ms, memory_ms = _times_ms(work.flops, least, limits)
    floor_ms = max(compute_ms, memory_ms)
    resource = COMPUTE if compute_ms >= memory_ms else MEMORY
    return Roofline(
        flops=work.flops,
        least_bytes=least,
        ceilings=limits,
        floor_ms=floor_ms,
        layered_floor_ms=sum(layer_floor_ms(layer, precision, limits)[0] for layer in work.layers),
        percent_of_limit=100 * floor_ms / median_ms,
        bound_by=LAUNCHES if waits_for_host(launch_median_ms, median_ms) else resource,
    )


def layer_floor_ms(layer: Layer, precision: Precision, limits: Ceilings) -> tuple[float, str]:
    """The floor of a layer that reads its input from memory and writes its output there, and what sets it.

    An implementation that fuses layers, or whose signals stay in the device's cache, can undercut it.
    """
    weight_bytes, signal_bytes = sizes(precision)
    moved = weight_bytes * layer.weights + signal_bytes * (layer.inputs + layer.outputs)
    compute_ms, memory_ms = _times_ms(layer.flops, moved, limits)
    return max(compute_ms, memory_ms), COMPUTE if compute_ms >= memory_ms else MEMORY


def sizes(precision: Precision) -> tuple[int, int]:
    """Bytes of a stored weight and of a sample between layers."""
    return 1 if precision.quantised else precision.dtype.itemsize, precision.dtype.itemsize


def _times_ms(flops: int, moved: int, limits: Ceilings) -> tuple[float, float]:
    return 1000 * flops / limits.flops_per_s, 1000 * moved / limits.copy_bytes_per_s
