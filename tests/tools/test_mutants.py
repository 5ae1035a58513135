"""The table of mutants fits the tree: what it spoils is there, and so are the tests that are to notice."""

import tomllib

import pytest

from tests.tools.scripts import load

mutants = load("mutants")

TABLE = tomllib.loads(mutants.TABLE.read_text(encoding="utf-8"))


def test_every_named_fault_changes_its_module() -> None:
    """The code that a fault spoils stands once, what comes of it is Python, and it has tests."""
    found = list(mutants.named(TABLE, ""))
    assert len(found) == len(TABLE["named"]) >= 12
    for mutant in found:
        assert mutant.code != (mutants.ROOT / mutant.module).read_text(encoding="utf-8")
        compile(mutant.code, mutant.module, "exec")
        assert mutant.module in TABLE["modules"]


def test_the_tests_that_are_to_notice_are_there() -> None:
    """Modules and tests of the table exist."""
    for module, tests in TABLE["modules"].items():
        assert all((mutants.ROOT / path).exists() for path in (module, *tests)), module


def test_a_fault_whose_code_is_gone_is_an_error() -> None:
    """A table that no longer fits says so instead of passing."""
    gone = {"named": [{"name": "x", "module": "bench/case.py", "before": "no such code", "after": ""}]}
    with pytest.raises(SystemExit, match="stands 0 times"):
        list(mutants.named(gone, ""))
