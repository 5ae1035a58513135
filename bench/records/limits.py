"""What stands beside a case's durations: the machine's limit, energy, and the cost of a shape never seen before."""

from dataclasses import dataclass
from typing import Annotated

from bench.records.facts import HIGHER, LOWER, Facts


@dataclass(frozen=True)
class Ceilings:
    """What the machine reached at best.

    Attributes:
        copy_bytes_per_s: Bytes read and written a second by a copy within the device's memory.
        flops_per_s: Operations a second of a matrix product, a multiply-add being two.
        product: Precision of that product.
        measured_at: UTC time, ISO 8601; ceilings are measured once for a machine and kept.
    """

    copy_bytes_per_s: float
    flops_per_s: float
    product: str
    measured_at: str


@dataclass(frozen=True)
class Roofline:
    """How far a case is from the machine's limit.

    Attributes:
        flops: Floating-point operations of one inference: the convolutions', those in activations included.
        least_bytes: Bytes that no implementation can leave out: weights and mel read once, audio written once.
        ceilings: What the machine reaches.
        floor_ms: The longer of ``flops`` and ``least_bytes`` at the ceilings.
        layered_floor_ms: The sum of the layers' own floors, every layer reading its input from memory and writing its
            output there; what fusion can save is the difference to ``floor_ms``.
        percent_of_limit: The floor over the case's median. Float32 that is made of several products of a lower
            precision can exceed 100.
        bound_by: ``"launches"`` where the device waited for the host, else what sets the floor: ``"compute"`` or
            ``"memory"``.
    """

    flops: int
    least_bytes: int
    ceilings: Ceilings
    floor_ms: Annotated[float, Facts("Floor", "ms", LOWER, help="What no implementation can undercut on this machine.")]
    layered_floor_ms: Annotated[
        float, Facts("Floor by layers", "ms", LOWER, help="Every layer through memory, each at its own limit.")
    ]
    percent_of_limit: Annotated[
        float,
        Facts("Limit", "%", HIGHER, help="The machine's floor for this network over the median; 100 is the limit."),
    ]
    bound_by: str


@dataclass(frozen=True)
class Energy:
    """Energy of calls made back to back, by the GPU's own counter.

    Attributes:
        joules_per_audio_second: Joules for a second of audio, over the batch.
        watts: Mean power of the whole card meanwhile.
        window_s: Seconds between the first and the last step of the counter.
        steps: Steps of the counter in that time; it moves about ten times a second.
    """

    joules_per_audio_second: Annotated[
        float, Facts("Energy", "J/audio s", LOWER, help="Of the whole card for a second of audio, calls back to back.")
    ]
    watts: Annotated[float, Facts("Power", "W", LOWER)]
    window_s: float
    steps: int


@dataclass(frozen=True)
class NewShape:
    """What a length costs that a warm runner has not seen before.

    Attributes:
        frames: That length, the nearest to the case's that the process had not run.
        first_ms: Host time of the first call at it.
        seen_ms: Median host time of the calls after it, at the same length.
        cost_ms: The difference.
    """

    frames: int
    first_ms: Annotated[float, Facts("New length", "ms", LOWER, help="First call at a length never seen before.")]
    seen_ms: float
    cost_ms: Annotated[
        float, Facts("New length's cost", "ms", LOWER, help="That call over the ones after it, by the host's clock.")
    ]
