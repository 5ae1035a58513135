"""A place for the functions that numba compiles for librosa, where nothing else may be written.

numba keeps them beside librosa's files or in the user's folder for caches, and refuses to import where both may not be
written, as in a container with an unknown user and packages of root. They are worth keeping for this process only.
"""

import atexit
import importlib.util
import os
import shutil
import tempfile
from pathlib import Path

VARIABLE = "NUMBA_CACHE_DIR"


def ensure_cache() -> Path | None:
    """Names a folder of this process to numba where it has none; removed at the end.

    Returns:
        The folder; None where numba has one.
    """
    if os.environ.get(VARIABLE) or any(_may_write(folder) for folder in _usual_folders()):
        return None
    folder = Path(tempfile.mkdtemp(prefix="vocoder-bench-numba-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ[VARIABLE] = str(folder)
    return folder


def _usual_folders() -> list[Path]:
    found = importlib.util.find_spec("librosa")
    beside = [Path(place) / "__pycache__" for place in (found.submodule_search_locations or [])] if found else []
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 - no home is no error
    return [*beside, Path(cache) / "numba"] if Path(cache).is_absolute() else beside


def _may_write(folder: Path) -> bool:
    """Whether a folder may be written, or made where it is not there yet."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return os.access(folder, os.W_OK | os.X_OK)
