"""Every command that says something says it to programs too."""

import json
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pytest

from bench import cli
from bench.commands import doctor, write_json
from bench.commands.doctor import Diagnosis, Finding
from bench.engine_cache.cache import default_engine_cache
from tests.synthetic_records import sweep_records, write_run


@dataclass(frozen=True)
class Point:
    """Something to write."""

    place: Path
    sizes: MappingProxyType[str, int]


def test_values_arrive(capsys: pytest.CaptureFixture[str]) -> None:
    """Dataclasses are objects, paths texts; NaN is refused."""
    write_json([Point(Path("a/b"), MappingProxyType({"x": 1}))])
    assert json.loads(capsys.readouterr().out) == [{"place": "a/b", "sizes": {"x": 1}}]
    with pytest.raises(ValueError, match="JSON"):
        write_json(float("nan"))


def test_a_diagnosis(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Findings with level, text and remedy; the exit code stays."""
    monkeypatch.setattr(doctor, "diagnose", lambda: Diagnosis((Finding("bad", "no GPU", "buy one"),)))
    assert cli.main(["doctor", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found == {"findings": [{"level": "bad", "text": "no GPU", "remedy": "buy one"}], "fit_for_gpu": False}


def test_files_of_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The three files that were written, each of which is there."""
    run = write_run(tmp_path, sweep_records(versions=("v4",)))
    assert cli.main(["report", str(run), "--json"]) == 0
    files = json.loads(capsys.readouterr().out)
    assert set(files) == {"html", "summary", "csv"}
    assert all(Path(file).is_file() for file in files.values())


def test_kept_engines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The cache's folder, its limit and its entries."""
    folder = tmp_path / "cache"
    folder.mkdir()
    assert cli.main(["engines", "list", "--engine-cache", str(folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == {
        "folder": str(folder),
        "limit_bytes": default_engine_cache(str(folder)).limit_bytes,
        "entries": [],
    }
