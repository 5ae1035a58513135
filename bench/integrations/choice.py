"""Which configuration a drop-in runs: the one that was asked for, that records recommend, or that is fastest here."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.backend import Request
from bench.backends import find_backend
from bench.case import Case, configuration
from bench.errors import InputError, UnsupportedError, first_line
from bench.integrations.runners import Model, Runners, active, prepare, speech
from bench.precision import find_precision
from bench.quality import compare, judge
from bench.run.sweep import parse_backend

AUTO = "auto"
# Backends that prepare in seconds, the most likely winner first; what a measurement leaves out takes minutes.
QUICK = ("fused", "cuda-graph", "torchscript", "eager")
# Calls of the short measurement, and its length on a processor, where a whole chunk takes many seconds.
CALLS, PROCESSOR_FRAMES = 5, 23


@dataclass(frozen=True)
class Wanted:
    """What was asked for; see :func:`bench.integrations.gpt_sovits.accelerate`."""

    backend: str = AUTO
    precision: str = "fp16"
    records: str | os.PathLike[str] | None = None
    measure: bool = True


@dataclass(frozen=True)
class Choice:
    """What runs, and why.

    Attributes:
        case: Version, backend, precision and options; the frames are those of one chunk.
        why: One sentence.
        refused: Other configurations, each with the reason.
        measured_ms: Medians of the short measurement by configuration; empty where there was none.
    """

    case: Case
    why: str
    refused: tuple[tuple[str, str], ...] = ()
    measured_ms: dict[str, float] = field(default_factory=dict)


def choose(wanted: Wanted, version: str, model: Model, lengths: Sequence[int]) -> tuple[Choice, Runners]:
    """Chooses, and prepares what was chosen.

    Args:
        wanted: What was asked for.
        version: ``"v3"`` or ``"v4"``.
        model: What to run.
        lengths: Frames to be ready for; the first is one chunk.

    Raises:
        InputError: an option, or records of another GPU.
        UnsupportedError, WrongOutputError: what was asked for does not run here, or nothing does.
    """
    precision = find_precision(wanted.precision)
    if precision.autocast:
        raise InputError("precision autocast converts the weights at every call; give fp16, bf16, tf32 or fp32")
    if wanted.backend != AUTO or wanted.records is not None:
        choice = _recommended(wanted, version, model.device) if wanted.backend == AUTO else _named(wanted, version)
        choice = replace(choice, case=replace(choice.case, batch=1, frames=lengths[0]))
        return choice, prepare(choice.case, model, lengths)
    cases = [Case(version, name, precision.name, 1, lengths[0]) for name in QUICK]
    measured, refused = _measure(cases, model) if wanted.measure else ({}, {})
    ranked = sorted(measured, key=measured.__getitem__) if wanted.measure else cases
    for case in ranked:
        why = f"fastest of {len(measured)} that were measured here" if wanted.measure else "the first that runs here"
        try:
            runners = prepare(case, model, lengths)
        except Exception as error:  # noqa: BLE001 - the next one may run
            refused[configuration(case)] = first_line(error)
            continue
        medians = {configuration(one): value for one, value in measured.items()}
        return Choice(case, why, tuple(refused.items()), medians), runners
    reasons = "; ".join(f"{name}: {reason}" for name, reason in refused.items())
    raise UnsupportedError(f"nothing runs {version} in {precision.name} on {model.device}: {reasons}")


def _named(wanted: Wanted, version: str) -> Choice:
    name, options = parse_backend(wanted.backend)
    return Choice(Case(version, name, wanted.precision, 1, 1, options), "it was asked for")


def _recommended(wanted: Wanted, version: str, device: torch.device) -> Choice:
    """What a run recommends, if it is one of this machine's kind of device."""
    from bench.recommend import recommend
    from bench.records.jsonl import newest_run, read_records

    assert wanted.records is not None  # noqa: S101 - narrows the type
    run = newest_run(os.fspath(wanted.records))
    of = {_device_name(record.environment, record.device) for record in read_records(run)}
    here = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    if here not in of:
        names = ", ".join(sorted(of)) or "nothing"
        raise InputError(f"records {run} are of {names}, and this is {here}: measure here, or leave records out")
    answer = recommend(run, version, precision=wanted.precision)
    return Choice(answer.chosen.case, f"recommended by {run}", answer.ruled_out)


def _device_name(environment: dict[str, object], device: str) -> str:
    gpu = environment.get("gpu")
    return str(gpu.get("name")) if device != "cpu" and isinstance(gpu, dict) else "cpu"


def _measure(cases: Sequence[Case], model: Model) -> tuple[dict[Case, float], dict[str, str]]:
    """Median milliseconds of each case whose sound is within its tier, and why the others are out."""
    frames = cases[0].frames if model.device.type == "cuda" else min(cases[0].frames, PROCESSOR_FRAMES)
    spec = model.vocoder.spec
    given = speech(spec).mel(1, frames).to(find_precision(cases[0].precision).dtype).float()
    reference = _reference(cases[0], model, given)
    measured: dict[Case, float] = {}
    refused: dict[str, str] = {}
    for case in cases:
        try:
            runners = prepare(case, model, [frames])
        except Exception as error:  # noqa: BLE001 - a backend that does not run is no candidate
            refused[configuration(case)] = first_line(error)
            continue
        try:
            value, wave = _time(runners, case, given, model.device)
        finally:
            runners.close()
        verdict = judge(compare(reference, wave[0, 0].double().numpy(), spec.sample_rate), case.precision)
        if verdict.tier == "fail":
            refused[configuration(case)] = f"its sound fails: {verdict.reason}"
        else:
            measured[case] = value
    return measured, refused


def _reference(case: Case, model: Model, mel: Tensor) -> NDArray[np.float64]:
    """Eager float32's waveform ``(samples,)``."""
    exact = case.baseline("fp32")
    request = Request(model.vocoder, exact, find_precision("fp32"), mel.to(model.device), model.device)
    runner = find_backend("eager").prepare(request)
    try:
        with active(exact):
            wave = runner.run(mel.to(model.device)).cpu()[0, 0].double()
            return np.asarray(wave.numpy())
    finally:
        runner.close()


def _time(runners: Runners, case: Case, mel: Tensor, device: torch.device) -> tuple[float, Tensor]:
    """Median milliseconds until a call is done, after one that warms up, and the waveform on the CPU."""
    runner = runners.find(tuple(mel.shape))
    assert runner is not None  # noqa: S101 - prepared for this shape
    given = mel.to(device, runner.dtype)
    durations = []
    with active(case):
        wave = runner.run(given)
        for _ in range(CALLS):
            _wait(device)
            started = time.perf_counter()
            wave = runner.run(given)
            _wait(device)
            durations.append(1000 * (time.perf_counter() - started))
        return median(durations), wave.detach().to("cpu", torch.float32, copy=True)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
