"""Files are there whole or as they were before, whatever stops the writing."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from bench.records.writing import append_line, write_whole


def full(*_: Any) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_file_is_replaced_and_keeps_its_mode(tmp_path: Path) -> None:
    """Also through a link, which stays one; a folder that is not there is made."""
    file, link = tmp_path / "new" / "x", tmp_path / "link"
    write_whole(file, "one")
    assert file.read_bytes() == b"one"
    file.chmod(0o640)
    link.symlink_to(file)
    write_whole(link, b"two")
    assert link.is_symlink()
    assert file.read_bytes() == b"two"
    assert file.stat().st_mode & 0o777 == 0o640
    assert list(file.parent.iterdir()) == [file]


def test_a_new_file_has_the_mode_that_the_user_gives_files(tmp_path: Path) -> None:
    """As the umask says, and not a temporary file's."""
    mask = os.umask(0o027)
    try:
        write_whole(tmp_path / "x", "")
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(mask)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640


def test_what_cannot_be_encoded_is_a_question_mark(tmp_path: Path) -> None:
    """A name that is not UTF-8 costs no report."""
    write_whole(tmp_path / "x", "a\udcffb")
    assert (tmp_path / "x").read_bytes() == b"a?b"


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing beside it."""
    file = tmp_path / "x"
    write_whole(file, "old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(file, "new")
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_device_is_written_and_not_replaced() -> None:
    """``/dev/null`` stays one."""
    write_whole(Path("/dev/null"), "x")
    assert Path("/dev/null").is_char_device()


def test_lines_are_appended_whole(tmp_path: Path) -> None:
    """One after the other; one that an earlier process left unfinished is closed first."""
    file = tmp_path / "x"
    append_line(file, "one")
    append_line(file, "two")
    assert file.read_bytes() == b"one\ntwo\n"
    file.write_bytes(b"one\ntw")
    append_line(file, "three")
    assert file.read_bytes() == b"one\ntw\nthree\n"


@pytest.mark.parametrize("name", ["write", "fsync"])
def test_a_line_that_does_not_fit_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Whether nothing or a part of it was written."""
    file = tmp_path / "x"
    append_line(file, "one")
    write = os.write
    stand_in = (lambda handle, data: write(handle, data[:2])) if name == "write" else full
    monkeypatch.setattr(os, name, stand_in)
    with pytest.raises(OSError, match="No space"):
        append_line(file, "two")
    assert file.read_bytes() == b"one\n"
