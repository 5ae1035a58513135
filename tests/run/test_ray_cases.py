"""Cases of a sweep on a real local Ray: the records of one machine, in the order of the sweep, with their files."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from bench.case import Case
from bench.measure.sampling import StopRule
from bench.records.jsonl import load_record
from bench.records.schema import FILE_NAME, Record, Speed, Status
from bench.run.isolation import About, Cases
from bench.run.job import Kind
from bench.run.limits import Limits
from bench.run.ray_cases import RayCases, do_case
from bench.run.session import bare_record
from bench.run.settings import Settings
from bench.spec import Weights
from tests.local_ray import RAY_WARNINGS, local_ray
from tests.serve.running import until
from tests.serve.small import checkpoint

pytest.importorskip("ray", reason='Ray is an extra: pip install "gpt-sovits-vocoder-bench[ray]"')
pytestmark = [pytest.mark.filterwarnings(line) for line in RAY_WARNINGS]
STOP = StopRule(min_rounds=6, max_rounds=6, min_time_s=0.001, relative_width=0.5, time_limit_s=5.0)
EAGER = Case("v3", "eager", "fp32", 1, 2)
GRAPH = Case("v3", "cuda-graph", "fp32", 1, 2)
LONG = Case("v3", "eager", "fp32", 1, 4000)
JOBS = [(Kind.SPEED, EAGER), (Kind.SPEED, GRAPH)]
WEIGHTS = Weights(synthetic=False, name="ours", sha256="0" * 64, parameters=1)


@pytest.fixture(scope="module")
def ray() -> Iterator[None]:
    """A cluster of one machine."""
    with local_ray():
        yield


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A run on the CPU."""
    weights = tmp_path / "weights"
    weights.mkdir()
    return Settings("run", str(tmp_path), weights=(checkpoint(weights),), engine_cache="off", stop=STOP)


@pytest.mark.usefixtures("ray")
def test_records_are_those_of_one_machine(settings: Settings) -> None:
    """Each case has its own record in the order of the sweep; what a machine lacks, or has no time for, says so."""
    cases = RayCases(settings, Limits(case_s=100), About())
    try:
        cases.expect(JOBS)
        speed, graph = (cases.perform(kind, case) for kind, case in JOBS)
    finally:
        cases.close()
    assert (speed.case, graph.case) == (EAGER, GRAPH)
    assert (speed.status, graph.status) == (Status.OK, Status.UNAVAILABLE), (speed.reason, graph.reason)
    found = speed.answer(Speed)
    assert found is not None
    assert found.timing.rounds == 6
    assert (speed.run_id, speed.device, speed.seed) == ("run", "cpu", 0)
    assert speed.environment["versions"]
    late = RayCases(settings, Limits(end_s=0.0), About())
    assert late.perform(Kind.SPEED, EAGER).status is Status.SKIPPED
    late.close()


class Planted(Cases):
    """Files and a record without a measurement."""

    def perform(self, kind: Kind, case: Case) -> Record:
        """Leaves a sound, a log, an engine and a lock."""
        folder = self._settings.directory
        for name in ("sounds/a.wav", "logs/a.txt", ".engines/0/a", ".lock", FILE_NAME):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(name)
        record = bare_record(case, self._settings, kind.record_kind)
        return replace(record, weights=WEIGHTS, files={"sound": "sounds/a.wav"})


def test_files_come_with_the_record(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a case leaves in its folder is in the sweep's afterwards, but for engines, locks and records."""
    monkeypatch.setattr("bench.run.ray_cases.Cases", Planted)
    line, files = do_case(Kind.SPEED, EAGER, (settings, Limits(), About()), None, "1")
    assert set(files) == {"sounds/a.wav", "logs/a.txt"}
    cases = RayCases(settings, Limits(), About(weights={"v3": WEIGHTS}))
    assert cases.kept(load_record(line), files).files == {"sound": "sounds/a.wav"}
    assert (settings.directory / "sounds" / "a.wav").read_text() == "sounds/a.wav"
    others = RayCases(settings, Limits(), About(weights={"v3": replace(WEIGHTS, sha256="1" * 64)}))
    record = others.kept(load_record(line), files)
    assert record.status is Status.WRONG_OUTPUT
    assert "other weights" in record.reason


@pytest.mark.usefixtures("ray")
def test_the_end_of_a_sweep_ends_what_runs(settings: Settings) -> None:
    """A worker of a case that nobody waits for any more is gone."""
    cases = RayCases(replace(settings, stop=replace(STOP, time_limit_s=100.0, max_rounds=1000)), Limits(), About())
    cases.expect([(Kind.SPEED, LONG)])
    until(workers, 60)
    cases.close()
    until(lambda: not workers(), 20)


def workers() -> list[int]:
    """Worker processes of cases."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            if any("bench.run.worker_process" in word for word in child.cmdline()):
                found.append(child.pid)
        except psutil.Error:
            continue
    return found
