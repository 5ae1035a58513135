"""What a speed record holds beside durations: the machine's limit, energy, and the cost of a new length."""

import torch

from bench.backend import Runner
from bench.case import Case
from bench.errors import first_line
from bench.measure.ceilings import ceilings
from bench.measure.clock import Clock
from bench.measure.energy import measure_energy
from bench.measure.new_shape import measure_new_shape, unseen
from bench.measure.roofline import roofline
from bench.measure.work import work
from bench.precision import find_precision
from bench.records.limits import Ceilings, Energy, NewShape, Roofline
from bench.records.schema import Timing
from bench.run.session import Prepared, Session
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


def new_length_of(case: Case, runner: Runner, session: Session, clock: Clock) -> NewShape | None:
    """The cost of a length that this process never ran; None where the runner takes no other.

    Args:
        case: What runs.
        runner: Warm.
        session: Of the run; call it active for the case.
        clock: The device's.
    """
    bands = session.vocoder(case.version).spec.bands
    seen = session.lengths_run(case.version)
    frames = unseen(case.frames, seen, lambda length: runner.takes((case.batch, bands, length)))
    if frames is None:
        return None
    seen.add(frames)
    mel = session.voice(case.version).mel(case.batch, frames).to(session.device, runner.dtype)
    return measure_new_shape(Prepared(runner, mel).call, frames, clock)


def beside(
    case: Case, prepared: Prepared, session: Session, clock: Clock, limits: Ceilings | None, timing: Timing
) -> tuple[Roofline | None, Energy | None, NewShape | None]:
    """The limit, the energy and the cost of a new length of a warm case, in the case's active session.

    Args:
        case: What runs.
        prepared: Its runner and input.
        session: Of the run.
        clock: The device's.
        limits: The machine's ceilings; None where they are not known.
        timing: The case's durations.
    """
    vocoder, device = session.vocoder(case.version), session.device
    limit = limit_of(case, vocoder, device, limits, timing) if limits is not None else None
    audio_s = case.batch * vocoder.spec.audio_s(case.frames)
    energy = measure_energy(prepared.call, device, timing.median_ms / 1000, audio_s)
    return limit, energy, new_length_of(case, prepared.runner, session, clock)
