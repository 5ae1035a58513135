"""A case taken apart, untimed: its kernels, and each layer's time beside the layer's floor."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.backend import Request
from bench.backends import find_backend
from bench.case import Case
from bench.errors import InputError, UnsupportedError
from bench.measure.ceilings import ceilings
from bench.measure.kernels import Trace, mark_layers, trace
from bench.measure.roofline import layer_floor_ms
from bench.measure.work import Layer, layers
from bench.precision import Precision, find_precision, flags
from bench.records.kinds.profile import Profile, ProfiledLayer
from bench.records.limits import Ceilings
from bench.run.session import Session

# The backend that runs the network's own modules, whose layers can be told apart.
_IN_LAYERS = "eager"
WARMUP_CALLS = 3


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


def profile_case(case: Case, session: Session) -> tuple[Trace, list[LayerTime]]:
    """Profiles a case's warm call.

    Args:
        case: What to run. Layers have times where its backend is eager, and their floors everywhere.
        session: Of the run.

    Raises:
        InputError: the case cannot run here, or its options are wrong.
    """
    backend, precision, device = find_backend(case.backend), find_precision(case.precision), session.device
    backend.check(case)
    reason = backend.unavailable_reason(device)
    if reason is not None:
        raise InputError(f"{case.id} cannot run here: {reason}")
    limits = ceilings(device, precision)
    vocoder = session.vocoder(case.version)
    found = layers(vocoder, case.batch, case.frames)
    if case.backend == _IN_LAYERS:
        vocoder = copy.deepcopy(vocoder)
        mark_layers(vocoder, (layer.name for layer in found))
    mel = session.voice(case.version).mel(case.batch, case.frames).to(device)
    digest = session.weights(case.version).sha256
    try:
        with flags(precision):
            runner = backend.prepare(Request(vocoder, case, precision, mel, device, digest, session.engine_cache))
    except UnsupportedError as error:
        raise InputError(f"{case.id} cannot run here: {error}") from error
    try:
        mel = mel.to(runner.dtype)
        with session.active(case):
            for _ in range(WARMUP_CALLS):
                runner.run(mel)
            seen = trace(lambda: runner.run(mel), device)
    finally:
        runner.close()
    return seen, layer_times(found, seen.layers_ms, precision, limits)


def layer_times(
    found: Sequence[Layer], layers_ms: Mapping[str, float], precision: Precision, limits: Ceilings
) -> list[LayerTime]:
    """Every layer with its floor, in the order that layers run in."""
    return [
        LayerTime(layer, *layer_floor_ms(layer, precision, limits), ms=layers_ms.get(layer.name)) for layer in found
    ]


def as_result(seen: Trace, times: Sequence[LayerTime]) -> Profile:
    """A profile as a record holds it."""
    return Profile(
        kernel_count=seen.count,
        kernels_ms=sum(kernel.ms for kernel in seen.kernels),
        busy_percent=seen.busy_percent,
        kernels=seen.kernels,
        layers=tuple(
            ProfiledLayer(item.layer.name, item.layer.kind, item.layer.flops, item.floor_ms, item.bound_by, item.ms)
            for item in times
        ),
    )


def profile_text(case_id: str, seen: Trace, times: Sequence[LayerTime], most: int = 15) -> str:
    """The profile as text: totals, kernels, layers.

    Args:
        case_id: The case.
        seen: Its kernels.
        times: Its layers.
        most: Kernels to list.
    """
    busy = "" if seen.busy_percent is None else f", GPU busy for {seen.busy_percent:.0f} % of the time between them"
    lines = [f"{case_id}: {seen.count:g} kernels{busy}", "", f"{'ms':>9} {'calls':>6}  kernel"]
    lines += [f"{kernel.ms:9.4f} {kernel.calls:6g}  {kernel.name[:100]}" for kernel in seen.kernels[:most]]
    rest = seen.kernels[most:]
    if rest:
        lines.append(f"{sum(kernel.ms for kernel in rest):9.4f} {sum(k.calls for k in rest):6g}  {len(rest)} others")
    lines += ["", f"{'ms':>9} {'floor':>9} {'limit':>6} {'GFLOP':>8}  {'bound by':8}  layer"]
    lines += [_layer_line(item) for item in times]
    return "\n".join(lines)


def _layer_line(item: LayerTime) -> str:
    time = "" if item.ms is None else f"{item.ms:.4f}"
    limit = "" if item.percent_of_limit is None else f"{item.percent_of_limit:.0f} %"
    gflop = item.layer.flops / 1e9
    return f"{time:>9} {item.floor_ms:9.4f} {limit:>6} {gflop:8.3f}  {item.bound_by:8}  {item.layer.name}"
