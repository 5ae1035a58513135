"""Links of the pages."""

import re
from pathlib import Path

import pytest

from tests.docs import ROOT, name, pages

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """The fragments that GitHub gives a page's headings.

    >>> page = Path("page.md")
    """
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    found: set[str] = set()
    for heading in re.findall(r"^#+ +(.+?) *$", text, re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        found.add(re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-"))
    return found


def broken(page: Path) -> list[str]:
    """The relative links of a page that lead nowhere."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    lost = []
    for link in _LINK.findall(text):
        path, _, fragment = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = page.parent / path if path else page
        there = target.exists() and (not fragment or (target.suffix == ".md" and fragment in anchors(target)))
        if not there:
            lost.append(link)
    return lost


@pytest.mark.parametrize("page", pages(), ids=name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    """Files and headings that a page links to exist."""
    assert broken(page) == []


def test_a_broken_link_is_seen(tmp_path: Path) -> None:
    """A missing file and a missing heading are both named; what exists and what is elsewhere is not."""
    (tmp_path / "other.md").write_text("# A `heading` 8.6\n", encoding="utf-8")
    page = tmp_path / "page.md"
    links = ("gone.md", "other.md#no", "other.md#a-heading-86", "https://example.org/x", "#here")
    page.write_text("## Here\n\n" + "\n".join(f"[x]({link})" for link in links), encoding="utf-8")
    assert broken(page) == ["gone.md", "other.md#no"]


def test_pages_are_found() -> None:
    """The list of pages is not empty for want of a folder."""
    assert {"README.md", "docs/api.md", "reports/README.md", "benchmarks/README.md"} <= {name(page) for page in pages()}
    assert (ROOT / "pyproject.toml").is_file()
