"""Pages of the project: what they say is so."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_FOLDERS = ("docs", "reports", "benchmarks", "studies", "suites", "tests", "tools")


def pages() -> list[Path]:
    """Every Markdown page of the tree, not those that a run or an environment left in it."""
    found = [*ROOT.glob("*.md"), *(page for folder in _FOLDERS for page in (ROOT / folder).rglob("*.md"))]
    return sorted(found)


def name(page: Path) -> str:
    """The page's path, as test ids show it."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, language: str) -> list[str]:
    """The fenced code blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def shell_lines(page: Path) -> Iterator[str]:
    """The commands of a page: indented lines after an empty one, without their comments."""
    prose = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for block in re.findall(r"(?:\A|\n\n)((?: {4}[^\n]*(?:\n|\Z))+)", prose):
        for line in block.splitlines():
            yield line.split(" #")[0].strip()
