"""The errors that reach a user, each one sentence that says what to do."""

import sys


class InputError(ValueError):
    """A file, an option or a value from the user cannot be used; the command ends with exit code 2."""


class NoVocoderError(InputError):
    """The weights hold no vocoder of the wanted version; others of the run may."""


def not_installed(error: ModuleNotFoundError) -> str | None:
    """What to say of a package that this project needs and this Python lacks; None for the project's own modules.

    >>> not_installed(ModuleNotFoundError(name="bench.magic")) is None
    True
    """
    package = (error.name or "").partition(".")[0]
    if package in ("", "bench", "suites"):
        return None
    return (
        f"{package} is not installed for {sys.executable}: pip install gpt-sovits-vocoder-bench, or -e . in a checkout"
    )


class UnsupportedError(RuntimeError):
    """This backend cannot run this case (precision, shape, version); the case becomes a row that says why."""


class WrongOutputError(RuntimeError):
    """What ran is not what the label says: another precision, a fallback, a bad shape or value."""


def first_line(error: BaseException) -> str:
    """An exception in one line: its type and the first line of its message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
