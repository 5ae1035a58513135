"""Plans of load, from the command line to the settings."""

import pytest

from bench.errors import InputError
from bench.measure.sampling import StopRule
from bench.run.load.plan import CLIENTS, PLANS, LoadPlan
from bench.run.options import read_options


def plan(device: str = "cpu", **given: str) -> LoadPlan:
    """The plan of a sweep's settings."""
    return read_options(given).settings("run", device, 1, StopRule()).load


def test_defaults_are_the_device_s() -> None:
    """Smoke on a processor, the issue's seven numbers of clients on a GPU."""
    assert plan() == PLANS["smoke"]
    assert plan("cuda:1") == LoadPlan()
    assert LoadPlan().clients == CLIENTS == (1, 2, 4, 8, 16, 32, 64)


def test_options_take_their_place() -> None:
    """One field each."""
    found = plan(load="standard", load_clients="1, 9", load_point_s="2.5", soak_s="60")
    assert (found.clients, found.point_s, found.soak_s, found.probes) == ((1, 9), 2.5, 60.0, LoadPlan().probes)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"load": "huge"}, "--load is smoke or standard"),
        ({"load_clients": "0"}, "--load-clients is a whole number from 1"),
        ({"load_clients": ","}, "--load-clients is an empty list"),
        ({"load_point_s": "0"}, "--load-point-s is a number over 0"),
        ({"soak_s": "x"}, "--soak-s is a number over 0"),
    ],
)
def test_wrong_ones(given: dict[str, str], sentence: str) -> None:
    """One sentence each."""
    with pytest.raises(InputError, match=sentence):
        read_options(given)
