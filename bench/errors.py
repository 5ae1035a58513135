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


_LINE_LENGTH = 500


def first_line(error: BaseException) -> str:
    r"""An exception in one line that any file and terminal takes: its type and the first line of its message.

    >>> first_line(RuntimeError("it\x1b broke\nbadly"))
    'RuntimeError: it\N{REPLACEMENT CHARACTER} broke'
    """
    name = type(error).__name__
    try:
        text = str(error)[: 4 * _LINE_LENGTH].strip()
    except Exception as other:  # noqa: BLE001 - the message of a library's own exception may raise anything
        return f"{name}, whose message raises {type(other).__name__}"
    line = next(iter(text.splitlines()), "")
    shown = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in line)
    if len(shown) > _LINE_LENGTH:
        shown = shown[:_LINE_LENGTH] + "\N{HORIZONTAL ELLIPSIS}"
    return f"{name}: {shown}" if shown else name
