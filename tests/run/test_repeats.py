"""Several processes share a case's rounds, and the record says what each of them saw."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bench.case import Case
from bench.errors import InputError
from bench.measure.sampling import StopRule
from bench.records.jsonl import dump_record, load_record
from bench.records.schema import Build, Marked, Process, Record, Status
from bench.run.isolation import ENGINES, Cases
from bench.run.job import Job, Kind
from bench.run.options import read_options
from bench.run.repeats import combined
from bench.run.settings import Settings
from bench.run.sweep import load_profile
from tests.synthetic_records import changed, failed_record, given, speed_of, speed_record

CASE = Case("v3", "tensorrt", "fp16", 1, 468)


def part(seed: int, **changes: Any) -> Record:
    return speed_record(CASE, rounds=20 + seed, seed=seed, **changes)


def test_every_round_is_kept_with_its_process() -> None:
    """Samples follow one another by process, figures are of all of them, and the level of each is there."""
    parts = [part(seed) for seed in range(3)]
    record = combined(parts, [0, 1, 0])
    speed, each = speed_of(record), [speed_of(one) for one in parts]
    samples = [sample for one in each for sample in one.timing.samples_ms]
    assert speed.timing.samples_ms == tuple(samples)
    assert (speed.timing.rounds, speed.timing.median_ms) == (63, float(np.median(samples)))
    assert (speed.timing.min_ms, speed.timing.max_ms) == (min(samples), max(samples))
    assert given(speed.speedup_fp32).ratio == pytest.approx(
        given(speed.speedup_fp32).baseline_median_ms / speed.timing.median_ms
    )
    assert speed.processes == tuple(
        Process(
            rounds=20 + place,
            median_ms=one.timing.median_ms,
            build=(0, 1, 0)[place],
            baseline_fp32_median_ms=given(one.speedup_fp32).baseline_median_ms,
            audio_s_per_s=given(one.throughput).audio_s_per_s,
            memory_bytes=given(one.memory).process_gpu_bytes,
        )
        for place, one in enumerate(each)
    )
    assert load_record(dump_record(record)) == record


def test_intervals_are_between_processes() -> None:
    """The median's interval is Student's over the processes, far wider than that of the rounds."""
    parts = []
    for place, level in enumerate((1.0, 1.03, 0.98)):
        one = part(place)
        samples = tuple(level * sample for sample in speed_of(one).timing.samples_ms)
        timing = replace(
            speed_of(one).timing,
            samples_ms=samples,
            median_ms=float(np.median(samples)),
            ci95_low_ms=0.999 * float(np.median(samples)),
            ci95_high_ms=1.001 * float(np.median(samples)),
        )
        parts.append(changed(one, timing=timing))
    timing = speed_of(combined(parts, [0] * 3)).timing
    logs = np.log([speed_of(one).timing.median_ms for one in parts])
    low, high = stats.t.interval(0.95, 2, logs.mean(), stats.sem(logs))
    assert (timing.ci95_low_ms, timing.ci95_high_ms) == pytest.approx((np.exp(low), np.exp(high)))


def test_one_process_is_the_record_itself() -> None:
    """A case that is not repeated has one process and the figures that it had."""
    one = part(0)
    record = combined([one], [0])
    assert len(speed_of(record).processes) == 1
    assert changed(record, processes=()) == one


def test_a_process_that_fails_fails_the_case_and_is_named() -> None:
    """The row has the failure, its status and which process it was."""
    crashed = failed_record(CASE, Status.CRASHED, "SIGSEGV")
    record = combined([part(0), crashed], [0, 0])
    assert (record.status, record.reason) == (Status.CRASHED, "process 2 of 2: SIGSEGV")
    assert combined([crashed], [0]) == crashed


def test_marks_memory_and_builds_of_processes() -> None:
    """Marked rounds add up with their causes, memory is the median process's, a build says what it took."""
    marks = [None, Marked(2, 22, {"hot": 2}, (9.0, 8.0)), Marked(15, 17, {"hot": 9, "low": 8}, (7.0,) * 15, "bad.")]
    parts = []
    for place, marked in enumerate(marks):
        memory = replace(given(speed_of(part(place)).memory), process_gpu_bytes=(300, 100, 200)[place])
        parts.append(part(place, marked=marked, memory=memory, build=Build(9.0, build_s=60.0 + place)))
    speed = speed_of(combined(parts, [0, 1, 2]))
    assert speed.marked == Marked(17, 59, {"hot": 11, "low": 8}, (9.0, 8.0, *[7.0] * 15), "bad.")
    assert speed.unstable == "bad."
    assert given(speed.memory).process_gpu_bytes == 200
    assert [process.build_s for process in speed.processes] == [60.0, 61.0, 62.0]


