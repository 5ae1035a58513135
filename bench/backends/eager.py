"""PyTorch as it is: the baseline of every comparison."""

import copy

import torch
from torch import Tensor

from bench.backend import Backend, Request, Runner, register
from bench.errors import UnsupportedError
from bench.measure.precision import observe
from bench.precision import autocast, unsupported_reason
from bench.records.schema import Build
from bench.vocoders import Vocoder


def place(request: Request) -> Vocoder:
    """A copy of the vocoder on the request's device in its data type.

    Raises:
        UnsupportedError: PyTorch cannot compute so on this device.
    """
    reason = unsupported_reason(request.precision, request.device)
    if request.precision.quantised:
        reason = f"{request.precision.name} convolutions exist in engines only; PyTorch would compute in float16."
    if reason is not None:
        raise UnsupportedError(reason)
    return copy.deepcopy(request.vocoder).to(request.device, request.precision.dtype)


@register
class Eager(Backend):
    """The module, called."""

    name = "eager"

    def unavailable_reason(self, _: torch.device) -> str | None:
        """Always None: PyTorch is what the suite is made of."""
        return None

    def prepare(self, request: Request) -> Runner:
        """Copies the module to the device and converts it."""
        model = place(request)
        precision, device = request.precision, request.device

        def run(mel: Tensor) -> Tensor:
            with autocast(precision, device):
                wave: Tensor = model(mel)
            return wave

        dtype = next(model.parameters()).dtype
        weights = str(dtype).removeprefix("torch.")
        return Runner(
            run=run,
            dtype=precision.dtype,
            build=Build(seconds=0.0),
            takes=lambda _: True,
            effective=lambda mel: observe(run, mel, precision, weights),
        )
