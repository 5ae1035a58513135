"""Mutants: spoils a line at a time and looks whether the tests notice.

    python tools/mutants.py                          # the named faults of tools/mutants.toml: each must be noticed
    python tools/mutants.py --sample 20              # and twenty mutants of each module, drawn by chance
    python tools/mutants.py --sample 20 --only bench/compare

Works in a copy of the tree. Ends with 1 where a named fault survives, or fewer than 80 % of those drawn are noticed.
Drawing needs `pip install cosmic-ray==8.7.0`; a survivor may be a mutant that changes nothing.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "tools" / "mutants.toml"
LEAST = 0.8
LIMIT_S = 300
# Operators that change what is computed; the others swap decorators and annotations.
OPERATORS = ("ReplaceBinary", "ReplaceComparison", "ReplaceUnary", "ReplaceAndWithOr", "ReplaceOrWithAnd", "AddNot")
NUMBERS = "NumberReplacer"
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
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator, operator_names

    wanted = [name for name in operator_names() if name.split("/")[1].startswith((*OPERATORS, NUMBERS))]
    for module in modules:
        code = (ROOT / module).read_text(encoding="utf-8")
        found: dict[str, str] = {}
        for name in wanted:
            occurrence = 0
            while (changed := mutate_code(code, get_operator(name)(), occurrence)) is not None:
                found.setdefault(changed, f"{name.split('/')[1]} {occurrence}")
                occurrence += 1
        found.pop(code, None)
        chosen = random.Random(seed).sample(sorted(found), min(count, len(found)))  # noqa: S311 - no secret
        yield from (Mutant(found[changed], module, changed) for changed in chosen)


def noticed(mutant: Mutant, tests: Sequence[str], tree: Path) -> bool:
    """Whether the tests fail on a mutant; a test that never ends notices too."""
    target = tree / mutant.module
    original = target.read_text(encoding="utf-8")
    target.write_text(mutant.code, encoding="utf-8")
    try:
        return not passes(tests, tree)
    finally:
        target.write_text(original, encoding="utf-8")


def passes(tests: Sequence[str], tree: Path) -> bool:
    """Whether the tests pass in a tree."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--benchmark-disable", *tests]
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(  # noqa: S603 - our own tests
            command, cwd=tree, env=environment, capture_output=True, timeout=LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def main() -> int:
    """Prints a line a mutant, and a score a module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="mutants of each module to draw (0)")
    parser.add_argument("--only", default="", metavar="PATH", help="modules whose path holds this")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    table = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    modules = {module: tests for module, tests in table["modules"].items() if arguments.only in module}
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        for name in FOLDERS:
            source = ROOT / name
            shutil.copytree(source, tree / name) if source.is_dir() else shutil.copy(source, tree / name)
        if not passes(sorted({test for tests in modules.values() for test in tests}), tree):
            sys.exit("error: the tests fail without a mutant; mend them first")
        survivors = _run(named(table, arguments.only), modules, tree)
        scores = []
        if arguments.sample:
            all_drawn = list(drawn(list(modules), arguments.sample, arguments.seed))
            left = _run(all_drawn, modules, tree)
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


def _run(mutants: Iterator[Mutant] | Sequence[Mutant], tests: dict[str, list[str]], tree: Path) -> list[Mutant]:
    """The mutants that nothing noticed."""
    survivors = []
    for mutant in mutants:
        killed = noticed(mutant, tests[mutant.module], tree)
        print(f"{'noticed ' if killed else 'SURVIVED'} {mutant.module}: {mutant.name}", flush=True)
        survivors += [] if killed else [mutant]
    return survivors


if __name__ == "__main__":
    sys.exit(main())
