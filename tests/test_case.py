"""A case has one stable, readable name and one baseline of each precision."""

import pickle

import pytest

from bench.case import Case, parse_case
from bench.errors import InputError

CASE = Case("v3", "tensorrt", "fp16", batch=4, frames=468)


def test_id_names_every_axis() -> None:
    """The id is the one that the documentation shows, with options behind it."""
    assert CASE.id == "v3-tensorrt-fp16-b4-t468"
    options = (("level", "1"), ("workspace_mib", "64"))
    assert (
        Case("v4", "tensorrt-onnx", "fp32", 1, 9, options).id == "v4-tensorrt-onnx-fp32-b1-t9-level=1-workspace_mib=64"
    )


def test_baseline_is_eager_at_the_same_shape() -> None:
    """A baseline keeps version, batch and frames and drops the backend's options."""
    case = Case("v4", "tensorrt-onnx", "fp16", 2, 23, (("level", "1"),))
    assert case.baseline("fp32") == Case("v4", "eager", "fp32", 2, 23)
    assert case.baseline("fp16").id == "v4-eager-fp16-b2-t23"


def test_cases_are_values() -> None:
    """Equal cases are one key, and a case survives the way to another process."""
    twin = Case("v3", "tensorrt", "fp16", 4, 468)
    assert len({CASE, twin}) == 1
    assert pickle.loads(pickle.dumps(CASE)) == CASE  # noqa: S301 - our own bytes


@pytest.mark.parametrize(
    "case",
    [
        Case("v3", "eager", "fp16", 1, 468),
        Case("v4", "tensorrt-onnx", "fp8", 4, 1000, (("cuda_graph", "on"), ("shapes", "1x9_1x23_1x99+1x100_1x500"))),
        Case("v3", "tensorrt-rtx", "fp16", 1, 23, (("activation", "ends-64"), ("float32", "conv_post|ups"))),
    ],
)
def test_an_id_reads_back(case: Case) -> None:
    """Whatever hyphens backends and values have."""
    assert parse_case(case.id) == case


@pytest.mark.parametrize(
    "text", ["", "v3-eager-fp16", "v3-eager-fp16-b1-t468-level", "x-eager-fp16-b1-t4", "v3-fp16-b1-t4"]
)
def test_what_is_no_id(text: str) -> None:
    """The sentence shows one."""
    with pytest.raises(InputError, match="is no case; an id reads like v3-eager-fp16-b1-t468"):
        parse_case(text)
