"""The sound suite runs where nothing may be written but a temporary folder."""

import os
from pathlib import Path

import pytest

from bench.quality import compiled


def test_a_folder_is_named_only_where_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The user's variable and the usual folders come first; otherwise a private folder of this process."""
    monkeypatch.setenv(compiled.VARIABLE, "/given")
    assert compiled.ensure_cache() is None
    monkeypatch.delenv(compiled.VARIABLE)
    monkeypatch.setattr(compiled, "_usual_folders", lambda: [tmp_path / "not" / "there" / "yet"])
    assert compiled.ensure_cache() is None
    monkeypatch.setattr(compiled, "_may_write", lambda _: False)
    folder = compiled.ensure_cache()
    assert folder is not None
    assert folder.stat().st_mode & 0o777 == 0o700
    assert os.environ[compiled.VARIABLE] == str(folder)
    folder.rmdir()


def test_the_usual_folders_are_numbas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside librosa's files, and the user's folder for caches where the user has a home."""
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert Path("/x/numba") in compiled._usual_folders()
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(os.path, "expanduser", lambda text: text)
    assert all(folder.is_absolute() for folder in compiled._usual_folders())
