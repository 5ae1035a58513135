"""Run names sort by time and never collide."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.run.run_id import new_run_id

NOW = datetime(2026, 11, 22, 9, 5, 7, tzinfo=UTC)


def test_names_are_the_time(tmp_path: Path) -> None:
    """A name is the UTC time to the second, and text order is time order."""
    name = new_run_id(NOW, tmp_path)
    assert name == "20261122T090507Z"
    assert name < new_run_id(NOW + timedelta(seconds=1), tmp_path) < new_run_id(NOW + timedelta(days=40), tmp_path)


def test_a_second_run_in_the_same_second(tmp_path: Path) -> None:
    """A name that is taken gets a number, and then the next."""
    names = []
    for _ in range(3):
        names.append(new_run_id(NOW, tmp_path))
        (tmp_path / names[-1]).mkdir()
    assert names == ["20261122T090507Z", "20261122T090507Z-2", "20261122T090507Z-3"]


def test_results_need_not_exist(tmp_path: Path) -> None:
    """A first run needs no directory."""
    assert new_run_id(NOW, tmp_path / "none") == "20261122T090507Z"
