"""The sound of one case: ``judge_case(case, session) -> Record``.

The reference is eager float32 with TF32 off, one item at a time, on the same device, with the same weights and the
mel that the case is given: rounded to float16 or bfloat16 where its runner takes that, because GPT-SoVITS hands it over
so. What that rounding costs is recorded beside it. The runner first serves timed calls, as in the speed suite; what is
judged are its answers to other inputs after them, so that a buffer that is not refilled shows. Where it is affordable,
both are also compared with the float64 output of the same network, which gives the error as a multiple of eager's own.
"""

import copy
import dataclasses
import logging
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.backend import Runner
from bench.case import Case
from bench.errors import shown
from bench.measure.clock import clock_for
from bench.precision import autocast_dtype
from bench.quality import (
    Fidelity,
    Verdict,
    batch_mismatch,
    compare_items,
    error_multiple,
    judge,
    stale_output,
    worst,
    write_listening_files,
    wrong_shape,
)
from bench.quality.verdict import RANK
from bench.records.schema import InputSound, Record, Sound
from bench.run.session import Prepared, Session, outcome
from bench.spec import VocoderSpec
from bench.vocoders import Vocoder

_log = logging.getLogger(__name__)

# Calls before the judged ones, as a timed run would make them.
TIMED_CALLS = 3
# Float64 costs little at these sizes: any short input on a CPU, one case per version on a GPU.
FLOAT64_CPU_FRAMES = 32
# Perceptual metrics need speech of some length, and take seconds.
PERCEPTUAL_MIN_S = 1.0
# A streaming chunk and the reference length are kept to listen to.
CHUNK_FRAMES = 23
# Mels that differ by less anywhere, as a natural logarithm, may give equal outputs: half a decibel.
AUDIBLE_STEP = 0.06


def judge_case(case: Case, session: Session) -> Record:
    """Judges one case.

    Args:
        case: What to run.
        session: Of the run.

    Returns:
        The case's record, whose result is a :class:`~bench.records.schema.Sound`.

    Raises:
        InputError: the weights or the audio cannot be used.
    """
    return outcome(case, session, "quality", lambda: _judge(case, session))


def _judge(case: Case, session: Session) -> dict[str, Any]:
    with session.open(case) as prepared:
        return _judge_runner(case, session, prepared)


def _judge_runner(case: Case, session: Session, prepared: Prepared) -> dict[str, Any]:
    device = session.device
    vocoder = session.vocoder(case.version)
    spec = vocoder.spec
    tier = tier_of(case, device)
    clock = clock_for(device)
    inputs = session.voice(case.version).inputs(case.batch, case.frames)
    given = prepared.runner.dtype
    references = _references(case.baseline("fp32"), session, given)
    with session.active(case):
        for _ in range(TIMED_CALLS):
            clock.time_ms(prepared.call)
        stale = _to_numpy(prepared.call())
        precision = prepared.runner.effective(prepared.mel)
    verdicts: dict[str, Verdict] = {}
    found: dict[str, Fidelity] = {}
    files: dict[str, str] = {}
    extra: dict[str, Any] = {}
    for name, mel in inputs.items():
        if mel.shape != prepared.mel.shape and not prepared.runner.takes(tuple(mel.shape)):
            continue
        singles = references[name]
        with session.active(case):
            output = _run(prepared.runner, mel, device)
        if name != "speech" and output.shape == stale.shape and _differs(inputs["speech"], mel, prepared.runner.dtype):
            verdicts["stale_output"] = stale_output(stale, output) or Verdict("pass")
        expected = (len(mel), mel.shape[-1] * spec.upsample)
        wrong = wrong_shape(output, expected)
        if wrong is not None:
            verdicts[name] = wrong
            continue
        perceptual = name == "speech" and case.batch == 1 and spec.audio_s(case.frames) >= PERCEPTUAL_MIN_S
        items = compare_items(np.stack(singles), output, spec.sample_rate, perceptual=perceptual)
        found[name] = worst(items)
        verdicts[name] = judge(found[name], tier)
        if len(mel) > 1 and name == "speech":
            verdicts["batch"] = batch_mismatch(output, singles, spec.sample_rate, tier) or Verdict("pass")
        if name == "speech" and _worth_hearing(case, spec):
            files = _write(singles[0], output[0], spec, case, session.settings.directory)
        if name == "speech" and _float64_affordable(case, spec, device):
            extra |= _against_float64(vocoder, mel.to(given), singles, output, device)
        if name == "speech" and given is not torch.float32:
            extra |= _mel_cost(case, session, output, spec)
    decided = max(verdicts.items(), key=lambda item: RANK[item[1].tier])
    main = found.get("speech", Fidelity())
    name, verdict = decided
    return {
        "build": prepared.runner.build,
        "precision": precision,
        "files": files,
        "result": Sound(
            **_finite(main),
            **extra,
            verdict=verdict.tier,
            decided_by=verdict.decided_by,
            reason=f"{name}: {verdict.reason}" if verdict.reason else "",
            heard=f"{name}: {verdict.heard}" if verdict.reason else verdicts["speech"].heard,
            tier=tier,
            reference="eager fp32, TF32 off, batch 1, same device, weights and mels as the case is given them",
            mel=str(given).removeprefix("torch."),
            inputs={key: _summary(verdicts[key], found.get(key)) for key in verdicts},
        ),
    }


