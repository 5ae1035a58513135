"""One case as a stream: ``stream_case(case, session) -> Record``.

The whole mel is there at the start, as GPT-SoVITS's acoustic model leaves it, and chunks are vocoded one after another
as fast as they can be. A chunk has arrived when its samples are on the host. A runner is prepared for the
windows' length where the case's own does not take it, and a stream has calls of one
length, or of two where the runner takes both.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.case import Case
from bench.chunking import receptive_field, stream_sola, stream_windows, windows
from bench.errors import UnsupportedError
from bench.measure.playback import continuity_ok_rate, jitter_s, steady_rtf, underrun_s
from bench.measure.sampling import StopRule
from bench.measure.statistics import P90_FLOOR, P99_FLOOR, percentile
from bench.quality import compare, judge, wrong_shape
from bench.records.kinds.streaming import Stream, Streaming
from bench.records.schema import Record
from bench.run.quality import tier_of
from bench.run.session import Prepared, Session, outcome
from bench.run.validity import check_precision
from bench.spec import VocoderSpec

# A runner for one length is prepared for the windows of every stream where that takes at most this long.
MOST_BUILD_S = 10.0
# Lengths of chunks in seconds, by the name that a stream of that length has in the record.
CHUNKS_S = {"100ms": 0.1, "250ms": 0.25, "500ms": 0.5, "1000ms": 1.0}
Sound = NDArray[np.float32]


@dataclass(frozen=True)
class Plan:
    """A way to stream an utterance.

    Attributes:
        join: ``"halo"`` or ``"sola"``.
        chunk_frames: New frames of a chunk.
        context_frames: Halo, or overlap.
        window_frames: Frames of a call.
        first_window_frames: Frames of the first call.
        upsample: Samples a frame.
    """

    join: str
    chunk_frames: int
    context_frames: int
    window_frames: int
    first_window_frames: int
    upsample: int

    def stream(self, run: Callable[[Tensor], Tensor], mel: Tensor) -> Iterator[Tensor]:
        """The chunks of a mel ``(1, bands, frames)``, each vocoded when it is asked for."""
        if self.join == "sola":
            return stream_sola(run, mel, self.chunk_frames, self.context_frames, self.upsample)
        short = self.first_window_frames < self.window_frames
        return stream_windows(run, mel, self.chunk_frames, self.context_frames, self.upsample, short_first=short)

    def of_one_length(self) -> "Plan":
        """The plan for a runner that takes no second length."""
        return replace(self, first_window_frames=self.window_frames)


@dataclass(frozen=True)
class Trial:
    """One stream of the utterance.

    Attributes:
        arrivals_s: When each chunk was on the host, since the start.
        durations_s: How long each plays.
        sound: All of it, ``(samples,)``.
    """

    arrivals_s: tuple[float, ...]
    durations_s: tuple[float, ...]
    sound: Sound


def stream_case(case: Case, session: Session) -> Record:
    """Streams the run's speech, ``case.frames`` long.

    Returns:
        The case's record, whose result is a :class:`~bench.records.kinds.streaming.Streaming`.

    Raises:
        InputError: the weights or the audio cannot be used.
    """
    return outcome(case, session, Streaming.kind, lambda: _stream(case, session))


def plans(frames: int, halo: int, spec: VocoderSpec) -> dict[str, Plan]:
    """The ways to stream an utterance of so many frames, by the record's name for them.

    A chunk as long as the utterance is no stream, and GPT-SoVITS's join needs chunks that are longer than its overlap.
    """
    found: dict[str, Plan] = {}
    for name, seconds in CHUNKS_S.items():
        chunk = round(seconds * spec.sample_rate / spec.upsample)
        if not 0 < chunk < frames:
            continue
        first, *_, last = windows(frames, chunk, halo, short_first=True)
        found[f"halo_{name}"] = Plan("halo", chunk, halo, last.right - last.left, first.right, spec.upsample)
        if chunk > spec.overlap:
            length = chunk + spec.overlap
            found[f"sola_{name}"] = Plan("sola", chunk, spec.overlap, length, length, spec.upsample)
    return found


def _stream(case: Case, session: Session) -> dict[str, Any]:
    if case.batch != 1:
        raise UnsupportedError(f"a stream is of one utterance, not of a batch of {case.batch}.")
    vocoder = session.vocoder(case.version)
    spec, halo = vocoder.spec, receptive_field(vocoder).halo
    mel = session.voice(case.version).mel(1, case.frames)
    found: dict[str, Stream] = {}
    with session.open(case) as prepared:
        with session.active(case):
            whole = _whole(prepared, case, spec)
            precision = check_precision(prepared.runner.effective(prepared.mel))
        wanted = plans(case.frames, halo, spec)
        _check_builds(prepared, spec, wanted.values())
        for name, plan in wanted.items():
            found[name] = _measure(plan, case, session, prepared, mel, whole)
        build = prepared.runner.build
    return {
        "build": build,
        "precision": precision,
        "result": Streaming(utterance_s=spec.audio_s(case.frames), halo=halo, **found),
    }


def _whole(prepared: Prepared, case: Case, spec: VocoderSpec) -> Sound:
    """The utterance in one call, ``(samples,)``."""
    sound = _on_host(prepared.call())
    if wrong := wrong_shape(sound[None], (1, case.frames * spec.upsample)):
        raise RuntimeError(wrong.reason)
    return sound


def _measure(plan: Plan, case: Case, session: Session, prepared: Prepared, mel: Tensor, whole: Sound) -> Stream:
    spec = session.vocoder(case.version).spec
    with ExitStack() as stack:
        own = case
        if not _takes(prepared, spec, plan):
            plan = plan.of_one_length()
        if not _takes(prepared, spec, plan):
            own = replace(case, frames=plan.window_frames)
            prepared = stack.enter_context(session.open(own, mel[..., : plan.window_frames]))
        given = mel.to(session.device, prepared.runner.dtype)
        run = prepared.runner.run
        stack.enter_context(session.active(own))
        play(plan.stream(run, given), spec.sample_rate)
        trials = _trials(lambda: play(plan.stream(run, given), spec.sample_rate), session.settings.stop)
    return _summary(plan, case, trials, whole, session)


def _check_builds(prepared: Prepared, spec: VocoderSpec, wanted: Iterable[Plan]) -> None:
    """Refuses to build for minutes what one build for a range of lengths would serve."""
    lengths = sorted({plan.window_frames for plan in wanted if not _takes(prepared, spec, plan.of_one_length())})
    if lengths and prepared.runner.build.cost_s > MOST_BUILD_S:
        raise UnsupportedError(
            f"streams have calls of {', '.join(map(str, lengths))} frames, and a build for one length takes "
            f"{prepared.runner.build.cost_s:.0f} s: give an option for a range, such as shapes=dynamic or dynamic=on."
        )


def _takes(prepared: Prepared, spec: VocoderSpec, plan: Plan) -> bool:
    """Whether a runner takes every call of a plan."""
    shapes = {(1, spec.bands, frames) for frames in (plan.window_frames, plan.first_window_frames)}
    return all(shape == tuple(prepared.mel.shape) or prepared.runner.takes(shape) for shape in shapes)


def _trials(once: Callable[[], Trial], stop: StopRule) -> list[Trial]:
    """Streams until there are as many as a case has rounds, or the time of a case is over."""
    trials: list[Trial] = []
    began = time.perf_counter()
    while True:
        trials.append(once())
        elapsed_s = time.perf_counter() - began
        if stop.reason([1000 * trial.arrivals_s[-1] for trial in trials], elapsed_s) is not None:
            return trials


def play(chunks: Iterator[Tensor], sample_rate: int) -> Trial:
    """Takes a stream to its end.

    Args:
        chunks: ``(1, 1, samples)`` each, computed when it is asked for.
        sample_rate: In Hz.
    """
    arrivals, pieces = [], []
    began = time.perf_counter()
    for chunk in chunks:
        pieces.append(_on_host(chunk))
        arrivals.append(time.perf_counter() - began)
    return Trial(tuple(arrivals), tuple(len(piece) / sample_rate for piece in pieces), np.concatenate(pieces))


def _on_host(wave: Tensor) -> Sound:
    """A copy ``(samples,)``, which waits for the device; a runner may use its memory again."""
    samples: Sound = wave.detach().to("cpu", torch.float32, copy=True).flatten().numpy()
    return samples


def _summary(plan: Plan, case: Case, trials: Sequence[Trial], whole: Sound, session: Session) -> Stream:
    spec = session.vocoder(case.version).spec
    firsts_ms = tuple(1000 * trial.arrivals_s[0] for trial in trials)
    underruns = tuple(underrun_s(trial.arrivals_s, trial.durations_s) for trial in trials)
    rtf = [value for trial in trials if (value := steady_rtf(trial.arrivals_s, trial.durations_s)) is not None]
    jitter = [value for trial in trials if (value := jitter_s(trial.arrivals_s, trial.durations_s)) is not None]
    sound = trials[-1].sound
    # A join that searches ahead skips samples: the stream is held against as much of the utterance.
    fidelity = compare(whole[: len(sound)], sound, spec.sample_rate)
    verdict = judge(fidelity, tier_of(case, session.device))
    return Stream(
        join=plan.join,
        chunk_frames=plan.chunk_frames,
        chunk_s=spec.audio_s(plan.chunk_frames),
        context_frames=plan.context_frames,
        window_frames=plan.window_frames,
        first_window_frames=plan.first_window_frames,
        chunks=len(trials[-1].arrivals_s),
        trials=len(trials),
        audio_ttfp_ms=median(firsts_ms),
        audio_ttfp_p90_ms=percentile(firsts_ms, 90, P90_FLOOR),
        audio_ttfp_p99_ms=percentile(firsts_ms, 99, P99_FLOOR),
        audio_ttfp_samples_ms=firsts_ms,
        steady_rtf=median(rtf) if rtf else None,
        jitter_ms=1000 * median(jitter) if jitter else None,
        audio_underrun_s=median(underruns),
        audio_underrun_samples_s=underruns,
        audio_continuity_ok_rate=continuity_ok_rate(underruns),
        missing_samples=len(whole) - len(sound),
        snr_db=fidelity.snr_db,
        lsd_db=fidelity.lsd_db,
        heard_db=fidelity.heard_db,
        click_crest=fidelity.click_crest,
        verdict=verdict.tier,
        reason=verdict.reason,
    )
