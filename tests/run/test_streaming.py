"""A case is streamed in chunks of every length, its figures are those of the stream, and its sound is judged."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bench import backend as base
from bench.backend import Backend, Request, Runner, register
from bench.backends import backends
from bench.backends.eager import Eager
from bench.case import Case
from bench.measure.sampling import StopRule
from bench.records.jsonl import dump_record, load_record
from bench.records.kinds.streaming import Stream, Streaming
from bench.records.schema import Record, Status
from bench.run.isolation import Cases
from bench.run.job import Kind
from bench.run.order import utterances
from bench.run.session import Session
from bench.run.settings import Settings
from bench.run.streaming import CHUNKS_S, plans, play, stream_case
from bench.spec import V3, V4
from tests.conftest import SMALL_V3, small_v3
from tests.synthetic_records import given

FRAMES = 60


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A v3 with few channels and one kernel size."""
    changes = {"resblock_kernel_sizes": [3], "resblock_dilation_sizes": [[1, 3]]}
    folder = tmp_path_factory.mktemp("weights")
    (folder / "config.json").write_text(json.dumps({**SMALL_V3, **changes}), encoding="utf-8")
    torch.save({"generator": small_v3(**changes).state_dict()}, folder / "bigvgan_generator.pt")
    return folder


@pytest.fixture
def settings(directory: Path, tmp_path: Path) -> Settings:
    """A run on the processor, three trials a stream."""
    stop = StopRule(min_rounds=3, max_rounds=3, min_time_s=0.0, time_limit_s=60.0)
    return Settings("run", str(tmp_path), weights=(str(directory),), stop=stop)


@pytest.fixture
def plant() -> Iterator[dict[str, object]]:
    """A backend ``planted``: eager for its own shape alone, with a delay, and its shapes and calls kept."""
    before = dict(backends())
    seen: dict[str, object] = {"shapes": [], "delay_s": 0.0, "any": False, "build_s": 0.0}

    class Planted(Backend):
        """Does what the test says."""

        name = "planted"

        def unavailable_reason(self, _: torch.device) -> str | None:
            """It is always there."""
            return None

        def prepare(self, request: Request) -> Runner:
            """Eager that sleeps and has one buffer a runner."""
            runner = Eager().prepare(request)
            shapes = seen["shapes"]
            assert isinstance(shapes, list)
            shapes.append(tuple(request.mel.shape))
            buffers: dict[tuple[int, ...], Tensor] = {}

            def run(mel: Tensor) -> Tensor:
                assert seen["any"] or mel.shape == request.mel.shape
                time.sleep(float(str(seen["delay_s"])))
                wave = runner.run(mel)
                return buffers.setdefault(tuple(wave.shape), torch.empty_like(wave)).copy_(wave)

            build = replace(runner.build, build_s=float(str(seen["build_s"])))
            return replace(runner, run=run, build=build, takes=lambda _: bool(seen["any"]))

    register(Planted)
    yield seen
    base.REGISTRY.clear()
    base.REGISTRY.update(before)


def streamed(settings: Settings, backend: str, frames: int = FRAMES, batch: int = 1) -> Record:
    """The record of one case."""
    with Session(settings) as session:
        return stream_case(Case("v3", backend, "fp32", batch, frames), session)


def answer(record: Record) -> Streaming:
    """Its result."""
    assert record.status is Status.OK, record.reason
    return given(record.answer(Streaming))


def test_the_exact_halo_is_exact_and_sola_is_not(settings: Settings) -> None:
    """Every length with a halo passes as float32; the join of overlaps misses samples or differs, and says so."""
    record = streamed(settings, "eager")
    result = answer(record)
    assert result.utterance_s == pytest.approx(60 * 256 / 24000)
    exact = [given(result.halo_100ms), given(result.halo_250ms), given(result.halo_500ms)]
    assert result.halo_1000ms is None
    assert [stream.chunk_frames for stream in exact] == [9, 23, 47]
    assert [stream.chunks for stream in exact] == [7, 3, 2]
    for stream in exact:
        assert (stream.verdict, stream.missing_samples, stream.trials) == ("pass", 0, 3)
        assert given(stream.snr_db) > 90
        assert stream.window_frames == min(stream.chunk_frames + 2 * result.halo, FRAMES)
        assert stream.first_window_frames == min(stream.chunk_frames + result.halo, FRAMES)
    # Nine frames are less than the overlap of twelve.
    assert result.sola_100ms is None
    joined = given(result.sola_250ms)
    assert joined.window_frames == 23 + 12
    assert given(joined.snr_db) < 60
    assert joined.verdict != "pass"
    assert joined.reason
    assert load_record(dump_record(record)) == record


