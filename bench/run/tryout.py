"""Tries out, in a copy of this process, what runs code of backends before any case does.

A backend's file may end the process as it is imported, and so may its ``check``. The copy does the same steps first; a
step that ends it, or takes too long, is left out here, and its cases become rows that say so.
"""

import contextlib
import faulthandler
import os
import select
import signal
import sys
import time
import warnings
from collections.abc import Callable

from bench import backends
from bench.errors import InputError

# Longest import or check of a backend.
STEP_S = 120.0


def try_out(work: Callable[[], object], limit_s: float = STEP_S) -> None:
    """Does ``work`` in copies of this process until one survives; guilty steps are excluded by then.

    Args:
        work: Imports and checks backends; what it raises is left to the caller's own call.
        limit_s: Seconds after which a step counts as hanging.
    """
    while (guilty := _attempt(work, limit_s)) is not None:
        backends.exclude(*guilty)


def _attempt(work: Callable[[], object], limit_s: float) -> tuple[str, str, str] | None:
    """The step, the name and how the copy ended; None where it survived."""
    read, write = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        # Python warns that threads are not copied; the copy starts none of them.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        _copy(work, read, write)
    os.close(write)
    try:
        steps, hangs = _listen(read, limit_s)
    except BaseException:
        _end(pid)
        raise
    finally:
        os.close(read)
    if steps and steps[-1] == "done":
        _end(pid)
        return None
    status = _end(pid) if hangs else os.waitpid(pid, 0)[1]
    step, _, name = (steps[-1] if steps else "").partition(" ")
    if step not in ("import", "check"):
        # It ended elsewhere: the caller meets that itself.
        return None
    how = f"it took longer than {limit_s:g} s" if hangs else f"it ended the process by {_how(status)}"
    return step, name, how


def _copy(work: Callable[[], object], read: int, write: int) -> None:
    """The copy's life; never returns."""
    code = 1
    try:
        os.close(read)
        faulthandler.disable()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        silent = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(silent, descriptor)
        backends.listen(lambda step, name: _say(write, f"{step} {name}"))
        with contextlib.suppress(InputError):
            work()
        _say(write, "done")
        code = 0
    finally:
        os._exit(code)


def _say(write: int, line: str) -> None:
    os.write(write, f"{line}\n".encode())


def _listen(read: int, limit_s: float) -> tuple[list[str], bool]:
    """The steps that the copy began, and whether the last one hangs."""
    text, deadline = b"", time.monotonic() + limit_s
    while not text.endswith(b"done\n"):
        ready, _, _ = select.select([read], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return text.decode().split("\n")[:-1], True
        data = os.read(read, 1 << 16)
        if not data:
            break
        text, deadline = text + data, time.monotonic() + limit_s
    return text.decode().split("\n")[:-1], False


def _end(pid: int) -> int:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]


def _how(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exit status {code}"
    with contextlib.suppress(ValueError):
        return f"signal {signal.Signals(-code).name}"
    return f"signal {-code}"
