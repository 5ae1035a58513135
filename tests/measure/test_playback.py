"""A listener's underrun, steady RTF and jitter have the values that arithmetic gives them."""

import doctest
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bench.measure.playback
from bench.errors import InputError
from bench.measure.playback import continuity_ok_rate, is_continuous, jitter_s, steady_rtf, underrun_s


def test_the_examples_are_true() -> None:
    """The examples of the module give what they say."""
    assert doctest.testmod(bench.measure.playback).failed == 0


@pytest.mark.parametrize("first", [0.0, 0.4, 7.0])
@pytest.mark.parametrize("every", [0.05, 0.1, 0.2])
def test_a_steady_stream(first: float, every: float) -> None:
    """Chunks of 0.1 s every ``every`` s: the listener lacks ``every`` - 0.1 a chunk, nine times, if it is slow."""
    arrivals, durations = [first + every * index for index in range(10)], [0.1] * 10
    assert underrun_s(arrivals, durations) == pytest.approx(max(0.0, 9 * (every - 0.1)), abs=1e-12)
    assert steady_rtf(arrivals, durations) == pytest.approx(every / 0.1)
    assert jitter_s(arrivals, durations) == pytest.approx(0.0, abs=1e-9)


def test_one_stall() -> None:
    """A chunk that is late by more than what is in hand is an underrun of the difference, whatever comes after."""
    arrivals = [1.0, 1.1, 1.2, 2.0, 2.01, 2.02]
    assert underrun_s(arrivals, [0.25] * 6) == pytest.approx(2.0 - 1.0 - 3 * 0.25)
    # What is missing adds up: the sound is played from the first arrival on, without moving its start.
    later = [*arrivals, 3.0]
    assert underrun_s(later, [0.25] * 7) == pytest.approx(3.0 - 1.0 - 6 * 0.25)


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 1)), min_size=1, max_size=20),
)
def test_a_player_that_waits_for_the_underrun_never_runs_dry(steps: list[tuple[float, float]]) -> None:
    """Played sample by sample with that delay nothing is missing, and with less something is."""
    arrivals = list(itertools.accumulate(gap for gap, _ in steps))
    durations = [duration for _, duration in steps]
    underrun = underrun_s(arrivals, durations)

    def runs_dry(delay: float) -> bool:
        starts = itertools.accumulate(durations[:-1], initial=arrivals[0] + delay)
        return any(start < arrival - 1e-9 for start, arrival in zip(starts, arrivals, strict=True))

    assert not runs_dry(underrun)
    assert underrun == 0 or runs_dry(underrun - 1e-6)


def test_a_single_chunk() -> None:
    """It has no underrun, no rate and no jitter."""
    assert underrun_s([3.0], [1.0]) == 0.0
    assert steady_rtf([3.0], [1.0]) is None
    assert jitter_s([3.0], [1.0]) is None
    assert jitter_s([3.0, 4.0], [1.0, 1.0]) is None


def test_jitter_leaves_out_a_shorter_end() -> None:
    """Times of 1 and 3 have a standard deviation of the root of 2; the short last chunk does not count."""
    assert jitter_s([0.0, 1.0, 4.0, 4.01], [1.0, 1.0, 1.0, 0.1]) == pytest.approx(2**0.5)


def test_the_threshold() -> None:
    """A tenth of a second is still continuous."""
    assert [is_continuous(value) for value in (0.0, 0.1, 0.1001)] == [True, True, False]
    assert continuity_ok_rate([0.0, 0.2], threshold_s=0.2) == 1.0
    assert continuity_ok_rate([0.2]) == 0.0


def test_what_is_no_stream() -> None:
    """Nothing, an odd number of figures, and arrivals out of order are refused."""
    for arrivals, durations in (([], []), ([1.0], []), ([1.0, 0.5], [1.0, 1.0])):
        for figure in (underrun_s, steady_rtf, jitter_s):
            with pytest.raises(InputError):
                figure(arrivals, durations)
    with pytest.raises(InputError, match="at least one stream"):
        continuity_ok_rate([])
