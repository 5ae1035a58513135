"""CHANGELOG.md."""

import re
from datetime import date
from importlib.metadata import version

from tests.docs import ROOT

_HEADING = re.compile(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)$", re.MULTILINE)


def test_the_newest_version_is_the_package_s_and_has_a_date() -> None:
    """Versions are dated, newest first, and the newest is what gets installed; what comes stands above it."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = _HEADING.findall(text)
    assert versions[0][0] == version("gpt-sovits-vocoder-bench")
    days = [date.fromisoformat(day) for _, day in versions]
    assert days == sorted(days, reverse=True)
    assert text.index("## [Unreleased]") < text.index(f"## [{versions[0][0]}]")
    assert len(re.findall(r"^## ", text, re.MULTILINE)) == len(versions) + 1
