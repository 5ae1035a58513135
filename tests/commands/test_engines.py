"""``engines list``, ``verify``, ``prune`` and ``clear``."""

from pathlib import Path

import pytest

from bench.cli import main
from bench.engine_cache import EngineCache

KEY = {"version": "v4", "backend": "tensorrt-onnx", "precision": "fp16", "shapes": "1x500", "weights": "w"}


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    """A cache with one engine."""
    cache = EngineCache(tmp_path / "engines", 2**30)
    cache.fetch(KEY, lambda: bytes(10_000))
    return cache


def test_the_command_line(cache: EngineCache, capsys: pytest.CaptureFixture[str]) -> None:
    """List names what is there, verify ends with 1 when something is wrong, prune and clear say what went."""
    folder = str(cache.folder)
    assert main(["engines", "list", "--folder", folder]) == 0
    assert "v4 tensorrt-onnx fp16 1x500" in capsys.readouterr().out
    assert main(["engines", "verify", "--folder", folder]) == 0
    [file] = cache.folder.glob("*.engine")
    file.write_bytes(file.read_bytes()[:-1] + b"1")
    assert main(["engines", "verify", "--folder", folder]) == 1
    assert "checksum is wrong" in capsys.readouterr().out
    assert main(["engines", "prune", "--folder", folder]) == 0
    assert f"removed {file.name}: its checksum is wrong" in capsys.readouterr().out
    cache.fetch(KEY, lambda: bytes(10_000))
    assert main(["engines", "clear", "--folder", folder]) == 0
    assert cache.entries() == []


def test_wrong_inputs_of_the_command_line(
    cache: EngineCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that is none and sizes that are none end with 2; a default folder that is not there yet is empty."""
    for arguments in (
        ["list", "--folder", str(tmp_path / "none")],
        ["prune", "--folder", str(cache.folder), "--limit-gib", "-1"],
        ["prune", "--folder", str(cache.folder), "--older-than-days", "nan"],
    ):
        assert main(["engines", *arguments]) == 2
        assert capsys.readouterr().err.startswith("error: ")
    monkeypatch.setenv("VOCODER_BENCH_ENGINES", str(tmp_path / "none"))
    assert main(["engines", "list"]) == 0
    assert "0 files" in capsys.readouterr().out
