"""Files written whole: beside their name first, then moved there, so that a kill or a full disk leaves the old one."""

import contextlib
import os
import tempfile
from pathlib import Path


def write_whole(file: Path, content: str | bytes) -> None:
    """Writes a file that is there whole or as it was before. The folder is made where there is none.

    Args:
        file: Where; a symbolic link is followed.
        content: Text is written as UTF-8, what cannot be encoded as ``?``.

    Raises:
        OSError: it cannot be written; nothing stays beside the old file.
    """
    data = content if isinstance(content, bytes) else content.encode("utf-8", "replace")
    target = file.resolve()
    if target.exists() and not target.is_file():
        # A device, such as /dev/null or a terminal, has nothing to lose and cannot be replaced.
        target.write_bytes(data)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask()
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        Path(temporary).chmod(mode)
        Path(temporary).replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink(missing_ok=True)
        raise


def append_line(file: Path, line: str) -> None:
    """Appends one line and waits until it is on disk: the whole of it or nothing.

    A line that an earlier process left unfinished is closed first, so that it spoils no other.

    Raises:
        OSError: it cannot be written; the file is as it was.
    """
    handle = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        size = os.fstat(handle).st_size
        torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
        data = b"\n" * torn + line.encode() + b"\n"
        try:
            if os.write(handle, data) != len(data):
                raise OSError(28, "No space left on device")
            os.fsync(handle)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(handle, size)
            raise
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
