"""``engines list``, ``verify``, ``prune`` and ``clear``."""

from pathlib import Path

import pytest

from bench.cli import main
from bench.engine_cache import MARKER, EngineCache

KEY = {"version": "v4", "backend": "tensorrt-onnx", "precision": "fp16", "shapes": "1x500", "weights": "w"}
PLAN = bytes(10_000)
FOREIGN = ("poetry.lock", "Cargo.lock", "notes.tmp", "model.engine", "kernels.timing", "x.engine.lock")


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    """A cache with one engine."""
    cache = EngineCache(tmp_path / "engines", 2**30)
    cache.fetch(KEY, lambda: PLAN)
    return cache


def test_the_command_line(cache: EngineCache, capsys: pytest.CaptureFixture[str]) -> None:
    """List names what is there, verify ends with 1 when something is wrong, prune and clear say what went."""
    folder = str(cache.folder)
    for option in ("--engine-cache", "--folder"):
        assert main(["engines", "list", option, folder]) == 0
        assert "v4 tensorrt-onnx fp16 1x500" in capsys.readouterr().out
    assert main(["engines", "verify", "--engine-cache", folder]) == 0
    [file] = cache.folder.glob("*.engine")
    file.write_bytes(file.read_bytes()[:-1] + b"1")
    assert main(["engines", "verify", "--engine-cache", folder]) == 1
    assert "checksum is wrong" in capsys.readouterr().out
    assert main(["engines", "prune", "--engine-cache", folder]) == 0
    assert f"removed {file.name}: its checksum is wrong" in capsys.readouterr().out
    cache.fetch(KEY, lambda: PLAN)
    assert main(["engines", "clear", "--engine-cache", folder]) == 0
    assert cache.entries() == []


def test_wrong_inputs_of_the_command_line(
    cache: EngineCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that is none and sizes that are none end with 2; a default folder that is not there yet is empty."""
    for arguments in (
        ["list", "--engine-cache", str(tmp_path / "none")],
        ["prune", "--engine-cache", str(cache.folder), "--limit-gib", "-1"],
        ["prune", "--engine-cache", str(cache.folder), "--older-than-days", "nan"],
    ):
        assert main(["engines", *arguments]) == 2
        assert capsys.readouterr().err.startswith("error: ")
    monkeypatch.setenv("VOCODER_BENCH_ENGINES", str(tmp_path / "none"))
    assert main(["engines", "list"]) == 0
    assert "0 files" in capsys.readouterr().out


def test_a_folder_that_is_no_cache_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In somebody's project no verb of the command removes or adds a file, and a fetch keeps nothing there."""
    for name in FOREIGN:
        (tmp_path / name).write_text("precious")
    for verb in ("list", "verify", "prune", "clear"):
        assert main(["engines", verb, "--engine-cache", str(tmp_path)]) == 2
        assert "holds other files" in capsys.readouterr().err
    found = EngineCache(tmp_path, 0).fetch(KEY, lambda: PLAN)
    assert (found.plan, found.file) == (PLAN, None)
    assert "holds other files" in found.note
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(FOREIGN)


def test_foreign_files_in_a_cache_stay(cache: EngineCache, capsys: pytest.CaptureFixture[str]) -> None:
    """Names that the cache does not give are named and left by prune, the limit and clear, which end with 1."""
    for name in FOREIGN:
        (cache.folder / name).write_text("precious")
    (cache.folder / "folder.engine").mkdir()
    for arguments in (["prune", "--limit-gib", "0", "--older-than-days", "0"], ["clear"]):
        assert main(["engines", *arguments, "--engine-cache", str(cache.folder)]) == 1
        said = capsys.readouterr().out
        assert all(f"left {name}: not the cache's own" in said for name in (*FOREIGN, "folder.engine"))
    kept = {file.name for file in cache.folder.iterdir()}
    assert kept == {*FOREIGN, "folder.engine", MARKER}
    assert main(["engines", "verify", "--engine-cache", str(cache.folder)]) == 1
    assert main(["engines", "list", "--engine-cache", str(cache.folder)]) == 0


def test_what_cannot_be_removed_is_named(
    cache: EngineCache, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A removal that the system refuses is a line and exit code 1, and the others still go."""
    [stuck] = cache.folder.glob("*.engine")
    cache.fetch({**KEY, "weights": "v"}, lambda: PLAN)
    unlink = Path.unlink

    def refuse(self: Path, missing_ok: bool = False) -> None:
        if self == stuck:
            raise PermissionError(1, "Operation not permitted")
        unlink(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    assert main(["engines", "clear", "--engine-cache", str(cache.folder)]) == 1
    assert f"left {stuck.name}: it cannot be removed: Operation not permitted" in capsys.readouterr().out
    assert list(cache.folder.glob("*.engine")) == [stuck]


def test_names_and_keys_are_shown_without_control_characters(
    cache: EngineCache, capsys: pytest.CaptureFixture[str]
) -> None:
    """An escape sequence, an undecodable byte or a lone surrogate in a name or key reaches no terminal."""
    cache.fetch({**KEY, "shapes": "\x1b[31m\udcc3"}, lambda: PLAN)
    (cache.folder / "\x1b[31m\udcc3.engine").write_text("")
    for verb in ("list", "verify", "clear"):
        main(["engines", verb, "--engine-cache", str(cache.folder)])
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    assert "[31m" in said.out
