"""Figures of pages are those of the records."""

from pathlib import Path
from types import ModuleType

import pytest

from tests.tools.scripts import load


@pytest.fixture(scope="module")
def check_figures() -> ModuleType:
    """The script as a module."""
    return load("check_figures")


def test_every_figure_of_the_pages_is_in_the_records(
    check_figures: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pages and the ladder are as their records have it."""
    assert check_figures.main([]) == 0, capsys.readouterr().out


def test_a_changed_figure_is_seen_and_mended(
    check_figures: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A digit changed by hand fails the check, and --write takes it from the records again."""
    (tmp_path / "reports").symlink_to(check_figures.ROOT / "reports")
    page = tmp_path / "README.md"
    right = check_figures.filled((check_figures.ROOT / "README.md").read_text(encoding="utf-8"))
    assert "15.60 ms [15.59, 15.61]" in right
    page.write_text(right.replace("15.60 ms [15.59", "14.60 ms [15.59"), encoding="utf-8")
    monkeypatch.setattr(check_figures, "ROOT", tmp_path)
    assert check_figures.main([]) == 1
    assert check_figures.main(["--write"]) == 0
    assert page.read_text(encoding="utf-8") == right
    assert check_figures.main([]) == 0


def test_a_ratio_is_that_of_the_record(check_figures: ModuleType) -> None:
    """A table's row holds the median, the baseline in turn and the ratio of one record."""
    table = check_figures.speed("2026-11-26-h200-tensorrt", ["v4", "static", "graph"])
    assert "| v4, 1x500, static engine | 2.300 ms [2.298, 2.305] | 7.942 ms | 3.45x [3.43, 3.48] |" in table


def test_a_wide_interval_is_shown(check_figures: ModuleType) -> None:
    """The interval stands beside every ratio, also where it says that the ratio is worth little."""
    assert "2.51x [2.49, 3.88]" in check_figures.speed("2026-11-26-h200-level-and-streams", [])
