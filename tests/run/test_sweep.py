"""Profiles and command-line lists become cases, and mistakes in them one sentence."""

import os
from pathlib import Path
from typing import Any

import pytest

from bench.backends import backends, find_backend
from bench.case import Case
from bench.errors import InputError
from bench.measure.sampling import StopRule
from bench.run.sweep import Profile, load_profile, parse_backend, profile_directory
from bench.trt.shapes import parse_shapes

GRID: dict[str, list[Any]] = {
    "versions": ["v3", "v4"],
    "precisions": ["fp32"],
    "batches": [1, 4],
    "frames": ["t_ref", 9],
}


def profile(**changes: list[Any]) -> Profile:
    """A profile of one grid over eager."""
    return Profile("one", ({"backends": ["eager"], **GRID, **changes},), StopRule())


def test_grid_is_a_product_with_each_version_s_lengths() -> None:
    """Every combination is a case once, and named lengths are GPT-SoVITS's for that version."""
    ids = [case.id for case in profile().cases()]
    assert len(ids) == len(set(ids)) == 2 * 1 * 2 * 2
    assert {"v3-eager-fp32-b1-t468", "v4-eager-fp32-b1-t500", "v4-eager-fp32-b4-t9"} <= set(ids)
    chunk = {case.id for case in profile(frames=["t_chunk"], batches=[1]).cases()}
    assert chunk == {"v3-eager-fp32-b1-t934", "v4-eager-fp32-b1-t1000"}


def test_a_grid_without_backends_runs_them_all() -> None:
    """Leaving out backends means every registered one but those that wait to be named."""
    cases = Profile("one", (GRID,), StopRule()).cases({"versions": ["v3"], "frames": ["9"], "batches": ["1"]})
    assert [case.backend for case in cases] == [name for name, found in backends().items() if not found.on_request]


def test_a_case_in_two_grids_runs_once() -> None:
    """Overlapping grids do not repeat cases."""
    one = profile()
    assert Profile("two", one.grids * 2, StopRule()).cases() == one.cases()


def test_lists_take_an_axis_s_place() -> None:
    """A list from the command line replaces that axis, as text, and leaves the others."""
    cases = profile().cases({"versions": ["v4"], "batches": ["2"], "frames": ["t_ref", "23"]})
    assert [case.id for case in cases] == ["v4-eager-fp32-b2-t500", "v4-eager-fp32-b2-t23"]


def test_options_belong_to_a_backend() -> None:
    """Options are sorted into the case, so that their order on the command line makes no other case."""
    wanted = ("tensorrt-onnx", (("level", "1"), ("workspace_mib", "64")))
    assert parse_backend("tensorrt-onnx:workspace_mib=64:level=1") == wanted
    assert parse_backend("eager") == ("eager", ())
    [case] = profile().cases(
        {"versions": ["v3"], "batches": ["1"], "frames": ["9"], "backends": ["tensorrt-onnx:level=1"]}
    )
    assert case == Case("v3", "tensorrt-onnx", "fp32", 1, 9, (("level", "1"),))


@pytest.mark.parametrize(
    "text", ["eager:level=1", "tensorrt-onnx:level", "tensorrt-onnx:level=", "tensorrt-onnx:speed=9"]
)
def test_unknown_options(text: str) -> None:
    """An option that the backend does not have, or without a value, is named."""
    with pytest.raises(InputError, match=f"backend {text.partition(':')[0]} has no option"):
        parse_backend(text)


@pytest.mark.parametrize(
    ("axis", "value", "message"),
    [
        ("versions", "v5", "unknown version 'v5'; choose from v3, v4"),
        ("backends", "onnx", "unknown backend 'onnx'; choose from eager, "),
        ("precisions", "fp4", "unknown precision 'fp4'; choose from fp32, "),
        ("frames", "0", "frames are whole numbers from 1, not '0'"),
        ("frames", "-9", "frames are whole numbers from 1, not '-9'"),
        ("frames", "1.5", "frames are whole numbers from 1, not '1.5'"),
        ("frames", "many", "frames are whole numbers from 1, not 'many'"),
        ("batches", "0", "batches are whole numbers from 1, not '0'"),
        ("batches", 2.5, "batches are whole numbers from 1, not 2.5"),
        ("batches", float("inf"), "batches are whole numbers from 1, not inf"),
        ("batches", float("nan"), "batches are whole numbers from 1, not nan"),
        ("batches", True, "batches are whole numbers from 1, not True"),
        ("batches", 2000, "batches are at most 1024, not 2000"),
        ("frames", 10**12, "frames are at most 200000, not 1000000000000"),
        ("frames", "9" * 5000, "frames are whole numbers from 1, not '999"),
        ("frames", [9], "frames are whole numbers from 1, not [9]"),
        ("frames", None, "frames are whole numbers from 1, not None"),
        ("versions", 3, "unknown version 3; choose from v3, v4"),
        ("versions", ["v3"], "unknown version ['v3']"),
        ("precisions", 32, "precisions are names such as fp32, not 32"),
        ("backends", 1, "backends are names such as eager, not 1"),
        ("backends", {"eager": 1}, "backends are names such as eager, not {"),
    ],
)
def test_wrong_values_are_named(axis: str, value: Any, message: str) -> None:
    """A value that names nothing, or is no positive whole number, is one sentence with the value."""
    with pytest.raises(InputError) as caught:
        profile().cases({axis: [value]})
    assert str(caught.value).startswith(message)


