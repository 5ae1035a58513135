"""The fuzzer's watch: what it calls a fault, and what it does not."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.errors import InputError
from tests.fuzz import files, spoiling
from tests.fuzz.files import Target


def refuse() -> None:
    raise InputError("no.")


def crash() -> None:
    raise ValueError("a bug")


def leave() -> None:
    raise SystemExit(0)


@pytest.mark.parametrize(("read", "place"), [(refuse, None), (crash, "ValueError at ?"), (leave, "SystemExit at ?")])
def test_a_sentence_is_right_and_anything_else_a_finding(
    read: Callable[[], None], place: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the content that shows it, and a name that is the same for every file of one fault."""

    def make(folder: Path) -> Target:
        (folder / "x").write_bytes(b"good")
        return Target(folder / "x", read, lambda good, _: good + b"!")

    monkeypatch.setitem(files.MAKERS, "x", make)
    found = files.fuzz("x", tmp_path, rounds=3, seed=0)
    assert [(item.place, item.content) for item in found] == ([(place, b"good!")] * 3 if place else [])


def test_a_read_that_takes_long_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its processor time, which other work does not lengthen."""

    def work() -> None:
        end = time.process_time() + 0.05
        while time.process_time() < end:
            pass

    def make(folder: Path) -> Target:
        (folder / "x").write_bytes(b"")
        return Target(folder / "x", work)

    monkeypatch.setitem(files.MAKERS, "x", make)
    monkeypatch.setattr(files, "LIMIT_S", 0.04)
    assert [item.place for item in files.fuzz("x", tmp_path, rounds=1, seed=0)] == ["slow"]


@pytest.mark.parametrize(
    "kind", ["config's values", "odd audio", "sweep's values", "records' values", "guide's values"]
)
def test_files_are_spoiled_and_the_same_for_a_seed(kind: str) -> None:
    """A fault can be shown again from its kind, number and seed."""
    first, again, other = (files.content(kind, 1, seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_values_of_a_text_are_changed_in_place() -> None:
    """Of TOML and YAML the value goes and the key stays."""
    chance = files._chance("x", 0)
    toml = [spoiling.toml_values(b"a = 1 # one\nb = 2\n", chance) for _ in range(50)]
    assert all(line.startswith((b"a = ", b"b = ")) for text in toml for line in text.split(b"\n") if line)
    assert len(set(toml)) > 20
    assert len({spoiling.yaml_values(b"a: 1\nb:\n  c: 2\n", chance) for _ in range(50)}) > 20
