"""What is the engine cache's own; anything else is never loaded and never removed.

That is a folder of the user's, closed to others, with a marker in it, and in it regular files of the user's, closed
to others, under the names that the cache gives.
"""

import os
import re
import stat
import tempfile
from pathlib import Path
from typing import BinaryIO

from bench.errors import shown

# https://bford.info/cachedir: backups leave such folders out. The second line says whose cache it is.
MARKER = "CACHEDIR.TAG"
_MARKER_TEXT = (
    b"Signature: 8a477f597d28d172789f06886806bc55\n"
    b"# gpt-sovits-vocoder-bench engine cache: made by `vocoder-bench`, which may remove its own files here\n"
)
NAME = re.compile(r"[0-9A-Za-z+_.-]{1,80}-[0-9a-f]{32}\.(engine|timing)")
# The second form is that of caches from before the marker.
TEMPORARY = re.compile(r"(writing-|tmp)[0-9a-z_]{8}\.tmp")
OTHERS, OTHERS_WRITE = 0o077, 0o022
# Symbolic links are not followed, and a pipe does not wait for its other end.
_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


class FaultyError(Exception):
    """What is wrong with a file."""


class ForeignError(FaultyError):
    """Why a file or folder is not the cache's own."""


def said(error: Exception) -> str:
    """An error, to stand in a sentence."""
    return shown(getattr(error, "strerror", None) or error)


def is_helper(name: str) -> bool:
    """Whether a name is that of a lock or of an unfinished file."""
    return bool(TEMPORARY.fullmatch(name)) or (name.endswith(".lock") and bool(NAME.fullmatch(name[: -len(".lock")])))


def check_own(status: os.stat_result, closed: int = OTHERS) -> None:
    """Raises where something is no regular file of the user's, closed to others.

    Args:
        status: Of the file.
        closed: The bits of its mode that must not be set.

    Raises:
        ForeignError: it is not the cache's own.
    """
    if not stat.S_ISREG(status.st_mode):
        raise ForeignError("it is no regular file")
    _check_owner(status)
    if status.st_mode & closed:
        raise ForeignError(f"it is open to other users (mode {stat.S_IMODE(status.st_mode):o}, not 600)")


def open_own(file: Path, closed: int = OTHERS) -> BinaryIO:
    """Opens one of the cache's own files to read; raises as :func:`check_own` for any other."""
    check_own(file.lstat(), closed)
    source = os.fdopen(os.open(file, os.O_RDONLY | _FLAGS), "rb")
    try:
        check_own(os.fstat(source.fileno()), closed)
    except BaseException:
        source.close()
        raise
    return source


def check_folder(folder: Path) -> None:
    """Raises where a folder is not the cache's own.

    Raises:
        ForeignError: it is not.
        FileNotFoundError: there is none.
        OSError: it may not be looked at.
    """
    status = folder.stat()
    if not stat.S_ISDIR(status.st_mode):
        raise ForeignError("it is not a folder")
    _check_owner(status)
    if _has_marker(folder):
        if status.st_mode & OTHERS:
            raise ForeignError(f"it is open to other users; chmod 700 {folder} after a look at what is in it")
        return
    names = sorted(file.name for file in folder.iterdir())
    strangers = [name for name in names if not (NAME.fullmatch(name) or is_helper(name))]
    if strangers:
        raise ForeignError(
            f"it holds other files, such as {strangers[0]}, and no marker {MARKER}; give an empty or a new folder"
        )
    if status.st_mode & OTHERS_WRITE and names:
        raise ForeignError(f"other users may write to it; chmod 700 {folder} after a look at what is in it")


def claim(folder: Path) -> None:
    """Makes the folder, closes it to others and marks it; raises as :func:`check_folder`."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_folder(folder)
    if _has_marker(folder):
        return
    folder.chmod(0o700)
    write_whole(folder / MARKER, _MARKER_TEXT)


def write_whole(file: Path, *parts: bytes) -> None:
    """Writes beside a file and puts it in its place; readable by the user alone.

    Raises:
        OSError: it cannot be written; nothing stays.
    """
    handle, temporary = tempfile.mkstemp(dir=file.parent, prefix="writing-", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as out:
            for part in parts:
                out.write(part)
            out.flush()
            os.fsync(out.fileno())
        Path(temporary).replace(file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _check_owner(status: os.stat_result) -> None:
    if hasattr(os, "geteuid") and status.st_uid != os.geteuid():
        raise ForeignError(f"it belongs to another user (uid {status.st_uid}, not {os.geteuid()})")


def _has_marker(folder: Path) -> bool:
    try:
        with open_own(folder / MARKER, OTHERS_WRITE) as source:
            return source.read(len(_MARKER_TEXT) + 1) == _MARKER_TEXT
    except (OSError, ForeignError):
        return False
