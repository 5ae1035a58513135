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
        assert all((mutants.ROOT / path.partition("::")[0]).exists() for path in (module, *tests)), module


def test_a_fault_whose_code_is_gone_is_an_error() -> None:
    """A table that no longer fits says so instead of passing."""
    gone = {"named": [{"name": "x", "module": "bench/case.py", "before": "no such code", "after": ""}]}
    with pytest.raises(SystemExit, match="stands 0 times"):
        list(mutants.named(gone, ""))


@pytest.mark.parametrize(
    ("operator", "wanted"),
    [
        ("core/ReplaceBinaryOperator_Add_Sub", True),
        ("core/ReplaceBinaryOperator_Add_RShift", False),
        ("core/ReplaceBinaryOperator_BitOr_BitAnd", True),
        ("core/ReplaceComparisonOperator_Lt_LtE", True),
        ("core/ReplaceComparisonOperator_Eq_Is", False),
        ("core/ReplaceUnaryOperator_Delete_Not", True),
        ("core/AddNot", True),
        ("core/NumberReplacer", True),
        ("core/RemoveDecorator", False),
    ],
)
def test_mutants_that_any_test_would_notice_are_not_drawn(operator: str, wanted: bool) -> None:
    """What ends in a TypeError on floats says nothing of tests."""
    assert mutants.telling(operator) is wanted


@pytest.mark.parametrize(
    ("changed", "otherwise"),
    [
        ("def f(x: int | None) -> int:\n    y: int = x + 1\n    return y\n", False),
        ("def f(x: int + None) -> float:\n    y: str = x + 1\n    return y\n", False),
        ("def f(x: int | None) -> int:\n    y: int = x - 1\n    return y\n", True),
        ("def f(x: int | None) -> int:\n    y: int = x + 2\n    return y\n", True),
        ("def f(x: int | None) -> int:\n    y: int = x +\n    return y\n", False),
    ],
)
def test_an_annotation_is_no_mutant(changed: str, otherwise: bool) -> None:
    """It computes nothing; what is no Python is none either."""
    code = "def f(x: int | None) -> int:\n    y: int = x + 1\n    return y\n"
    assert mutants._computes_otherwise(code, changed) is otherwise
