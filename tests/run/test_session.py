"""What cases share is made once, belongs to its session, and is given back; runners are closed whatever happens."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bench.backend import Backend, Request, Runner
from bench.backends.eager import Eager
from bench.case import Case
from bench.errors import InputError
from bench.measure.sampling import StopRule
from bench.records.schema import Record, Status
from bench.run import session as module
from bench.run.quality import judge_case
from bench.run.session import Latest, Session
from bench.run.settings import Settings
from bench.run.speed import measure_case
from bench.vocoders import load_with_identity
from tests.conftest import small_v3

CASE = Case("v3", "eager", "fp32", 1, 2)


@pytest.fixture
def settings(v3_directory: Path, tmp_path: Path) -> Settings:
    """A run on the processor with the small v3."""
    stop = StopRule(1, 0.0, 1.0, 1.0, 1)
    return Settings("run", str(tmp_path), weights=(str(v3_directory),), stop=stop)


@pytest.fixture
def session(settings: Settings) -> Iterator[Session]:
    """Its session."""
    with Session(settings) as session:
        yield session


def test_weights_and_speech_are_loaded_once(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cases share the vocoder and the speech; another session has its own, and a closed one none."""
    assert session.vocoder("v3") is session.vocoder("v3")
    assert session.voice("v3") is session.voice("v3")
    with Session(session.settings) as other:
        assert other.vocoder("v3") is not session.vocoder("v3")
        assert other.weights("v3") == session.weights("v3")
    loads: list[str] = []

    def load(version: str, *_: object) -> object:
        loads.append(version)
        return small_v3(), session.weights("v3")

    monkeypatch.setattr(module, "load_with_identity", load)
    session.vocoder("v3")
    assert loads == []
    weights = session.weights("v3")
    session.close()

    def load_again(*_: object) -> object:
        loads.append("again")
        return small_v3(), weights

    monkeypatch.setattr(module, "load_with_identity", load_again)
    session.vocoder("v3")
    assert loads == ["again"]


def test_no_module_keeps_the_state_of_a_run() -> None:
    """Neither the session's module nor those of the cases or the inputs have a cache."""
    import bench.audio.speech
    import bench.run.quality
    import bench.run.speed

    for checked in (module, bench.run.quality, bench.run.speed, bench.audio.speech):
        assert [name for name, value in vars(checked).items() if hasattr(value, "cache_info")] == []


def test_each_version_takes_the_first_weights_that_hold_it(v3_directory: Path, settings: Settings) -> None:
    """Weights of another version are passed over by what they are, not by what the sentence says."""
    empty = v3_directory.parent / "empty"
    empty.mkdir(exist_ok=True)
    with Session(replace(settings, weights=(str(empty), str(v3_directory)))) as session:
        assert session.weights("v3").name.startswith(v3_directory.name)
    with Session(replace(settings, weights=(str(empty),))) as session, pytest.raises(InputError, match="hold no v3"):
        session.vocoder("v3")
    # A folder whose name is in the sentence does not make a broken checkpoint another version's.
    broken = v3_directory.parent / "hold no v3 vocoder"
    broken.mkdir(exist_ok=True)
    (broken / "config.json").write_text("{", encoding="utf-8")
    (broken / "bigvgan_generator.pt").write_bytes(b"")
    with (
        Session(replace(settings, weights=(str(broken), str(v3_directory)))) as session,
        pytest.raises(InputError, match="cannot read"),
    ):
        session.vocoder("v3")


class Counting(Eager):
    """Eager that counts its open runners and may fail in a call."""

    opened, closed = 0, 0
    error: Exception | None = None

    def prepare(self, request: Request) -> Runner:
        """Counts."""
        runner = super().prepare(request)
        Counting.opened += 1

        def run(mel: torch.Tensor) -> torch.Tensor:
            if self.error is not None:
                raise self.error
            return runner.run(mel)

        def close() -> None:
            Counting.closed += 1

        return replace(runner, run=run, close=close)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    """Puts it in the place of every backend."""
    backend = Counting()
    monkeypatch.setattr(Counting, "opened", 0)
    monkeypatch.setattr(Counting, "closed", 0)

    def find(_: str) -> Backend:
        return backend

    monkeypatch.setattr(module, "find_backend", find)
    monkeypatch.setattr("bench.run.speed.find_backend", find)
    return backend


def test_every_runner_is_closed(session: Session, counting: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cases, baselines and references are closed once each, also where a call fails."""
    assert judge_case(CASE, session).status is Status.OK
    assert (counting.opened, counting.closed) == (2, 2)
    # The references are kept, so that the second case of a shape opens its own runner only.
    assert judge_case(CASE, session).status is Status.OK
    assert (counting.opened, counting.closed) == (3, 3)
    assert measure_case(replace(CASE, precision="bf16"), session).status is Status.OK
    assert (counting.opened, counting.closed) == (5, 5)
    monkeypatch.setattr(counting, "error", RuntimeError("it broke"))
    assert measure_case(CASE, session).status is Status.CRASHED
    assert (counting.opened, counting.closed) == (6, 6)


def failing(session: Session, counting: Counting, error: Exception) -> Record:
    """The record of a case whose call raises."""
    counting.error = error
    return measure_case(CASE, session)


def test_out_of_memory_is_told_by_what_it_is(session: Session, counting: Counting) -> None:
    """A refused allocation is a row of that name; an error that talks of memory is a crash."""
    for error in (torch.OutOfMemoryError("full"), MemoryError("full")):
        assert failing(session, counting, error).status is Status.OUT_OF_MEMORY
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 46)
    assert failing(session, counting, caught.value).status is Status.OUT_OF_MEMORY
    talking = RuntimeError("the licence does not allocate memory to this product")
    record = failing(session, counting, talking)
    assert (record.status, record.reason) == (Status.CRASHED, f"RuntimeError: {talking}")


def test_a_record_begins_with_what_is_known(session: Session, settings: Settings) -> None:
    """Weights, speech and machine are in a record before anything ran."""
    record = session.begin(CASE, "speed")
    assert (record.run_id, record.kind, record.case, record.status) == ("run", "speed", CASE, Status.OK)
    assert record.weights == load_with_identity("v3", settings.weights[0])[1]
    assert record.audio is not None
    assert record.audio.startswith("speech.flac sha256:")
    assert record.environment["threads"] == settings.threads


def test_latest_keeps_one() -> None:
    """The value of the key asked for last is kept, and no other."""
    kept: Latest[str, int] = Latest()
    made: list[str] = []

    def make(key: str) -> int:
        def count() -> int:
            made.append(key)
            return len(made)

        return kept.get(key, count)

    assert [make("a"), make("a"), make("b"), make("a")] == [1, 1, 2, 3]
    kept.clear()
    assert make("a") == 4
