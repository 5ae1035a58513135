"""What a figure is, stands once: beside its field."""

import doctest

import pytest

import bench.compare.thresholds
import bench.records.facts
from bench.case import Case
from bench.compare.thresholds import load_thresholds
from bench.errors import InputError
from bench.quality import METRICS
from bench.quality.verdict import HIGHER_IS_BETTER
from bench.records.facts import HIGHER, LOWER, facts_of, find_facts, value_at
from bench.records.schema import Build, Record, Sound, Speed, break_even_inferences
from tests.synthetic_records import speed_of, speed_record

CASE = Case("v3", "tensorrt", "fp16", 1, 468)


def test_the_example_is_true() -> None:
    """The example of the module gives what it says."""
    assert doctest.testmod(bench.records.facts).failed == 0


def test_every_figure_of_the_speed_says_what_it_is() -> None:
    """Units agree with the names of the fields, and every duration and byte is the better the lower."""
    units = {"_ms": "ms", "_s": "s", "_bytes": "bytes", "_db": "dB", "_lu": "LU"}
    for kind in (Speed, Sound, Build):
        for path, facts in facts_of(kind).items():
            if path.endswith("_per_s"):
                assert facts.better is HIGHER
                continue
            for ending, unit in units.items():
                if path.endswith(ending):
                    assert facts.unit == unit, path
            if facts.unit in ("ms", "s", "bytes"):
                assert facts.better is LOWER, path


def test_comparisons_and_verdicts_read_the_same_facts() -> None:
    """Thresholds have their unit and direction from the field, as the verdict has."""
    metrics = load_thresholds().metrics
    assert (metrics["time"].unit, metrics["time"].higher_is_better) == ("ms", False)
    assert (metrics["throughput"].unit, metrics["throughput"].higher_is_better) == ("audio s/s", True)
    assert metrics["build"].unit == "s"
    for name in METRICS:
        if name in metrics:
            assert metrics[name].higher_is_better == (name in HIGHER_IS_BETTER), name


def test_a_figure_that_no_record_has_is_an_error() -> None:
    """A path that leads nowhere is named."""
    with pytest.raises(InputError, match=r"timing\.mood"):
        find_facts((Speed, Record), "timing.mood")


@pytest.mark.parametrize(
    ("path", "expected"),
    [("memory.rss_peak_bytes", 1e9), ("timing.p99_ms", None), ("nothing.here", None), ("kind", None)],
)
def test_a_figure_is_found_by_its_path(path: str, expected: float | None) -> None:
    """A number is given; a missing part, a missing field and a text are none."""
    assert value_at(speed_of(speed_record(CASE)), path) == expected


@pytest.mark.parametrize(
    ("cost_s", "baseline_ms", "median_ms", "expected"),
    [(30.0, 10.0, 2.0, 3750.0), (30.0, 2.0, 2.0, None), (30.0, 1.0, 2.0, None), (0.0, 10.0, 2.0, None)],
)
def test_break_even(cost_s: float, baseline_ms: float, median_ms: float, expected: float | None) -> None:
    """Seconds of the build over seconds saved; never where nothing is saved, and not asked where nothing was built."""
    assert break_even_inferences(cost_s, baseline_ms, median_ms) == expected
