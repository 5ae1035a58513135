"""What a comparison assumes of one process is what the published runs show."""

import math
from dataclasses import replace

import pytest

from bench.records.schema import Build
from tests.comparing import record
from tests.tools.scripts import load

known_spread = load("known_spread")
main, pairs, standard_deviation = known_spread.main, known_spread.pairs, known_spread.standard_deviation


def test_the_thresholds_assume_what_was_seen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No metric's assumed spread is smaller than that of the pairs among the published records."""
    monkeypatch.setattr("sys.argv", ["known_spread.py", "--check"])
    assert main() == 0
    out = capsys.readouterr().out
    assert "process  time              sd 0.0294 of 5 pairs; assumed 0.0301" in out
    monkeypatch.setattr(known_spread, "standard_deviation", lambda _: 0.5)
    assert main() == 1


def test_pairs_are_runs_of_the_same_thing_within_an_hour() -> None:
    """Another run of the same case minutes later is a pair; the next day, the same run and another driver are none."""
    at = "2026-01-01T00:00:00+00:00"
    first = replace(record(), build=Build(1.0, build_s=30.0))
    second = replace(
        record(night=1, factor=1.1), recorded_at="2026-01-01T00:20:00+00:00", build=Build(1.0, build_s=30.0)
    )
    [pair] = pairs([first, second])
    assert (pair.kind, pair.minutes) == ("process", 20.0)
    assert pair.moves["time"] == pytest.approx(math.log(1.1), abs=0.01)
    [rebuilt] = pairs([first, replace(second, build=Build(1.0, build_s=31.0))])
    assert rebuilt.kind == "build"
    assert not list(pairs([first, record(night=1)]))
    gpu = {**first.environment, "gpu": {**first.environment["gpu"], "driver": "other"}}
    assert not list(pairs([first, replace(second, environment=gpu)]))
    assert not list(pairs([first, replace(first, recorded_at=at)]))


def test_the_deviation_of_one_run_is_that_of_a_move_over_the_root_of_two() -> None:
    """Moves of 3 and 4 have a root mean square of the root of 12.5."""
    assert standard_deviation([3.0, -4.0]) == pytest.approx(2.5)
