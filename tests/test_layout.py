"""Tests, studies and benchmarks stand apart."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def imported(folder: str) -> set[str]:
    """First names of all modules that the files of a folder import, but for tests beside studies."""
    files = [file for file in (ROOT / folder).rglob("*.py") if "tests" not in file.parts[len(ROOT.parts) + 1 :]]
    assert files
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize(
    ("folder", "others"),
    [
        ("bench", {"tests", "benchmarks", "studies", "suites"}),
        ("tests", {"benchmarks", "studies"}),
        ("benchmarks", {"tests", "studies"}),
        ("studies", {"tests", "benchmarks"}),
    ],
)
def test_no_folder_imports_what_stands_apart(folder: str, others: set[str]) -> None:
    """A benchmark needs no tests, and a test no benchmark or study; a study's own tests lie beside it."""
    assert not imported(folder) & others
