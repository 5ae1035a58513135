"""Mutants: spoils a line at a time and looks whether the tests notice.

    python tools/mutants.py                          # the named faults of tools/mutants.toml: each must be noticed
    python tools/mutants.py --sample 20              # and twenty mutants of each module, drawn by chance
    python tools/mutants.py --sample 20 --only bench/compare

Works in a copy of the tree, a forked process a mutant, so that libraries are imported once. Ends with 1 where a named
fault survives, or fewer than 80 % of those drawn are noticed. Drawing needs `pip install cosmic-ray==8.7.0`; a survivor
may be a mutant that changes nothing.
"""

import argparse
import ast
import importlib
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "tools" / "mutants.toml"
LEAST = 0.8
# A mutant may take so many times the seconds of the tests without one, and no more memory than this.
PATIENCE = 4
LIMIT_BYTES = 16 << 30
# Operators that change what is computed; the others swap decorators.
OPERATORS = (
    *("ReplaceBinary", "ReplaceComparison", "ReplaceUnary", "ReplaceAndWithOr", "ReplaceOrWithAnd", "AddNot"),
    "NumberReplacer",
)
# What no float can do is noticed by any test that comes past.
TRIVIAL = ("RShift", "LShift", "BitOr", "BitAnd", "BitXor", "Is", "IsNot", "Invert")
LIBRARIES = (
    *("numpy", "scipy.stats", "scipy.signal", "torch", "pandas", "librosa", "auraloss.freq", "pyloudnorm", "soundfile"),
    *("cattrs", "msgspec", "psutil", "platformdirs", "hypothesis", "pytest", "pytest_benchmark.plugin"),
)
FOLDERS = ("bench", "tests", "reports", "tools", "docs", "pyproject.toml", "conftest.py", "README.md")


@dataclass(frozen=True)
class Mutant:
    """A module with one change.

    Attributes:
        name: What was changed.
        module: Path from the root.
        code: The whole module.
    """

    name: str
    module: str
    code: str


def named(table: dict[str, Any], only: str) -> Iterator[Mutant]:
    """The named faults.

    Raises:
        SystemExit: the code that one spoils is not there any more.
    """
    for entry in table["named"]:
        code = (ROOT / entry["module"]).read_text(encoding="utf-8")
        if only not in entry["module"]:
            continue
        if code.count(entry["before"]) != 1:
            sys.exit(f"error: {TABLE.name}: {entry['name']!r}: its code stands {code.count(entry['before'])} times")
        yield Mutant(entry["name"], entry["module"], code.replace(entry["before"], entry["after"]))


def drawn(modules: Sequence[str], count: int, seed: int) -> Iterator[Mutant]:
    """Some of cosmic-ray's mutants of each module."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator, operator_names

    operators = {name.split("/")[1]: get_operator(name)() for name in operator_names() if telling(name)}
    for module in modules:
        code = (ROOT / module).read_text(encoding="utf-8")
        nodes = list(ast_nodes(get_ast(code)))
        places = [
            (name, occurrence)
            for name, operator in operators.items()
            for occurrence in range(sum(1 for node in nodes for _ in operator.mutation_positions(node)))
        ]
        random.Random(seed).shuffle(places)  # noqa: S311 - no secret
        found = {code}
        for name, occurrence in places:
            changed = mutate_code(code, operators[name], occurrence)
            if changed not in found and _computes_otherwise(code, changed):
                found.add(changed)
                yield Mutant(f"{name} {occurrence}, {_difference(code, changed)}", module, changed)
            if len(found) > count:
                break


def _difference(code: str, changed: str) -> str:
    pairs = enumerate(zip(code.splitlines(), changed.splitlines(), strict=False), 1)
    return next(f"line {number}: {old.strip()} -> {new.strip()}" for number, (old, new) in pairs if old != new)


def telling(operator: str) -> bool:
    """Whether mutants of cosmic-ray's operator may go unnoticed."""
    name = operator.split("/")[1]
    if not name.startswith(OPERATORS):
        return False
    source, _, target = name.partition("_")[2].partition("_")
    return target not in TRIVIAL or source in TRIVIAL


