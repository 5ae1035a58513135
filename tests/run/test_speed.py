"""One case in, one record out: complete, consistent with its samples, and honest about what did not run."""

import pickle
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bench import backend as base
from bench.backend import Backend, Request, Runner
from bench.backends import backends
from bench.backends.eager import Eager
from bench.case import Case
from bench.errors import InputError, UnsupportedError, WrongOutputError
from bench.measure import sampling as sampling_module
from bench.measure.clock import Clock, Duration, WallClock
from bench.measure.sampling import StopRule
from bench.precision import find_precision
from bench.records.jsonl import dump_record, load_record
from bench.records.schema import EffectivePrecision, Memory, Record, Speed, Status, break_even_inferences
from bench.run import speed
from bench.run.session import Prepared, Session
from bench.run.settings import Settings
from bench.run.speed import measure_case
from bench.spec import V3
from bench.trt.backend import EngineBackend
from tests.synthetic_records import given, speed_of

STOP = StopRule(min_rounds=7, min_time_s=0.001, relative_width=0.5, time_limit_s=5.0, max_rounds=9)


@pytest.fixture(scope="module")
def settings(v3_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A run on the CPU with the small checkpoint."""
    return Settings("run", str(tmp_path_factory.mktemp("results")), weights=(str(v3_directory),), stop=STOP, seed=3)


@pytest.fixture(scope="module")
def session(settings: Settings) -> Iterator[Session]:
    """What its cases share."""
    with Session(settings) as session:
        yield session


@pytest.fixture(scope="module")
def eager(session: Session) -> Record:
    """Eager fp32, batch 2."""
    return measure_case(Case("v3", "eager", "fp32", 2, 2), session)


@pytest.fixture(scope="module")
def lowered(session: Session) -> Record:
    """TorchScript in bfloat16, which has two baselines."""
    return measure_case(Case("v3", "torchscript", "bf16", 1, 1), session)


def test_record_is_complete(eager: Record, settings: Settings, v3_directory: Path) -> None:
    """An ok record says what ran, on what, and holds every part that a CPU can measure."""
    assert (eager.status, eager.reason, eager.kind, eager.run_id) == (Status.OK, "", "speed", "run")
    assert (eager.device, eager.seed) == ("cpu", 3)
    assert eager.weights is not None
    assert eager.weights.name == f"{v3_directory.name}/bigvgan_generator.pt"
    assert not eager.weights.synthetic
    assert eager.audio is not None
    assert eager.audio.startswith("speech.flac sha256:")
    assert [part for part in ("build", "precision", "result") if getattr(eager, part) is None] == []
    found = speed_of(eager)
    # Rounds are marked where other work disturbed them.
    assert {item.name for item in fields(Speed) if getattr(found, item.name) is None} - {"marked"} == {
        "speedup_static",
        "gpu_state",
        "energy",
    }
    assert eager.environment["threads"] == settings.threads == 1
    assert eager.environment["gpu"] is None
    assert eager.build is not None
    assert eager.build.seconds > 0
    assert load_record(dump_record(eager)) == eager


def test_figures_follow_from_the_samples(eager: Record) -> None:
    """Every statistic of the timing is that of the samples in the record; tails are blank with few of them."""
    found = speed_of(eager)
    timing = found.timing
    samples = np.array(timing.samples_ms)
    assert timing.rounds == len(samples) == len(timing.host_samples_ms)
    # Rounds that other work on the machine disturbed count as taken, not as used.
    taken = timing.rounds if found.marked is None else found.marked.of
    assert STOP.min_rounds <= taken <= STOP.max_rounds
    assert timing.stop_reason in ("stable", "max_rounds")
    assert timing.median_ms == np.median(samples)
    assert timing.mad_ms == pytest.approx(np.median(np.abs(samples - np.median(samples))))
    assert timing.mean_ms == pytest.approx(samples.mean())
    assert (timing.min_ms, timing.max_ms) == (samples.min(), samples.max())
    assert timing.ci95_low_ms is not None
    assert timing.ci95_high_ms is not None
    assert timing.ci95_low_ms <= timing.median_ms <= timing.ci95_high_ms
    assert (timing.p90_ms, timing.p99_ms) == (None, None)
    assert timing.clock == "wall"
    assert timing.samples_ms == timing.host_samples_ms
    assert timing.launch_median_ms is None


def test_what_waits_for_its_host_is_told(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """The case's launches are the case's and the baseline's the baseline's, in the record and after reading it."""

    class Launching(WallClock):
        """A GPU's clock: half precision launches in a tenth of its time, the rest in all of it."""

        name = "cuda-event"

        def time_ms(self, call: Callable[[], torch.Tensor]) -> Duration:
            device_ms, host_ms, _ = super().time_ms(call)
            half = call.__self__.mel.dtype is not torch.float32  # type: ignore[attr-defined]
            return Duration(device_ms, host_ms, device_ms * (0.1 if half else 1.0))

    monkeypatch.setattr(speed, "clock_for", lambda _device: Launching())
    record = load_record(dump_record(measure_case(Case("v3", "torchscript", "bf16", 1, 1), session)))
    assert record.status is Status.OK, record.reason
    found = speed_of(record)
    timing, fp32, same = found.timing, found.speedup_fp32, found.speedup_same_precision
    assert fp32 is not None
    assert same is not None
    assert timing.launch_median_ms == pytest.approx(0.1 * timing.median_ms)
    assert fp32.baseline_launch_median_ms == pytest.approx(fp32.baseline_median_ms)
    assert same.baseline_launch_median_ms == pytest.approx(0.1 * same.baseline_median_ms)
    assert (fp32.baseline_waits_for_host, same.baseline_waits_for_host) == (True, False)


def test_throughput_is_the_rounds(eager: Record) -> None:
    """Throughput counts the timed rounds over their time, and audio seconds count the whole batch."""
    timing, throughput = speed_of(eager).timing, speed_of(eager).throughput
    assert throughput is not None
    audio_s = 2 * 2 * 256 / 24_000
    per_s = timing.rounds / (sum(timing.samples_ms) / 1000)
    assert (throughput.method, throughput.rounds) == ("rounds", timing.rounds)
    assert throughput.inferences_per_s == pytest.approx(per_s)
    assert throughput.audio_s_per_s == pytest.approx(per_s * audio_s)
    assert throughput.real_time_factor == pytest.approx(timing.median_ms / 1000 / audio_s)
    assert audio_s == pytest.approx(2 * V3.audio_s(2))


def test_eager_fp32_is_exactly_as_fast_as_itself(eager: Record) -> None:
    """The baseline of the baseline is not run twice: both of its speedups are 1, from its own samples."""
    for speedup in (speed_of(eager).speedup_same_precision, speed_of(eager).speedup_fp32):
        assert speedup is not None
        assert (speedup.ratio, speedup.ci95_low, speedup.ci95_high) == (1.0, 1.0, 1.0)
        assert speedup.baseline == "v3-eager-fp32-b2-t2"
        assert speedup.baseline_samples_ms == speed_of(eager).timing.samples_ms


def test_baselines_ran_in_the_same_rounds(lowered: Record) -> None:
    """Speedups are against eager of the same precision and eager fp32 at this shape, one sample a round each."""
    found = speed_of(lowered)
    timing, same, full = found.timing, found.speedup_same_precision, found.speedup_fp32
    assert same is not None
    assert full is not None
    assert (same.baseline, full.baseline) == ("v3-eager-bf16-b1-t1", "v3-eager-fp32-b1-t1")
    for speedup in (same, full):
        assert len(speedup.baseline_samples_ms) == timing.rounds
        assert speedup.baseline_median_ms == np.median(speedup.baseline_samples_ms)
        assert speedup.ratio == pytest.approx(speedup.baseline_median_ms / timing.median_ms)
        assert speedup.ci95_low is not None
        assert speedup.ci95_high is not None
        assert speedup.ci95_low <= speedup.ratio <= speedup.ci95_high
    assert same.baseline_samples_ms != full.baseline_samples_ms


@pytest.fixture
def ranged() -> Iterator[type[Backend]]:
    """Registers a backend ``ranged``: eager, run three times over where it is ready for a range of shapes.

    Its attribute ``spoil`` is what becomes of its engine for one shape.
    """
    before = dict(backends())

    class Ranged(EngineBackend):
        name = "ranged"
        options = ("shapes",)
        spoil: Callable[[Runner], Runner] = staticmethod(lambda runner: runner)

        def unavailable_reason(self, _: object) -> None:
            return None

        def prepare(self, request: Request) -> Runner:
            runner = Eager().prepare(request)
            if self.static_baseline(request.case):
                return replace(runner, run=lambda mel: [runner.run(mel) for _ in range(3)][-1])
            return type(self).spoil(runner)

    base.register(Ranged)
    yield Ranged
    base.REGISTRY.clear()
    base.REGISTRY.update(before)


def test_a_range_of_shapes_is_run_in_turn_with_its_own_shape(session: Session, ranged: type[Backend]) -> None:
    """An engine that does three times the work of the static engine has a third of its speed, from the same rounds."""
    record = measure_case(Case("v3", "ranged", "fp32", 1, 2, (("shapes", "dynamic"),)), session)
    found = speed_of(record).speedup_static
    assert found is not None
    assert found.baseline == "v3-ranged-fp32-b1-t2"
    assert len(found.baseline_samples_ms) == speed_of(record).timing.rounds
    assert found.ratio == pytest.approx(1 / 3, rel=0.4)
    assert load_record(dump_record(record)) == record
    static = measure_case(Case("v3", ranged.name, "fp32", 1, 2), session)
    assert static.status is Status.OK
    assert speed_of(static).speedup_static is None


@pytest.mark.parametrize(
    ("wanted", "shapes", "compared"),
    [
        ("all", "1x1_1x3_1x9", True),
        ("best", "1x1_1x3_1x9", False),
        ("best", "1x1_1x3_1x9+1x1_1x2_1x2", True),
        ("off", "1x1_1x2_1x9", False),
    ],
)
def test_static_baselines_are_built_where_they_are_wanted(
    settings: Settings, ranged: type[Backend], wanted: str, shapes: str, compared: bool
) -> None:
    """Everywhere, at the shapes that an engine is tuned for, or nowhere."""
    case = Case("v3", ranged.name, "fp32", 1, 2, (("shapes", shapes),))
    record = measure_case(case, Session(replace(settings, static_baseline=wanted)))
    assert record.status is Status.OK, record.reason
    assert (speed_of(record).speedup_static is not None) is compared


def _fails(error: Exception) -> Callable[[Runner], Runner]:
    def fail(_: Runner) -> Runner:
        raise error

    return fail


def _other_precision(runner: Runner) -> Runner:
    def effective(_: torch.Tensor) -> EffectivePrecision:
        raise WrongOutputError("labelled fp32, but its convolutions ran in float16.")

    return replace(runner, effective=effective)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_fails(UnsupportedError("no engine for one shape.")), "UnsupportedError: no engine for one shape."),
        (_fails(torch.OutOfMemoryError("no room\nfor it")), "OutOfMemoryError: no room"),
        (_fails(RuntimeError("it broke")), "RuntimeError: it broke"),
        (_other_precision, "WrongOutputError: labelled fp32, but its convolutions ran in float16."),
        (
            lambda runner: replace(runner, run=lambda mel: 0 * runner.run(mel)),
            "WrongOutputError: the waveform is silent.",
        ),
    ],
)
def test_a_static_baseline_that_fails_costs_its_figure_only(
    session: Session,
    ranged: type[Backend],
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Runner], Runner],
    said: str,
) -> None:
    """Whatever is wrong with the static engine, the case keeps its own figures and says why that one is blank."""
    monkeypatch.setattr(ranged, "spoil", staticmethod(spoil))
    record = measure_case(Case("v3", "ranged", "fp32", 1, 2, (("shapes", "dynamic"),)), session)
    assert record.status is Status.OK
    assert speed_of(record).speedup_static is None
    assert record.build is not None
    assert record.build.details["static"] == said


