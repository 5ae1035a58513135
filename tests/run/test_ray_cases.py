"""A case where Ray has put it, and its way back to the sweep; ``tests/test_cluster.py`` has a real Ray."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bench.case import Case
from bench.errors import InputError
from bench.measure.sampling import StopRule
from bench.records.jsonl import load_record
from bench.records.schema import FILE_NAME, Record, Status
from bench.run.isolation import About, Cases
from bench.run.job import Kind
from bench.run.limits import Limits
from bench.run.ray_cases import Process, RayCases, do_case
from bench.run.session import bare_record
from bench.run.settings import Settings
from bench.run.signals import Signals
from bench.run.whole import read_sweep
from bench.spec import Weights
from tests.serve.small import checkpoint

pytest.importorskip("ray", reason='Ray is an extra: pip install "gpt-sovits-vocoder-bench[ray]"')
STOP = StopRule(min_rounds=6, max_rounds=6, min_time_s=0.001, relative_width=0.5, time_limit_s=5.0)
EAGER = Case("v3", "eager", "fp32", 1, 2)
HERE = Process("1", os.nice(0))
WEIGHTS = Weights(synthetic=False, name="ours", sha256="0" * 64, parameters=1)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A run on the CPU."""
    weights = tmp_path / "weights"
    weights.mkdir()
    return Settings("run", str(tmp_path), weights=(checkpoint(weights),), engine_cache="off", stop=STOP)


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
    line, files = do_case(Kind.SPEED, EAGER, (settings, Limits(), About()), None, HERE)
    assert set(files) == {"sounds/a.wav", "logs/a.txt"}
    cases = RayCases(settings, Limits(), About(weights={"v3": WEIGHTS}))
    assert cases.kept(load_record(line), files).files == {"sound": "sounds/a.wav"}
    assert (settings.directory / "sounds" / "a.wav").read_text() == "sounds/a.wav"
    others = RayCases(settings, Limits(), About(weights={"v3": replace(WEIGHTS, sha256="1" * 64)}))
    record = others.kept(load_record(line), files)
    assert record.status is Status.WRONG_OUTPUT
    assert "other weights" in record.reason


def test_a_sweep_whose_time_is_over(settings: Settings) -> None:
    """A machine goes by the time of day at which the sweep ends, and starts nothing after it."""
    line, _ = do_case(Kind.SPEED, EAGER, (settings, Limits(), About()), time.time() - 1, HERE)
    assert load_record(line).status is Status.SKIPPED


def test_ray_and_one_process_are_two_things() -> None:
    """A sentence before anything is loaded."""
    with pytest.raises(InputError, match="--ray runs cases in other processes"):
        read_sweep({"ray": "yes", "in_process": "yes", "device": "cpu"}, Signals(), runs=False)


def test_a_case_is_not_measured_behind_other_work(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process of Ray's that other work goes before gets the sweep's priority, or does nothing and says why."""
    asked: list[int] = []
    monkeypatch.setattr("os.nice", lambda _: 15)
    monkeypatch.setattr("os.setpriority", lambda *words: asked.append(words[-1]))
    late = time.time() - 1
    do_case(Kind.SPEED, EAGER, (settings, Limits(), About()), late, Process("1", 0))
    assert asked == [0]

    def refused(*_: int) -> None:
        raise PermissionError

    monkeypatch.setattr("os.setpriority", refused)
    line, _ = do_case(Kind.SPEED, EAGER, (settings, Limits(), About()), None, Process("1", 0))
    record = load_record(line)
    assert record.status is Status.SKIPPED
    assert "RAY_worker_niceness=0" in record.reason