class _Bare(ast.NodeTransformer):
    """Takes annotations away, which compute nothing."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.returns = None
        self.generic_visit(node)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AnnAssign:
        node.annotation = ast.Constant(None)
        self.generic_visit(node)
        return node


def _computes_otherwise(code: str, changed: str) -> bool:
    """Whether a change is Python, and more than another annotation."""
    try:
        trees = [ast.parse(text) for text in (code, changed)]
    except SyntaxError:
        return False
    return len({ast.dump(_Bare().visit(tree)) for tree in trees}) == 2


def noticed(mutant: Mutant, tests: Sequence[str], tree: Path, limit_s: float) -> bool:
    """Whether the tests fail on a mutant; a test that never ends notices too."""
    target = tree / mutant.module
    original = target.read_text(encoding="utf-8")
    target.write_text(mutant.code, encoding="utf-8")
    try:
        return not passes(tests, tree, limit_s)
    finally:
        target.write_text(original, encoding="utf-8")


def passes(tests: Sequence[str], tree: Path, limit_s: float | None = None) -> bool:
    """Whether the tests pass in a tree."""
    process = multiprocessing.get_context("fork").Process(target=_test, args=(tests, tree))
    process.start()
    process.join(limit_s)
    if process.is_alive():
        os.killpg(process.pid or 0, signal.SIGKILL)
        process.join()
    return process.exitcode == 0


def _test(tests: Sequence[str], tree: Path) -> None:
    """Runs tests of a tree, in a process of its own."""
    import pytest

    os.setsid()
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES))
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silence, stream)
    os.chdir(tree)
    # Other plugins take longer to load than most tests to run.
    os.environ |= {"PYTHONPATH": str(tree), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    sys.path.insert(0, str(tree))
    sys.dont_write_bytecode = True
    plugins = ["-p", "no:cacheprovider", "-p", "pytest_benchmark.plugin", "--benchmark-disable"]
    os._exit(pytest.main(["-x", "-q", *plugins, *tests]))


def seconds(modules: dict[str, list[str]], tree: Path) -> dict[str, float]:
    """How long the tests of each module take without a mutant.

    Raises:
        SystemExit: they fail.
    """
    taken: dict[tuple[str, ...], float] = {}
    for tests in map(tuple, modules.values()):
        if tests not in taken:
            started = time.monotonic()
            if not passes(tests, tree):
                sys.exit(f"error: {' '.join(tests)} fail without a mutant; mend them first")
            taken[tests] = time.monotonic() - started
    return {module: taken[tuple(tests)] for module, tests in modules.items()}


def main() -> int:
    """Prints a line a mutant, and a score a module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="mutants of each module to draw (0)")
    parser.add_argument("--only", default="", metavar="PATH", help="modules whose path holds this")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    table = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    modules = {module: tests for module, tests in table["modules"].items() if arguments.only in module}
    for library in LIBRARIES:
        importlib.import_module(library)
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        for name in FOLDERS:
            source = ROOT / name
            shutil.copytree(source, tree / name) if source.is_dir() else shutil.copy(source, tree / name)
        limits = {module: 10 + PATIENCE * taken for module, taken in seconds(modules, tree).items()}
        survivors = _run(named(table, arguments.only), modules, tree, limits)
        scores = []
        if arguments.sample:
            all_drawn = list(drawn(list(modules), arguments.sample, arguments.seed))
            left = _run(all_drawn, modules, tree, limits)
            scores = [(module, *_score(module, all_drawn, left)) for module in modules]
    for module, killed, count in scores:
        print(f"{module}: {killed} of {count} noticed")
    killed, count = (sum(score[place] for score in scores) for place in (1, 2))
    if count:
        print(f"together: {killed} of {count} = {100 * killed / count:.0f} %")
    return 1 if survivors or (count and killed < LEAST * count) else 0


def _score(module: str, mutants: Sequence[Mutant], left: Sequence[Mutant]) -> tuple[int, int]:
    count = sum(mutant.module == module for mutant in mutants)
    return count - sum(mutant.module == module for mutant in left), count


def _run(
    mutants: Iterator[Mutant] | Sequence[Mutant], tests: dict[str, list[str]], tree: Path, limits: dict[str, float]
) -> list[Mutant]:
    """The mutants that nothing noticed."""
    survivors = []
    for mutant in mutants:
        killed = noticed(mutant, tests[mutant.module], tree, limits[mutant.module])
        print(f"{'noticed ' if killed else 'SURVIVED'} {mutant.module}: {mutant.name}", flush=True)
        survivors += [] if killed else [mutant]
    return survivors


if __name__ == "__main__":
    sys.exit(main())