def test_eight_bits_have_only_fp32_to_be_compared_with(session: Session, ranged: type[Backend]) -> None:
    """An int8 case runs in turn with eager fp32 alone, which its build is weighed against too."""
    prepare = Eager().prepare

    def as_fp32(_: Backend, request: Request) -> Runner:
        time.sleep(0.01)
        runner = prepare(replace(request, precision=find_precision("fp32")))
        return replace(runner, run=lambda mel: runner.run(mel[..., :1]).repeat(1, 1, mel.shape[-1]))

    ranged.prepare = as_fp32  # type: ignore[method-assign, assignment]
    record = measure_case(Case("v3", "ranged", "int8", 1, 40), session)
    assert record.status is Status.OK, record.reason
    assert speed_of(record).speedup_same_precision is None
    assert given(speed_of(record).speedup_fp32).baseline == "v3-eager-fp32-b1-t40"
    assert record.build is not None
    baseline_ms = given(speed_of(record).speedup_fp32).baseline_median_ms
    expected = break_even_inferences(record.build.seconds, baseline_ms, speed_of(record).timing.median_ms)
    assert record.build.break_even_inferences == expected
    assert expected is not None


def test_effective_precision_is_recorded(eager: Record, lowered: Record) -> None:
    """The record says what the convolutions were seen to work in."""
    assert eager.precision is not None
    assert lowered.precision is not None
    assert (eager.precision.weights, eager.precision.compute) == ("float32", "float32")
    assert (lowered.precision.compute, lowered.precision.output) == ("bfloat16", "bfloat16")
    assert "profiler" in lowered.precision.evidence


