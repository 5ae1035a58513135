"""PyTorch as it is: the baseline of every comparison; and guides' memory options, as cases of their own."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor

from bench.backend import Backend, Request, Runner, register
from bench.case import Case
from bench.errors import InputError, UnsupportedError
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
    """The module, called.

    Options:
        empty_cache: ``on`` calls ``torch.cuda.empty_cache()`` after every inference, ``off`` (default) keeps what
            PyTorch has reserved.
        memory_fraction: Over 0 and up to 1: most of the GPU's memory that PyTorch may reserve, by
            ``torch.cuda.set_per_process_memory_fraction``; no limit by default.
    """

    name = "eager"
    options = ("empty_cache", "memory_fraction")

    def unavailable_reason(self, _: torch.device) -> str | None:
        """Always None: PyTorch is what the suite is made of."""
        return None

    def check(self, case: Case) -> None:
        """The values of both options."""
        options = dict(case.options)
        if options.get("empty_cache", "off") not in ("on", "off"):
            raise InputError(f"option empty_cache of eager is on or off, not {options['empty_cache']!r}")
        _fraction(options)

    def prepare(self, request: Request) -> Runner:
        """Copies the module to the device and converts it."""
        precision, device, options = request.precision, request.device, dict(request.case.options)
        empties, fraction = options.get("empty_cache") == "on", _fraction(options)
        if device.type != "cuda" and (empties or fraction is not None):
            raise UnsupportedError("empty_cache and memory_fraction are of PyTorch's allocator on an NVIDIA GPU.")
        close = _limited(device, fraction)
        try:
            model = place(request)
        except BaseException:
            close()
            raise

        def run(mel: Tensor) -> Tensor:
            with autocast(precision, device):
                wave: Tensor = model(mel)
            if empties:
                torch.cuda.empty_cache()
            return wave

        dtype = next(model.parameters()).dtype
        weights = str(dtype).removeprefix("torch.")
        return Runner(
            run=run,
            dtype=precision.dtype,
            build=Build(seconds=0.0),
            takes=lambda _: True,
            effective=lambda mel: observe(run, mel, precision, weights),
            close=close,
            # Memory is given back when the work that uses it is done.
            synchronous=empties,
            alone=empties or fraction is not None,
        )


def _fraction(options: dict[str, str]) -> float | None:
    """The value of ``memory_fraction``; None where there is none."""
    text = options.get("memory_fraction")
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise InputError(f"option memory_fraction of eager is a number over 0 and up to 1, not {text!r}")
    return value


def _limited(device: torch.device, fraction: float | None) -> Callable[[], None]:
    """Limits what this process may reserve; the result takes the limit away, because other cases share the process."""
    if fraction is None:
        return lambda: None
    # What earlier cases left reserved would count.
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(fraction, device)
    return lambda: torch.cuda.set_per_process_memory_fraction(1.0, device)
