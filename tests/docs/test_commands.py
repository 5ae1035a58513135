"""Commands that pages name."""

import configparser
import re
import shlex
from pathlib import Path

import pytest

from bench import cli
from tests.docs import ROOT, name, pages, shell_lines

COMMANDS = [
    pytest.param(line, id=f"{name(page)}: {line}")
    for page in pages()
    for line in shell_lines(page)
    if re.match(r"(?:vocoder-bench|python -m bench|(?:python -m )?pytest|python|(?:.*/)?tox) ", line)
]


def words(line: str) -> list[str]:
    """The words of a command: optional parts taken, placeholders and redirections as plain words."""
    plain = re.sub(r"(?<=\s)\[|\](?=\s|$)", "", line).split(" >")[0]
    return shlex.split(plain.replace("<", "").replace(">", ""))


def filled(word: str) -> str:
    """A value for a placeholder that stands for a number."""
    return "7" if word == "N" else word


@pytest.mark.parametrize("line", [param for param in COMMANDS if "vocoder-bench" in str(param.values[0])])
def test_a_command_is_one_that_the_command_line_takes(line: str) -> None:
    """``vocoder-bench`` with the words of the page parses."""
    verbs = words(line.replace("python -m bench", "vocoder-bench"))[1:]
    cli.build_parser().parse_args([filled(word) for word in verbs])


@pytest.mark.parametrize("line", [param for param in COMMANDS if "pytest" in str(param.values[0])])
def test_a_sweep_takes_the_options(line: str, pytestconfig: pytest.Config) -> None:
    """Options of a page's ``pytest`` line exist, and files that it names do."""
    for word in words(line):
        if word.startswith("--"):
            pytestconfig.getoption(word.split("=")[0])
        elif word.startswith(("suites/", "reports/", "tests/")):
            assert (ROOT / word).exists(), word


@pytest.mark.parametrize(
    "line", [param for param in COMMANDS if re.match(r"python (?!-m)", str(param.values[0]))] or [pytest.param("")]
)
def test_a_script_is_there_and_has_the_options(line: str) -> None:
    """A script that a page runs exists and defines the options that the page gives it."""
    if line:
        script, *rest = words(line)[1:]
        text = (ROOT / script).read_text(encoding="utf-8")
        assert all(f'"{word}"' in text for word in rest if word.startswith("--"))


@pytest.mark.parametrize("page", pages(), ids=name)
def test_every_tox_environment_is_there(page: Path) -> None:
    """``tox -e NAME`` names an environment of ``tox.ini``."""
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini", encoding="utf-8")
    named = re.findall(r"tox -q?e ([\w-]+)", page.read_text(encoding="utf-8"))
    assert all(tox.has_section(f"testenv:{environment}") for environment in named)


def test_commands_are_found() -> None:
    """The pages' commands are seen at all."""
    lines = [str(param.values[0]) for param in COMMANDS]
    assert any(line.startswith("vocoder-bench report") for line in lines)
    assert any(line.startswith("pytest suites/test_speed.py --profile reports/") for line in lines)
    with pytest.raises(SystemExit):
        cli.build_parser().parse_args(words("vocoder-bench report results/<run> --no-such-option"))