def test_memory_on_a_cpu_is_the_resident_set(eager: Record) -> None:
    """The resident set is there; what only a GPU has is blank, not 0."""
    blank = {item.name for item in fields(Memory) if getattr(speed_of(eager).memory, item.name) is None}
    known = {"rss_peak_bytes", "rss_delta_bytes"}
    assert blank == {item.name for item in fields(Memory)} - known


def test_warm_up_is_counted(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recorded warm-up calls are those that really ran before the first sample."""
    case = Case("v3", "eager", "fp32", 1, 1)
    calls: list[str] = []
    open_case = Session.open

    @contextmanager
    def counting(self: Session, of: Case) -> Iterator[Prepared]:
        with open_case(self, of) as prepared:
            yield counted_calls(prepared)

    def counted_calls(prepared: Prepared) -> Prepared:
        run, effective = prepared.runner.run, prepared.runner.effective

        def counted(mel: torch.Tensor) -> torch.Tensor:
            calls.append("call")
            return run(mel)

        def watched(mel: torch.Tensor) -> EffectivePrecision:
            calls.append("call")
            return effective(mel)

        runner = replace(prepared.runner, run=counted, effective=watched)
        return replace(prepared, runner=runner)

    sample = sampling_module.sample
    before = []

    def sampling(*arguments: object) -> object:
        before.append(len(calls))
        return sample(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Session, "open", counting)
    monkeypatch.setattr(speed, "sample", sampling)
    timing = speed_of(measure_case(case, session)).timing
    # Memory is weighed over two more calls.
    assert before == [timing.warmup_rounds + 2]
    assert timing.warmup_rounds >= speed.WARMUP_MIN_CALLS + 1
    assert timing.first_call_ms > 0
    assert timing.warmup_s > 0


def test_warm_up_goes_on_until_two_calls_agree() -> None:
    """Warm-up ends with the first call within a tenth of the one before, after three, or after twenty."""

    class Script(Clock):
        """Plays durations."""

        name = "script"

        def __init__(self, durations: list[float]) -> None:
            self.durations = iter(durations)

        def time_ms(self, call: object) -> Duration:  # noqa: ARG002 - nothing to call
            duration = next(self.durations)
            return Duration(duration, duration, duration)

        def synchronize(self) -> None:
            """Nothing."""

    class Nothing:
        """A prepared case that is not called."""

        call = None

    def count(durations: list[float]) -> int:
        return speed._warm_up(Nothing(), Script(durations))[0]  # type: ignore[arg-type]

    assert count([5.0, 5.0, 5.0]) == 3
    assert count([90.0, 40.0, 20.0, 10.0, 9.5]) == 5
    assert count([1.0, 2.0] * 20) == speed.WARMUP_MAX_CALLS


@pytest.mark.parametrize("name", [name for name in backends() if name.startswith("tensorrt")])
def test_a_backend_that_cannot_run_is_a_row(session: Session, name: str) -> None:
    """On a CPU the TensorRT backends leave a row with one sentence and no figure."""
    record = measure_case(Case("v3", name, "fp32", 1, 2), session)
    assert record.status is Status.UNAVAILABLE
    assert record.reason.startswith("TensorRT")
    assert "needs an NVIDIA GPU" in record.reason
    assert [record.result, record.build, record.precision] == [None] * 3
    assert record.weights is not None
    assert record.environment["versions"]["torch"]


def test_a_precision_that_the_device_lacks_is_a_row(session: Session) -> None:
    """tf32 on a CPU is unsupported, in one sentence."""
    record = measure_case(Case("v3", "eager", "tf32", 1, 2), session)
    assert (record.status, record.reason) == (Status.UNSUPPORTED, "tf32 exists on NVIDIA GPUs only.")


def test_a_case_can_go_to_another_process_and_back(eager: Record, settings: Settings) -> None:
    """Case, settings and record survive pickling unchanged."""
    for value in (eager.case, settings, eager):
        assert pickle.loads(pickle.dumps(value)) == value  # noqa: S301 - our own bytes


def test_unusable_weights_are_no_row(settings: Settings, tmp_path: Path) -> None:
    """What the user gave and cannot be used is an error, not the outcome of a case."""
    with pytest.raises(InputError, match="do not exist"):
        measure_case(Case("v3", "eager", "fp32", 1, 2), Session(replace(settings, weights=(str(tmp_path / "none"),))))


def test_what_would_disturb_others_is_timed_alone(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """A runner that says so has no baseline in turn, and a record without speedups."""
    torchscript = type(backends()["torchscript"])
    real = torchscript.prepare
    monkeypatch.setattr(torchscript, "prepare", lambda self, request: replace(real(self, request), alone=True))
    record = measure_case(Case("v3", "torchscript", "bf16", 1, 1), session)
    speed_found = record.answer(Speed)
    assert speed_found is not None, record.reason
    assert speed_found.speedup_fp32 is None
    assert speed_found.speedup_same_precision is None
    assert record.build is not None
    assert record.build.break_even_inferences is None