def test_rounds_are_spread_over_worker_processes(v3_directory: Path, tmp_path: Path) -> None:
    """Two workers serve the cases of a backend one after another, and stay for the next case."""
    stop = StopRule(min_rounds=12, min_time_s=0.001, relative_width=0.9, time_limit_s=5.0, max_rounds=12)
    settings = Settings("run", str(tmp_path), weights=(str(v3_directory),), stop=stop, repeats=2)
    cases = Cases(settings)
    try:
        first = cases.perform(Kind.SPEED, Case("v3", "eager", "fp32", 1, 2))
        pids = [given(worker.pid) for worker in cases._workers.values()]
        second = cases.perform(Kind.SPEED, Case("v3", "eager", "fp32", 1, 3))
        assert [worker.pid for worker in cases._workers.values()] == pids
        assert len(set(pids)) == 2
    finally:
        cases.close()
    for record in (first, second):
        speed = speed_of(record)
        used = [process.rounds for process in speed.processes]
        assert len(used) == 2
        assert sum(used) == len(speed.timing.samples_ms)
        assert sum(used) + (speed.marked.rounds if speed.marked else 0) >= 12


def test_builds_have_caches_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three processes on two builds use the first, the second and the first again; eager has nothing to build anew."""
    settings = Settings("run", str(tmp_path), repeats=3, rebuilds=2)
    cases, asked = Cases(settings), []

    def once(job: Job, process: int = 0) -> Record:
        asked.append((process, job.settings.engine_cache))
        (settings.directory / ENGINES).mkdir(parents=True, exist_ok=True)
        return part(process)

    monkeypatch.setattr(cases, "_once", once)
    record = cases.perform(Kind.SPEED, Case("v3", "tensorrt-onnx", "fp16", 1, 468))
    folder = settings.directory / ENGINES
    assert asked == [(0, str(folder / "0")), (1, str(folder / "1")), (2, str(folder / "0"))]
    assert [process.build for process in speed_of(record).processes] == [0, 1, 0]
    asked.clear()
    cases.perform(Kind.SPEED, Case("v3", "eager", "fp16", 1, 468))
    assert asked == [(0, None), (1, None), (2, None)]
    cases.close()
    assert not folder.exists()


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ({"repeats": "0"}, "--repeats is a whole number from 1 to 100"),
        ({"repeats": "101"}, "--repeats is a whole number from 1 to 100"),
        ({"rebuilds": "-1"}, "--rebuilds is a whole number from 0"),
        ({"rebuilds": "2"}, "--rebuilds 2 needs --repeats"),
        ({"repeats": "2", "in_process": "yes"}, "--in-process does without"),
        ({"rebuilds": "1", "in_process": "yes"}, "--in-process does without"),
    ],
)
def test_repeats_that_cannot_be_are_one_sentence(typed: dict[str, str], message: str) -> None:
    """Counts have bounds, builds need as many processes, and one process is no two."""
    with pytest.raises(InputError, match=message):
        read_options(typed).settings("run", "cpu", 1, StopRule())


def test_repeats_come_from_the_profile_unless_typed(write: Callable[[str], Path]) -> None:
    """The nightly profile asks for three; what is typed wins; in-process is one."""
    assert load_profile("nightly").repeats == 3
    assert load_profile("standard").repeats == 1
    for typed, found in (({}, 3), ({"repeats": "5"}, 5), ({"in_process": "yes"}, 1)):
        assert read_options(typed).settings("run", "cpu", 1, StopRule(), 3).repeats == found
    with pytest.raises(InputError, match="repeats is a whole number from 1"):
        load_profile(str(write("repeats = 0\n")))


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a profile with one grid after these lines."""

    def written(lines: str) -> Path:
        file = tmp_path / "mine.toml"
        grid = '[[grid]]\nversions = ["v3"]\nprecisions = ["fp32"]\nbatches = [1]\nframes = [9]\n'
        file.write_text(lines + grid, encoding="utf-8")
        return file

    return written
