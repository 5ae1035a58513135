"""A case as a stream: how soon the sound begins, whether it goes on, and what cutting it into chunks does to it."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Annotated

from bench.records.facts import HIGHER, LOWER, Facts
from bench.records.kind import Result


@dataclass(frozen=True, kw_only=True)
class Stream:
    """An utterance in chunks of one length, streamed again and again.

    Attributes:
        join: ``"halo"`` (exact) or ``"sola"`` (GPT-SoVITS's overlap, search and cross-fade).
        chunk_frames: New mel frames of a chunk.
        chunk_s: Seconds that it plays.
        context_frames: Frames that are computed on either side and thrown away, or the overlap.
        window_frames: Frames of a call.
        first_window_frames: Frames of the first call, shorter where the backend takes a second length.
        chunks: Of the utterance.
        trials: Streams that were measured, each of the whole utterance, after one that was not.
        audio_ttfp_ms: Median time from the start until the first chunk is on the host.
        audio_ttfp_p90_ms, audio_ttfp_p99_ms: Percentiles; None under 64 and 662 trials.
        audio_ttfp_samples_ms: Of every trial, in order.
        steady_rtf: Median of the time between the first and the last arrival over the sound that came in it; None for
            one chunk.
        jitter_ms: Median of the standard deviation of the time between arrivals; None under three whole chunks.
        audio_underrun_s: Median of the most sound that a listener lacks who plays from the first arrival on.
        audio_underrun_samples_s: Of every trial.
        audio_continuity_ok_rate: Share of trials with an underrun of at most 0.1 s.
        missing_samples: Samples that the stream is shorter than the utterance.
        snr_db, lsd_db, heard_db, click_crest: The stream against the same backend's whole utterance, as in
            :class:`~bench.records.fidelity.Fidelity`, over the stream's length.
        verdict: ``"pass"``, ``"warn"`` or ``"fail"`` by the limits of the case's precision.
        reason: Why, in one sentence; empty when it passed.
    """

    join: str
    chunk_frames: int
    chunk_s: float
    context_frames: int
    window_frames: int
    first_window_frames: int
    chunks: int
    trials: int
    audio_ttfp_ms: Annotated[
        float, Facts("audio_ttfp", "ms", LOWER, help="From the start until the first chunk is on the host.")
    ]
    audio_ttfp_p90_ms: Annotated[float | None, Facts("audio_ttfp p90", "ms", LOWER, help="Blank under 64 trials.")]
    audio_ttfp_p99_ms: Annotated[float | None, Facts("audio_ttfp p99", "ms", LOWER, help="Blank under 662 trials.")]
    audio_ttfp_samples_ms: tuple[float, ...]
    steady_rtf: Annotated[
        float | None, Facts("Steady RTF", "", LOWER, help="Seconds a second of sound, from the first arrival on.")
    ]
    jitter_ms: Annotated[
        float | None, Facts("Jitter", "ms", LOWER, help="Standard deviation of the time between arrivals.")
    ]
    audio_underrun_s: Annotated[float, Facts("audio_underrun", "s", LOWER, help="Sound that a listener lacks at most.")]
    audio_underrun_samples_s: tuple[float, ...]
    audio_continuity_ok_rate: Annotated[
        float, Facts("audio_continuity_ok_rate", "", HIGHER, help="Trials with an underrun of at most 0.1 s.")
    ]
    missing_samples: Annotated[int, Facts("Missing", "samples", LOWER)] = 0
    snr_db: Annotated[float | None, Facts("SNR", "dB", HIGHER, help="Against the whole utterance.")] = None
    lsd_db: Annotated[float | None, Facts("LSD", "dB", LOWER)] = None
    heard_db: Annotated[float | None, Facts("Heard change", "dB", LOWER)] = None
    click_crest: Annotated[float | None, Facts("Click over its surroundings", "", LOWER)] = None
    verdict: str = ""
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Streaming(Result, kind="streaming", title="streaming"):
    """The streams of a case. One is None where a chunk is as long as the utterance, or too short for the join.

    Attributes:
        utterance_s: Seconds of the utterance.
        halo: Frames before and after a frame that its samples depend on.
        halo_100ms, halo_250ms, halo_500ms, halo_1000ms: Chunks of about that length with the exact halo.
        sola_100ms, sola_250ms, sola_500ms, sola_1000ms: The same with GPT-SoVITS's join.
    """

    utterance_s: float
    halo: int
    halo_100ms: Stream | None = None
    halo_250ms: Stream | None = None
    halo_500ms: Stream | None = None
    halo_1000ms: Stream | None = None
    sola_100ms: Stream | None = None
    sola_250ms: Stream | None = None
    sola_500ms: Stream | None = None
    sola_1000ms: Stream | None = None

    def streams(self) -> Iterator[Stream]:
        """Those that were measured, in order."""
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, Stream):
                yield value
