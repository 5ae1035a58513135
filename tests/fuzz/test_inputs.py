"""Whatever a file holds, its reader answers or says one sentence; ``python tools/fuzz.py`` goes on for longer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.case import Case
from bench.errors import InputError
from bench.files import file_name
from bench.measure.sampling import StopRule
from bench.run.sweep import Profile
from bench.vocoders.bigvgan import MAX_UPSAMPLE, BigVganConfig
from tests.conftest import SMALL_V3
from tests.fuzz import files

QUICK = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
T = TypeVar("T")


def answer(read: Callable[[], T]) -> tuple[T | None, str]:
    """What a reader answers, or the sentence that it refuses with."""
    try:
        return read(), ""
    except InputError as error:
        return None, str(error)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@QUICK
@given(field=st.sampled_from(sorted(SMALL_V3)), value=JSON)
def test_any_value_of_any_field_of_a_config(field: str, value: object) -> None:
    """A configuration is a network of bounded size or one sentence that names the field or the rule."""
    config, sentence = answer(lambda: BigVganConfig.from_json({**SMALL_V3, field: value}))
    if config is None:
        assert sentence.startswith("config.json")
        return
    assert 1 <= config.spec.upsample <= MAX_UPSAMPLE
    assert config.upsample_initial_channel <= 4096


@QUICK
@given(axis=st.sampled_from(["versions", "backends", "precisions", "batches", "frames"]), values=st.lists(JSON))
def test_any_list_of_any_axis_of_a_sweep(axis: str, values: list[object]) -> None:
    """A sweep's lists become cases of bounded shape or one sentence."""
    grid: dict[str, list[Any]] = {
        "versions": ["v4"],
        "backends": ["eager"],
        "precisions": ["fp32"],
        "batches": [1],
        "frames": [9],
    }
    cases, sentence = answer(Profile("one", ({**grid, axis: values},), StopRule()).cases)
    assert sentence.isprintable()
    assert all(case.batch <= 1024 and case.frames <= 200_000 for case in cases or [])


@QUICK
@given(st.text(max_size=400))
def test_any_option_makes_a_file_name(text: str) -> None:
    """Of one part, short, and free of what no file may be called."""
    name = file_name(Case("v4", "eager", "fp32", 1, 9, (("level", text),)).id)
    assert len(name.encode()) < 200
    assert Path(name).name == name


@pytest.mark.parametrize("kind", [kind for kind in files.KINDS if kind not in files.SLOW])
def test_changed_files_of_every_kind(kind: str, tmp_path: Path) -> None:
    """Bytes changed, cut, repeated and swapped for extremes."""
    assert files.fuzz(kind, tmp_path, rounds=8, seed=0) == []
