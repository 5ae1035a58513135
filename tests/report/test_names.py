"""Short names and styles of configurations."""

import doctest
from dataclasses import replace

import pytest

import bench.report.names
from bench.backends import backends
from bench.case import Case, configuration
from bench.precision import PRECISIONS
from bench.report.names import short_name, short_names, style

CASE = Case("v3", "tensorrt-onnx", "fp16", 1, 468)
TACTICS = ("tactics", "edge_mask_convolutions+jit_convolutions")


def test_the_examples_are_true() -> None:
    """The examples of the docstrings give what they say."""
    result = doctest.testmod(bench.report.names)
    assert (result.failed, result.attempted > 0) == (0, True)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ((("cuda_graph", "on"), ("level", "1"), TACTICS), "TensorRT fp16, level 1, CUDA graph"),
        ((("shapes", "1x100_1x468_4x2000"), ("streams", "2")), "TensorRT fp16, lengths 100 to 2000, 2 streams"),
        ((("shapes", "dynamic"),), "TensorRT fp16, any length"),
        ((("shapes", "what<ever"),), "TensorRT fp16, lengths what<ever"),
        ((("new", "thing"),), "TensorRT fp16, new thing"),
    ],
)
def test_a_name_says_what_matters_in_words(options: tuple[tuple[str, str], ...], name: str) -> None:
    """Options are words, tactics are left out, and an option that nobody knows stands as it is."""
    assert short_name(replace(CASE, options=options)) == name


def test_names_of_one_page_never_meet() -> None:
    """What a short name leaves out comes back where two would be the same, to the full id if it must."""
    cases = [CASE, replace(CASE, options=(TACTICS,)), replace(CASE, options=(("shapes", "dynamic"),))]
    names = short_names(cases)
    assert len(set(names.values())) == 3
    assert names[configuration(cases[2])] == "TensorRT fp16, any length"
    strange = [replace(CASE, options=(("shapes", "1x9_1x9_1x9"),)), replace(CASE, options=(("shapes", "1x9_1x9_2x9"),))]
    assert list(short_names(strange).values()) == [configuration(case) for case in strange]


def test_every_backend_and_precision_has_its_own_style() -> None:
    """A colour belongs to a family and a marker to a precision, whatever else a page shows."""
    families = {name: style(Case("v3", name, "fp16", 1, 9)) for name in backends()}
    muted = style(Case("v3", "no-such-backend", "fp16", 1, 9)).colour
    assert all(drawn.colour != muted for drawn in families.values())
    assert len({drawn.colour for name, drawn in families.items() if not name.startswith("tensorrt")}) == len(
        [name for name in families if not name.startswith("tensorrt")]
    )
    assert len({style(Case("v3", "eager", name, 1, 9)).shape for name in PRECISIONS}) == len(PRECISIONS)
