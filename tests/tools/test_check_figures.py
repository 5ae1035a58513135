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
    assert "1.881 ms [1.878, 1.891]" in right
    page.write_text(right.replace("1.881 ms [1.878", "1.781 ms [1.878"), encoding="utf-8")
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


def test_a_table_of_no_rows_is_an_error(check_figures: ModuleType) -> None:
    """Words that choose no record are a mistake of the page; engines are beside an eager that no such word names."""
    with pytest.raises(ValueError, match="no record of the run"):
        check_figures.fastest("2026-11-28-h100-fused", ["int8"])
    assert "| v4, 1x500, static engine | 93 / 106 MiB, -12.0 % |" in check_figures.memory(
        "2026-11-26-h200-tensorrt", ["graph"]
    )