def _references(eager: Case, session: Session, given: torch.dtype) -> dict[str, list[NDArray[np.float32]]]:
    """Eager float32's answers, item by item, to every input of a shape; kept for the backends that follow.

    Args:
        eager: The case of the reference.
        session: Of the run.
        given: What the mels are rounded to first.
    """
    kept = session.references.get(eager, dict)
    if given not in kept:
        kept[given] = _answers(eager, session, given)
    return kept[given]


def _answers(eager: Case, session: Session, given: torch.dtype) -> dict[str, list[NDArray[np.float32]]]:
    single = dataclasses.replace(eager, batch=1)
    inputs = session.voice(eager.version).inputs(eager.batch, eager.frames)
    session.lengths_run(eager.version).update(mel.shape[-1] for mel in inputs.values())
    with session.open(single) as reference, session.active(single):
        return {
            name: [_to_numpy(reference.runner.run(_given(item, given).to(session.device)))[0] for item in mel]
            for name, mel in inputs.items()
        }


def _differs(one: Tensor, other: Tensor, dtype: torch.dtype) -> bool:
    """Whether two mels are so unlike that a runner of this type has to answer differently; digital silence is alike."""
    # Each item, because a batch whose first item is stale shows in that one alone.
    apart = (one.to(dtype).float() - other.to(dtype).float()).abs().amax(dim=(1, 2))
    return bool((apart > AUDIBLE_STEP).all())


def _given(item: Tensor, given: torch.dtype) -> Tensor:
    """A float32 mel of batch 1 with the values that a case is given."""
    return item[None].to(given).to(torch.float32)


def tier_of(case: Case, device: torch.device) -> str:
    """Whose limits apply: autocast is judged as what it lowers to."""
    if case.precision == "autocast" and autocast_dtype(device) is torch.bfloat16:
        return "bf16"
    return case.precision


def _mel_cost(case: Case, session: Session, output: NDArray[np.float32], spec: VocoderSpec) -> dict[str, Any]:
    """The output against float32 on the float32 mel: what the case and a 16-bit mel cost together."""
    exact = _references(case.baseline("fp32"), session, torch.float32)["speech"]
    fidelity = worst(compare_items(np.stack(exact), output, spec.sample_rate))
    return {"mel_cost_snr_db": fidelity.snr_db, "mel_cost_heard_db": fidelity.heard_db}


def _run(runner: Runner, mel: Tensor, device: torch.device) -> NDArray[np.float32]:
    return _to_numpy(runner.run(mel.to(device, runner.dtype)))


def _to_numpy(wave: Tensor) -> NDArray[np.float32]:
    """A copy ``(batch, samples)``; a runner may reuse its output's memory."""
    return wave.detach().to("cpu", torch.float32, copy=True).flatten(1).numpy()


def _worth_hearing(case: Case, spec: VocoderSpec) -> bool:
    return case.batch == 1 and case.frames in (CHUNK_FRAMES, spec.t_ref)


def _write(
    reference: NDArray[np.float32], test: NDArray[np.float32], spec: VocoderSpec, case: Case, run: Path
) -> dict[str, str]:
    """Listening files beside the records; paths are relative to the run's directory."""
    directory = Path("listen")
    try:
        names = write_listening_files(reference, np.nan_to_num(test), spec.sample_rate, run / directory, case.id)
    except (OSError, soundfile.SoundFileError) as error:
        # The verdict counts without them.
        _log.warning("the sound files of %s are not written: %s", shown(case.id), shown(error))
        return {}
    return {role: str(directory / name) for role, name in names.items()}


def _float64_affordable(case: Case, spec: VocoderSpec, device: torch.device) -> bool:
    if device.type == "cuda":
        return case.batch == 1 and case.frames == spec.t_ref
    return case.frames <= FLOAT64_CPU_FRAMES and case.batch == 1


def _against_float64(
    vocoder: Vocoder,
    mel: Tensor,
    singles: list[NDArray[np.float32]],
    output: NDArray[np.float32],
    device: torch.device,
) -> dict[str, Any]:
    exact = copy.deepcopy(vocoder).to(device, torch.float64)
    with torch.inference_mode():
        truth = exact(mel.to(device, torch.float64)).flatten(1).cpu().numpy()
    rate = vocoder.spec.sample_rate
    eager = worst(compare_items(truth, np.stack(singles), rate))
    tested = worst(compare_items(truth, output, rate))
    return {
        "error_multiple": error_multiple(tested, eager),
        "float64_snr_db": tested.snr_db,
        "eager_float64_snr_db": eager.snr_db,
    }


def _summary(verdict: Verdict, fidelity: Fidelity | None) -> InputSound:
    return InputSound(
        verdict=verdict.tier,
        decided_by=verdict.decided_by,
        reason=verdict.reason,
        heard=verdict.heard,
        snr_db=None if fidelity is None else fidelity.snr_db,
        worst_segment_snr_db=None if fidelity is None else fidelity.worst_segment_snr_db,
        lsd_db=None if fidelity is None else fidelity.lsd_db,
        heard_db=None if fidelity is None else fidelity.heard_db,
    )


def _finite(fidelity: Fidelity) -> dict[str, Any]:
    """The fields of a record. JSON has no infinity: a level of digital silence becomes None."""
    values = {item.name: getattr(fidelity, item.name) for item in dataclasses.fields(Fidelity)}
    return {
        key: None if isinstance(value, float) and not np.isfinite(value) else value for key, value in values.items()
    }
