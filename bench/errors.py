"""The errors that reach a user, each one sentence that says what to do, and how names are shown in them."""

import sys
import unicodedata

# Longer texts in a sentence are cut: a name or a library's message may be of any length.
SHOWN_LIMIT = 300
SENTENCE_LIMIT = 2000
# Unicode's control, format (bidirectional overrides among them), surrogate and line-separating characters.
_UNSHOWABLE = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))


def shown(text: object, limit: int = SHOWN_LIMIT) -> str:
    r"""A name from outside, fit for a terminal: no control characters, no undecodable bytes, not endless.

    Args:
        text: A name, path, key or message.
        limit: Most characters; the middle of a longer text is left out.

    >>> shown("weights\x1b[2J\udcc3.pt")
    'weights�[2J�.pt'
    >>> shown("x" * 1000, limit=9)
    'xxxx…xxxx'
    """
    whole = str(text)
    if len(whole) > limit:
        half = (limit - 1) // 2
        whole = f"{whole[:half]}…{whole[-half:]}"
    if whole.isascii() and whole.isprintable():
        return whole
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(sign) in _UNSHOWABLE else sign for sign in whole)


class InputError(ValueError):
    r"""A file, an option or a value from the user cannot be used; the command ends with exit code 2.

    The sentence may quote names from outside: line breaks become spaces, and what no terminal should see is replaced.

    >>> str(InputError("no\nfile \x1b[31mx"))
    'no file �[31mx'
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(shown(" ".join(str(sentence).splitlines()), SENTENCE_LIMIT))


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
    r"""An exception in one line that any file and terminal takes: its type and the first line of its message.

    >>> first_line(RuntimeError("it\x1b broke\nbadly"))
    'RuntimeError: it� broke'
    """
    name = type(error).__name__
    try:
        text = str(error).strip()
    except Exception as other:  # noqa: BLE001 - the message of a library's own exception may raise anything
        return f"{name}, whose message raises {type(other).__name__}"
    line = shown(text[: 4 * SENTENCE_LIMIT].partition("\n")[0], SENTENCE_LIMIT)
    return f"{name}: {line}" if line else name