def test_shapes_asks_about_ranges_only() -> None:
    """Every case of the profile is an engine for a range, inside it, at, below and above its optimum."""
    cases = load_profile("shapes").cases()
    assert all(find_backend(case.backend).static_baseline(case) for case in cases)
    for case in cases:
        shapes = parse_shapes(dict(case.options)["shapes"], (case.batch, case.frames))
        assert shapes.pick((case.batch, case.frames)) is not None
    assert {100, 500, 2000} <= {case.frames for case in cases if dict(case.options)["shapes"] == "dynamic"}


@pytest.mark.parametrize("name", ["smoke", "standard", "full", "nightly"])
def test_carried_profiles_load(name: str) -> None:
    """The four profiles of everything hold both vocoders over every backend; short ones do not wait for a compiler."""
    loaded = load_profile(name)
    cases = loaded.cases()
    assert loaded.name == name
    assert {case.version for case in cases} == {"v3", "v4"}
    waiting = {backend for backend, found in backends().items() if found.on_request}
    assert waiting == {"compile"}
    assert set(backends()) - {case.backend for case in cases} == (waiting if name in ("smoke", "nightly") else set())
    assert (profile_directory() / f"{name}.toml").is_file()


def test_full_covers_chunks_references_and_long_utterances() -> None:
    """The full profile has streaming chunks, GPT-SoVITS's two lengths and utterances beyond them."""
    frames = {case.frames for case in load_profile("full").cases() if case.version == "v3"}
    assert {9, 23, 47, 468, 934} <= frames
    assert max(frames) >= 2 * 934


def test_a_profile_from_a_path(tmp_path: Path) -> None:
    """A profile of one's own is named by its path and may set the stop rule."""
    file = tmp_path / "mine.toml"
    file.write_text(
        '[[grid]]\nversions = ["v3"]\nbackends = ["eager"]\nprecisions = ["fp32"]\nbatches = [1]\nframes = [9]\n'
        "[stop]\nmin_rounds = 3\ntime_limit_s = 1.5\n",
        encoding="utf-8",
    )
    loaded = load_profile(str(file))
    assert [case.id for case in loaded.cases()] == ["v3-eager-fp32-b1-t9"]
    assert loaded.stop == StopRule(min_rounds=3, time_limit_s=1.5)


_GOOD = '[[grid]]\nversions = ["v3"]\nprecisions = ["fp32"]\nbatches = [1]\nframes = [9]\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("grid = [", "cannot be read"),
        ("", "has no [[grid]]"),
        ("grid = []", "has no [[grid]]"),
        ("grid = [1]", "has no [[grid]]"),
        (_GOOD + 'colours = ["red"]\n', "an unknown axis 'colours'"),
        (_GOOD.replace("frames = [9]\n", ""), "no frames"),
        (_GOOD.replace("[9]", "9"), "an unknown axis 'frames'; axes are lists"),
        (_GOOD + "[stop]\npatience = 1\n", "[stop] has no field 'patience'"),
        (_GOOD + '[stop]\nmin_rounds = "ten"\n', "[stop]"),
        (_GOOD + "[stop]\nmin_rounds = 0\n", "a stop rule needs"),
        ("stop = 3\n" + _GOOD, "[stop]"),
        (_GOOD + "[stop]\ntime_limit_s = nan\n", "[stop] time_limit_s is a number from 0 to 86400, not nan"),
        (_GOOD + "[stop]\nrelative_width = inf\n", "[stop] relative_width"),
        (_GOOD + "[stop]\nmin_time_s = nan\n", "[stop] min_time_s"),
        (_GOOD + "[stop]\nmax_rounds = 1000000000000\n", "[stop] max_rounds is a whole number from 0 to 1e+06"),
        (_GOOD + "[stop]\nmax_rounds = 10.5\n", "[stop] max_rounds is a whole number"),
        (_GOOD + f"[stop]\nmax_rounds = {'9' * 4000}\n", "[stop] max_rounds"),
        (_GOOD + "[stop]\nmin_rounds = true\n", "[stop] is a table of numbers"),
        ("a = " + "[" * 5000, "cannot be read"),
    ],
)
def test_unusable_profiles(tmp_path: Path, text: str, message: str) -> None:
    """A profile that cannot be used is one sentence that says what is wrong with it."""
    file = tmp_path / "mine.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_profile(str(file))
    assert message in str(caught.value)


def test_unknown_profile() -> None:
    """A profile that does not exist is answered with those that do."""
    with pytest.raises(InputError, match="choose from full, nightly, shapes, smoke, standard"):
        load_profile("gigantic")


def test_a_grid_of_too_many_cases_is_refused() -> None:
    """Lists that multiply to millions end before the first case is made."""
    with pytest.raises(InputError, match="a grid of 1000000 cases; at most"):
        profile(versions=["v3"], batches=[1] * 1000, frames=[9] * 1000).cases()


def test_a_profile_is_a_file_and_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte order mark and a home folder's ~ are read; a device, a pipe, a folder and another encoding are named."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.toml").write_bytes(b"\xef\xbb\xbf" + _GOOD.replace("\n", "\r\n").encode())
    assert load_profile("~/mine.toml").name == "mine"
    (tmp_path / "zero.toml").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "wide.toml").write_bytes(_GOOD.encode("utf-16"))
    (tmp_path / "large.toml").write_bytes(b"#" * (5 << 20))
    for name, said in (
        ("zero", "is a device"),
        ("pipe", "is a pipe"),
        ("folder", "is a folder"),
        ("wide", "is UTF-16; save it as UTF-8"),
        ("large", "is too large"),
        ("none", "does not exist"),
    ):
        with pytest.raises(InputError, match=said):
            load_profile(str(tmp_path / f"{name}.toml"))
    with pytest.raises(InputError, match=r"unknown profile '\.\./profiles/smoke'"):
        load_profile("../profiles/smoke")
