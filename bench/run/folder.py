"""The folder of a run: reserved before anything is measured, and written by one sweep at a time."""

import contextlib
import fcntl
import os
from datetime import datetime
from pathlib import Path

from bench.errors import InputError
from bench.records.schema import FILE_NAME
from bench.run.run_id import run_ids

_LOCK = ".lock"


class RunFolder:
    """A run's folder, locked.

    Attributes:
        directory: The folder.
        fresh: Whether this sweep made it.
    """

    def __init__(self, directory: Path, *, fresh: bool) -> None:
        self.directory, self.fresh = directory, fresh
        self._lock: int | None = None

    @classmethod
    def reserve(cls, results: Path, now: datetime) -> "RunFolder":
        """Makes a folder that no other run has, and tries whether files can be written there.

        Args:
            results: Directory of all runs.
            now: The present, in UTC.

        Raises:
            InputError: nothing can be written there.
        """
        try:
            results.mkdir(parents=True, exist_ok=True)
            for name in run_ids(now):
                with contextlib.suppress(FileExistsError):
                    (results / name).mkdir()
                    break
            folder = cls(results / name, fresh=True)
            folder.lock()
            (folder.directory / FILE_NAME).touch()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise InputError(f"cannot write to {results}: {reason}; give another folder with --results") from error
        return folder

    @classmethod
    def reopen(cls, directory: Path) -> "RunFolder":
        """Takes a run up again.

        Raises:
            InputError: it cannot be written, or another sweep writes it.
        """
        folder = cls(directory, fresh=False)
        try:
            folder.lock()
        except OSError as error:
            raise InputError(f"cannot write to {directory}: {error.strerror}") from error
        return folder

    def lock(self) -> None:
        """Keeps other sweeps out until :meth:`release` or the end of the process.

        Raises:
            InputError: another sweep holds it.
            OSError: nothing can be written there.
        """
        handle = os.open(self.directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise InputError(f"another sweep writes {self.directory} at the moment; wait for its end") from None
        self._lock = handle

    def release(self, *, drop: bool = False) -> None:
        """Lets others in.

        Args:
            drop: Whether to remove the folder that this sweep made, where it holds no record.
        """
        with contextlib.suppress(OSError):
            (self.directory / _LOCK).unlink()
            records = self.directory / FILE_NAME
            if drop and self.fresh and records.stat().st_size == 0:
                records.unlink()
                self.directory.rmdir()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