def test_figures_are_those_of_the_stream(settings: Settings, plant: dict[str, object]) -> None:
    """With 150 ms a call the first chunk takes that long, and each of 0.096 s is later than the one before."""
    plant["delay_s"] = 0.15
    plant["any"] = True
    slow = given(answer(streamed(settings, "planted", frames=30)).halo_100ms)
    assert slow.audio_ttfp_ms >= 150
    assert len(slow.audio_ttfp_samples_ms) == len(slow.audio_underrun_samples_s) == 3
    assert slow.audio_ttfp_p90_ms is None
    # Chunks of 9, 9 and 3 frames come after the first, 0.15 s apart.
    assert given(slow.steady_rtf) >= 3 * 0.15 / (21 * 256 / 24000)
    assert given(slow.jitter_ms) >= 0
    # The last one comes 0.45 s after the first, with three chunks of 0.096 s in hand.
    assert slow.audio_underrun_s >= 0.45 - 3 * 0.096
    assert slow.audio_continuity_ok_rate == 0.0


def test_a_backend_for_one_shape(settings: Settings, plant: dict[str, object]) -> None:
    """A runner is prepared for the utterance and for the window of every stream, and no other shape is called."""
    result = answer(streamed(settings, "planted"))
    halo = result.halo
    expected = [60, min(9 + 2 * halo, 60), min(23 + 2 * halo, 60), 23 + 12, 60, 47 + 12]
    expected = [frames for index, frames in enumerate(expected) if index == 0 or frames != 60]
    assert plant["shapes"] == [(1, 100, frames) for frames in expected]
    assert all(stream.verdict == "pass" for stream in result.streams() if stream.join == "halo")


def test_a_backend_that_builds_for_minutes(settings: Settings, plant: dict[str, object]) -> None:
    """Windows of other lengths are not built one by one; a sentence says what to do."""
    plant["build_s"] = 90.0
    refused = streamed(settings, "planted")
    assert refused.status is Status.UNSUPPORTED
    assert "and a build for one length takes 90 s: give an option for a range, such as shapes=dynamic" in refused.reason
    assert plant["shapes"] == [(1, 100, 60)]


def test_what_is_no_stream(settings: Settings) -> None:
    """A batch is refused in a sentence; an utterance of one chunk has no stream and is no failure."""
    refused = streamed(settings, "eager", batch=2)
    assert (refused.status, refused.kind) == (Status.UNSUPPORTED, "streaming")
    assert refused.reason == "a stream is of one utterance, not of a batch of 2."
    assert list(answer(streamed(settings, "eager", frames=9)).streams()) == []


def test_plans_of_both_versions() -> None:
    """Chunks of 0.1, 0.25, 0.5 and 1 s in frames of either version, SOLA where a chunk is longer than 12 frames."""
    assert [plan.chunk_frames for name, plan in plans(500, 10, V3).items() if "halo" in name] == [9, 23, 47, 94]
    assert [plan.chunk_frames for name, plan in plans(500, 12, V4).items() if "halo" in name] == [10, 25, 50, 100]
    for spec in (V3, V4):
        assert [name for name in plans(500, 12, spec) if "sola" in name] == ["sola_250ms", "sola_500ms", "sola_1000ms"]
    assert set(plans(500, 12, V4)) <= set(Streaming.__dataclass_fields__)
    assert list(CHUNKS_S.values()) == [0.1, 0.25, 0.5, 1.0]


def test_arrivals_are_when_a_chunk_is_there() -> None:
    """A slow second chunk arrives late, and the sound is all of it, read before the runner's memory is used again."""
    buffer = torch.zeros(1, 1, 4)

    def chunks() -> Iterator[Tensor]:
        yield buffer.fill_(1)
        time.sleep(0.05)
        yield buffer.fill_(2)

    trial = play(chunks(), 4)
    assert trial.arrivals_s[0] < 0.05 <= trial.arrivals_s[1]
    assert trial.durations_s == (1.0, 1.0)
    assert trial.sound.tolist() == [1] * 4 + [2] * 4


def test_the_longest_utterance_of_each_configuration() -> None:
    """One stream a configuration, of one item, in the order of the sweep."""
    cases = [
        Case("v3", "eager", "fp32", 1, 9),
        Case("v3", "eager", "fp32", 1, 23),
        Case("v3", "eager", "fp32", 4, 500),
        Case("v3", "eager", "fp16", 1, 9),
        Case("v4", "eager", "fp32", 1, 9),
        Case("v4", "compile", "fp32", 1, 9, (("dynamic", "on"),)),
        Case("v4", "compile", "fp32", 2, 9),
    ]
    assert utterances(cases) == [cases[1], cases[3], cases[4], cases[5]]


def test_a_worker_streams(settings: Settings) -> None:
    """The record comes from a process of its own, like those of the other suites."""
    performer = Cases(settings)
    try:
        record = performer.perform(Kind.STREAMING, Case("v3", "eager", "fp32", 1, 30))
    finally:
        performer.close()
    assert isinstance(given(answer(record).halo_250ms), Stream)
    assert record.kind == "streaming"
