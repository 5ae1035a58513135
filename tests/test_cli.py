"""The command line itself: every verb has its file, nothing heavy is loaded for help, and errors are one sentence."""

import pkgutil
import subprocess
import sys

import pytest

import bench
from bench import cli, commands
from bench.errors import InputError


def test_every_verb_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    """Each file in ``commands`` that adds a parser is a verb, and the help names it."""
    files = {module.name for module in pkgutil.iter_modules(commands.__path__)} - {"comparison"}
    assert files == set(cli.COMMANDS)
    with pytest.raises(SystemExit) as caught:
        cli.main(["--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: vocoder-bench ")
    assert all(name in out for name in cli.COMMANDS)


def test_the_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    """``--version`` prints the one version."""
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"vocoder-bench {bench.__version__}\n"


def test_help_loads_nothing_heavy() -> None:
    """Neither torch nor numpy, pandas or pytest is imported to say what the commands are."""
    code = (
        "import sys; from bench.cli import build_parser; build_parser(); "
        "print([name for name in ('torch', 'numpy', 'pandas', 'scipy', 'matplotlib', 'pytest') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (InputError("no such run"), 2, "error: no such run\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (ModuleNotFoundError(name="pandas.core"), 2, f"error: pandas is not installed for {sys.executable}: "),
    ],
)
def test_how_a_command_ends(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    text: str,
) -> None:
    """An unusable input, Ctrl-C and a missing package are a line on standard error and their exit code."""

    def fail() -> None:
        raise error

    monkeypatch.setattr("bench.commands.doctor.diagnose", fail)
    assert cli.main(["doctor"]) == code
    assert capsys.readouterr().err.startswith(text)


def test_a_module_of_our_own_that_is_missing_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing module of this project is no advice to install something."""

    def fail() -> None:
        raise ModuleNotFoundError(name="bench.magic")

    monkeypatch.setattr("bench.commands.doctor.diagnose", fail)
    with pytest.raises(ModuleNotFoundError):
        cli.main(["doctor"])
