"""Files and paths of a user: what they are is said, and no more is read than a limit."""

import os
from pathlib import Path

import pytest

from bench import files
from bench.errors import InputError, shown
from bench.files import file_name, open_regular, read_bytes, read_text, user_path, user_paths


def test_a_path_may_begin_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """~ is the home folder; a home that is not there is one sentence."""
    monkeypatch.setenv("HOME", "/somewhere")
    assert user_path("~/runs") == Path("/somewhere/runs")
    assert user_path(Path("~/runs")) == Path("/somewhere/runs")
    assert user_path("a~b") == Path("a~b")
    with pytest.raises(InputError, match="no such home folder"):
        user_path("~nobody-of-this-name/x", "--weights")
    for wrong in ("", "a\0b"):
        with pytest.raises(InputError, match="--weights is"):
            user_path(wrong, "--weights")


def test_a_path_with_a_comma_that_exists_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise commas part paths."""
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / "a,b"
    folder.mkdir()
    assert user_paths(str(folder), "--weights") == [folder]
    assert user_paths("~/a,b", "--weights") == [folder]
    assert user_paths("~/a, c,", "--weights") == [tmp_path / "a", Path("c")]
    for empty in ("", " ", ",,"):
        with pytest.raises(InputError, match="--weights is an empty list"):
            user_paths(empty, "--weights")


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    """A pipe without a writer, a device without an end and a folder end at once."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "link").symlink_to("/dev/zero")
    for path, said in (
        (tmp_path / "pipe", "is a pipe"),
        (tmp_path / "loop", "leads back to itself"),
        (tmp_path / "link", "is a device"),
        (tmp_path, "is a folder"),
        (tmp_path / "none", "does not exist"),
        (tmp_path / ("x" * 300), "cannot be read: File name too long"),
    ):
        for read in (read_text, read_bytes, open_regular):
            with pytest.raises(InputError, match=said) as caught:
                read(path, "profile")
            assert str(caught.value).startswith("profile ")


def test_a_limit_holds_for_a_file_whose_size_is_not_said() -> None:
    """Files of /proc say that they have no bytes."""
    path = Path("/proc/self/maps")
    if not path.exists():
        pytest.skip("no /proc here")
    with pytest.raises(InputError, match="too large"):
        read_bytes(path, "profile", 100)


def test_text_is_utf8_with_any_line_break(tmp_path: Path) -> None:
    """A byte order mark is left out; another encoding is named with what to do."""
    file = tmp_path / "x"
    file.write_bytes(b"\xef\xbb\xbfa\r\nb\rc\n")
    assert read_text(file, "profile") == "a\nb\nc\n"
    file.write_bytes("a".encode("utf-16"))
    with pytest.raises(InputError, match="is UTF-16; save it as UTF-8"):
        read_text(file, "profile")
    file.write_bytes(b"ab\xff")
    with pytest.raises(InputError, match=r"is not UTF-8 \(byte 2\)"):
        read_text(file, "profile")


def test_a_sentence_is_one_line_of_a_bounded_length() -> None:
    """Whatever it quotes: line breaks, escapes, undecodable bytes, direction marks, and a hundred thousand letters."""
    sentence = str(InputError("a\nb\x1b[31m\udcc3\u202e\u2028c" + "x" * 100_000))
    assert sentence.isprintable()
    assert len(sentence) <= 2000
    sentence.encode()
    assert sentence.startswith("a b\ufffd[31m\ufffd\ufffd c")
    assert shown("日本語 é") == "日本語 é"


def test_file_names_are_short_and_unlike() -> None:
    """Ordinary ids stay as they are."""
    ordinary = "v4-tensorrt-onnx-int8-b1-t500-cuda_graph=on-level=1-tactics=a+b"
    assert file_name(ordinary) == ordinary
    names = [file_name(text) for text in ("a/b", "a_b", "a?b", "x" * 400, "x" * 401, ".", "..", "-x", "")]
    assert len(set(names)) == len(names)
    assert all(len(name) < 200 and "/" not in name and name[0] not in ".-" for name in names)


def test_a_user_without_a_home_has_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the platform's folder cannot be told, there is none, instead of an error of a library."""

    def homeless(_: str) -> str:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr(files, "user_cache_dir", homeless)
    assert files.cache_folder("engines") is None
    monkeypatch.setattr(files, "user_cache_dir", lambda name: f"~/{name}")
    assert files.cache_folder("engines") is None
    monkeypatch.setattr(files, "user_cache_dir", lambda name: f"/cache/{name}")
    assert files.cache_folder("engines") == Path("/cache/gpt-sovits-vocoder-bench/engines")
