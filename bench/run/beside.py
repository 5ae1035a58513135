"""What a speed record holds beside durations: the machine's limit, energy, and the cost of a new length."""

from collections.abc import Callable, Container

import torch
from torch import Tensor

from bench.backend import Runner
from bench.case import Case
from bench.errors import first_line
from bench.measure.ceilings import ceilings
from bench.measure.clock import Clock
from bench.measure.new_shape import measure_new_shape, unseen
from bench.measure.roofline import roofline
from bench.measure.work import work
from bench.precision import find_precision
from bench.records.limits import Ceilings, NewShape, Roofline
from bench.records.schema import Timing
from bench.vocoders import Vocoder


def ceilings_or_reason(case: Case, device: torch.device) -> Ceilings | str:
    """The machine's ceilings for a case, or why they could not be measured: no reason to lose the case."""
    try:
        return ceilings(device, find_precision(case.precision))
    except (RuntimeError, AttributeError, NotImplementedError) as error:
        return first_line(error)


def limit_of(case: Case, vocoder: Vocoder, device: torch.device, limits: Ceilings, timing: Timing) -> Roofline:
    """A case's median against the machine's limit.

    A case that exceeds the limit shows that the ceilings were measured on a machine with other things to do. They are
    then measured again, once.
    """
    precision, counted = find_precision(case.precision), work(vocoder, case.batch, case.frames)
    found = roofline(counted, precision, limits, timing.median_ms, timing.launch_median_ms)
    if found.percent_of_limit <= 100:
        return found
    again = ceilings(device, precision, again=True)
    return roofline(counted, precision, again, timing.median_ms, timing.launch_median_ms)


def new_length_of(
    case: Case, runner: Runner, mel_of: Callable[[int], Tensor], seen: Container[int], clock: Clock
) -> NewShape | None:
    """The cost of a length that was never run; None where the runner takes no other.

    Args:
        case: What runs.
        runner: Warm.
        mel_of: The input of a number of frames, in float32 ``(batch, bands, frames)`` on the device.
        seen: Numbers of frames that the process ran with this vocoder.
        clock: The device's.
    """
    bands = mel_of(case.frames).shape[1]
    frames = unseen(case.frames, seen, lambda length: runner.takes((case.batch, bands, length)))
    if frames is None:
        return None
    return measure_new_shape(runner.run, mel_of(frames).to(runner.dtype), clock)
