"""How a file that a user names is opened: a path with ``~``, a regular file only, and never more than a limit.

A device, a pipe or a file that grows would otherwise be read for ever, and a pipe without a writer waits for ever.
"""

import errno
import hashlib
import os
import re
import stat
from io import BufferedReader
from pathlib import Path

from platformdirs import user_cache_dir

from bench.errors import InputError

MIB = 1 << 20
TEXT_LIMIT_BYTES = 4 * MIB
# Systems take 255 bytes; a digest and endings come on top.
NAME_LIMIT = 180
_KINDS = (
    (stat.S_ISREG, "a file"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


def cache_folder(name: str) -> Path | None:
    """A folder in the user's cache; None for a user without a home folder, as in some containers."""
    try:
        folder = Path(user_cache_dir("gpt-sovits-vocoder-bench")) / name
    except RuntimeError:
        return None
    return folder if folder.is_absolute() else None


def user_path(given: str | os.PathLike[str], what: str = "path") -> Path:
    """A path as a user writes it, ``~`` and ``~name`` being home folders.

    Args:
        given: The text.
        what: The option or file, for the sentence.

    Raises:
        InputError: it is empty, holds a NUL, or there is no such home folder.
    """
    text = os.fspath(given)
    if not text or "\0" in text:
        raise InputError(f"{what} is {'empty' if not text else 'no path: it holds a NUL'}; give the path of a file")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise InputError(f"{what} {text}: there is no such home folder; give the whole path, or set HOME") from error


def user_paths(text: str, option: str) -> list[Path]:
    """The paths of a comma-separated option; a value that exists as it stands is one path, commas and all.

    Raises:
        InputError: there is none.
    """
    whole = user_path(text, option) if text.strip() else None
    if whole is not None and os.path.lexists(whole):
        return [whole]
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        raise InputError(f"{option} is an empty list; give one path or several with commas between them")
    return [user_path(part, option) for part in parts]


def open_regular(path: Path, what: str, limit_bytes: int | None = None) -> BufferedReader:
    """Opens a regular file to read.

    Args:
        path: The file; symbolic links are followed.
        what: What it is, such as ``"profile"``, for the sentence.
        limit_bytes: Most that it may hold; None for no limit.

    Raises:
        InputError: missing, not a regular file, not readable, or too large.
    """
    try:
        # Asked first, because opening some devices already does something.
        _check_kind(path, what, path.stat())
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(f"{what} {path} {reason_of(error)}") from error
    file = os.fdopen(handle, "rb")
    try:
        status = os.fstat(handle)
        _check_kind(path, what, status)
        if limit_bytes is not None and status.st_size > limit_bytes:
            raise InputError(
                f"{what} {path} is too large: {_size(status.st_size)}, at most {_size(limit_bytes)} is read"
            )
    except BaseException:
        file.close()
        raise
    return file


def read_bytes(path: Path, what: str, limit_bytes: int = TEXT_LIMIT_BYTES) -> bytes:
    """The content of a regular file of at most ``limit_bytes``.

    Raises:
        InputError: as :func:`open_regular`, also for a file that grows beyond the limit while it is read.
    """
    with open_regular(path, what, limit_bytes) as file:
        try:
            content = file.read(limit_bytes + 1)
        except OSError as error:
            raise InputError(f"{what} {path} {reason_of(error)}") from error
    if len(content) > limit_bytes:
        raise InputError(f"{what} {path} is too large: at most {_size(limit_bytes)} is read")
    return content


def read_text(path: Path, what: str, limit_bytes: int = TEXT_LIMIT_BYTES) -> str:
    r"""The text of a regular UTF-8 file, without the byte order mark that some editors write.

    Line breaks of every kind become ``\n``.

    Raises:
        InputError: as :func:`read_bytes`, or the content is not UTF-8.
    """
    content = read_bytes(path, what, limit_bytes)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        kind = "UTF-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else f"not UTF-8 (byte {error.start})"
        raise InputError(f"{what} {path} is {kind}; save it as UTF-8") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def file_name(text: str) -> str:
    """A name for a file that any system takes, made of a text such as a case's id; unlike texts give unlike names.

    >>> file_name("v4-eager-fp32-b1-t9"), file_name("v4-x-level=../1")
    ('v4-eager-fp32-b1-t9', 'v4-x-level=.._1-bbcc3c2dd5')
    """
    safe = re.sub(r"[^0-9A-Za-z=+._-]", "_", text)[:NAME_LIMIT].lstrip(".-")
    if text and safe == text:
        return safe
    return f"{safe or 'case'}-{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:10]}"


def kind_of(path: Path, what: str) -> str | None:
    """What a path leads to: ``"a file"``, ``"a folder"``, ``"a pipe"``, ``"a device"``; None for nothing.

    Raises:
        InputError: it may not be looked at.
    """
    try:
        return _kind(path.stat())
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise InputError(f"{what} {path} {reason_of(error)}") from error


def reason_of(error: OSError | ValueError) -> str:
    """Why a file cannot be opened, to stand behind its name in a sentence."""
    if not isinstance(error, OSError):
        return "is no path"
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return "does not exist"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "may not be read by this user: permission denied"
    if error.errno == errno.ELOOP:
        return "is a symbolic link that leads back to itself"
    return f"cannot be read: {error.strerror or error}"


def _kind(status: os.stat_result) -> str:
    return next((name for test, name in _KINDS if test(status.st_mode)), "nothing to read")


def _check_kind(path: Path, what: str, status: os.stat_result) -> None:
    kind = _kind(status)
    if kind != "a file":
        raise InputError(f"{what} {path} is {kind}; give a regular file")


def _size(count: int) -> str:
    return f"{count / MIB:.1f} MiB" if count >= MIB else f"{count} bytes"
