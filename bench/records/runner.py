"""What a runner says of itself: what it cost to get, and the precision that was in effect."""

from dataclasses import dataclass, field
from typing import Annotated, Any

from bench.records.facts import LOWER, Facts


@dataclass(frozen=True)
class Build:
    """What it cost to get a runner.

    Attributes:
        seconds: From a float32 vocoder on the CPU to a callable on the device, in this run.
        engine_bytes: Size of the serialised engine or module, where there is one.
        details: Backend's own facts (layer counts, exporter, builder options), JSON values only.
        build_s: Export and build of the engine, now or when it was put into the cache.
        load_s: From the engine on disk, or in memory just after the build, to a callable on the device.
        from_cache: Whether the engine came from the cache; None where nothing is kept.
        break_even_inferences: From :func:`break_even_inferences`, against eager at the same precision (fp32 where eager
            has not got it).
    """

    seconds: Annotated[float, Facts("Build", "s", LOWER)]
    engine_bytes: Annotated[int | None, Facts("Engine", "bytes", LOWER, help="Serialised.")] = None
    details: dict[str, Any] = field(default_factory=dict)
    build_s: Annotated[
        float | None, Facts("Build", "s", LOWER, help="To a callable; when it was built, if it came from the cache.")
    ] = None
    load_s: Annotated[float | None, Facts("Load", "s", LOWER, help="A built engine to a callable.")] = None
    from_cache: bool | None = None
    break_even_inferences: Annotated[float | None, Facts("Break-even", "inferences", LOWER)] = None

    @property
    def cost_s(self) -> float:
        """Seconds that the build took, also where this run found its result in the cache."""
        return self.seconds if self.build_s is None else self.build_s


def break_even_inferences(cost_s: float, baseline_ms: float, median_ms: float) -> float | None:
    """Inferences after which a build has paid for itself.

    Args:
        cost_s: Seconds that the build took.
        baseline_ms: Median of the baseline, from rounds in turn.
        median_ms: Median of what was built.

    Returns:
        Seconds of the build over seconds that one inference saves; None where nothing was built or nothing is saved.

    >>> break_even_inferences(30.0, 10.0, 2.0)
    3750.0
    """
    saved_ms = baseline_ms - median_ms
    if cost_s <= 0 or saved_ms <= 0:
        return None
    return 1000 * cost_s / saved_ms


@dataclass(frozen=True)
class EffectivePrecision:
    """What was in effect while the case ran, read back or probed, not assumed.

    Attributes:
        weights: Data types of the parameters that ran, such as ``"float16"``, comma-separated.
        compute: Data types that the convolutions worked in.
        output: Data type of the waveform.
        tf32_convolution, tf32_matmul: Whether TF32 rounding was allowed; None where the device has none.
        tf32_observed: Whether a probe convolution showed TF32 rounding; None off CUDA.
        autocast: Autocast's data type, or None.
        evidence: How ``compute`` was found.
    """

    weights: str
    compute: str
    output: str
    tf32_convolution: bool | None
    tf32_matmul: bool | None
    tf32_observed: bool | None
    autocast: str | None
    evidence: str
