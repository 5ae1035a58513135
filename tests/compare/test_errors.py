"""Standard errors of moves, each against the sum that its sources make by hand."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from bench.compare.errors import LEAST_SD, Move, errors
from bench.compare.levels import Spread
from bench.compare.thresholds import Metric, load_thresholds

METRIC = Metric("speed", ("timing.median_ms",), "ratio", 0.03, night_sd=0.01, process_sd=0.03, build_sd=0.05)
# Cases stand alone, and assumed spreads are known from ten nights.
ALONE = replace(load_thresholds(), pool_cases=1000, prior_nights=10.0, pool_limit=4.0)
ROUNDS = Spread(1, rounds=0.0004)


def move(
    base: tuple[Spread, ...] = (ROUNDS,),
    new: tuple[Spread, ...] = (ROUNDS,),
    *,
    value: float = 0.1,
    extra: float = 0.0,
    past: tuple[float, float] = (0.0, 0.0),
    rebuilt: bool = False,
    past_rebuilt: bool = False,
) -> Move:
    return Move(("speed", "x"), value, base, new, extra, past, rebuilt, past_rebuilt)


def error(one: Move, metric: Metric = METRIC) -> tuple[float, float]:
    """Squared standard error and degrees of freedom of a move that stands alone."""
    found, freedom = errors([one], metric, ALONE)
    return float(found[0]) ** 2, float(freedom[0])


def welch(*parts: tuple[float, float]) -> float:
    """Degrees of freedom of a sum of variances, each with its own (Welch and Satterthwaite)."""
    return sum(variance for variance, _ in parts) ** 2 / sum(variance**2 / freedom for variance, freedom in parts)


def test_one_process_a_side() -> None:
    """Rounds and the spread between processes on both sides, the spread between nights, and the machine's."""
    variance, freedom = error(move(extra=0.0002))
    runs, nights = 2 * (0.0004 + 0.03**2), 2 * 0.01**2 + 0.0002
    assert variance == pytest.approx(runs + nights)
    assert freedom == pytest.approx(welch((runs, 10), (nights, 10)))


def test_one_process_whose_processes_do_not_differ() -> None:
    """Where no spread between processes is known of, the rounds' ten batches have nine degrees a side."""
    variance, freedom = error(move(), replace(METRIC, process_sd=0.0))
    assert variance == pytest.approx(0.0008 + 0.0002)
    assert freedom == pytest.approx(welch((0.0008, 18), (0.0002, 10)))


def test_nights_of_a_metric_have_their_own_degrees() -> None:
    """A metric that says how well its nights are known is believed."""
    _, freedom = error(move(), replace(METRIC, prior_nights=30.0))
    assert freedom == pytest.approx(welch((0.0026, 10), (0.0002, 30)))


def test_processes_show_their_spread() -> None:
    """Three processes a side: their squares over four degrees, over three processes."""
    variance, freedom = error(move((Spread(3, squares=0.002),), (Spread(3, squares=0.006),)))
    runs = 2 * 0.008 / 4 / 3
    assert variance == pytest.approx(runs + 0.0002)
    assert freedom == pytest.approx(welch((runs, 4), (0.0002, 10)))


def test_unlike_numbers_of_processes() -> None:
    """Two and four processes: 1 + 3 degrees, and each side's mean is as sure as its own number makes it."""
    variance, _ = error(move((Spread(2, squares=0.002),), (Spread(4, squares=0.006),)))
    assert variance == pytest.approx(0.002 / 2 + 0.002 / 4 + 0.0002)


def test_one_side_of_one_process_makes_both_use_what_is_assumed() -> None:
    """A spread that one side does not show is taken from the published runs for both."""
    variance, _ = error(move((Spread(3, squares=0.002),), (ROUNDS,)))
    assert variance == pytest.approx(0.03**2 + (0.0004 + 0.03**2) + 0.0002)


def test_several_runs_a_side() -> None:
    """The median of three runs is as precise as a mean of 3 x 2 / pi; two runs count whole."""
    variance, _ = error(move((ROUNDS,) * 3))
    assert variance == pytest.approx((0.0013 + 0.0001) * (np.pi / 6 + 1))
    variance, _ = error(move((ROUNDS,) * 2))
    assert variance == pytest.approx((0.0013 + 0.0001) * 1.5)


def test_runs_of_unlike_rounds_count_by_their_mean() -> None:
    """Errors of the rounds of several runs are averaged."""
    variance, _ = error(move((Spread(1, rounds=0.0002), Spread(1, rounds=0.0006))))
    assert variance == pytest.approx((0.0004 + 0.0009) * 1.5 + 0.0001 * 1.5)


def test_a_run_that_scatters_more_than_all_others_stands_for_itself() -> None:
    """Ten calm runs and a loud one: an F test of 11 on 2 and 22 degrees says that it is not one of them."""
    calm, loud = (Spread(3, squares=0.0),) * 10, Spread(3, squares=0.06)
    assert stats.f.sf(11, 2, 22) < 0.01
    variance, freedom = error(move(calm, (loud,)))
    pooled, own = 0.06 / 22, 0.06 / 2
    runs = pooled / 3 / (10 * 2 / np.pi) + own / 3
    nights = 0.0001 * (np.pi / 20 + 1)
    assert variance == pytest.approx(runs + nights)
    assert freedom == pytest.approx(welch((runs, 2), (nights, 10)))


def test_a_run_that_scatters_as_chance_does_is_pooled() -> None:
    """Against two other runs a threefold spread is no news: an F test of 3 on 2 and 6 degrees."""
    variance, _ = error(move((Spread(3, squares=0.0),) * 2, (Spread(3, squares=0.06),)))
    assert stats.f.sf(3, 2, 6) > 0.01
    assert variance == pytest.approx(0.01 / 3 * 1.5 + 0.0001 * 1.5)


def test_another_build_adds_the_spread_of_builds() -> None:
    """To both sides; and where that is most of the error, its own degrees of freedom are what counts."""
    variance, freedom = error(move((Spread(9, squares=0.0008),), (Spread(9, squares=0.0008),), rebuilt=True))
    runs = 2 * (0.0001 / 9 + 0.05**2)
    assert variance == pytest.approx(runs + 0.0002)
    assert freedom == pytest.approx(welch((runs, 10), (0.0002, 10)))
    # A loud case's own spread is more, and keeps its sixteen degrees.
    _, freedom = error(move((Spread(9, squares=0.8),), (Spread(9, squares=0.8),), rebuilt=True))
    runs = 2 * (0.1 / 9 + 0.05**2)
    assert freedom == pytest.approx(welch((runs, 16), (0.0002, 10)))


def test_earlier_nights_take_the_place_of_what_is_assumed() -> None:
    """From eight degrees of freedom on: their spread, for both sides, and the machine's error."""
    variance, freedom = error(move(past=(0.0005, 8.0), extra=0.0003))
    assert variance == pytest.approx(2 * 0.0005 + 0.0003)
    assert freedom == 8.0
    assert error(move(past=(0.0005, 7.0))) == error(move())
    # What tonight's rounds show beyond the nights is there.
    variance, _ = error(move(past=(0.0001, 8.0)))
    assert variance == pytest.approx(2 * 0.0001 + 0.0003)
    variance, _ = error(move((Spread(2, squares=0.0),), (Spread(2, squares=0.008),), past=(0.0001, 8.0)))
    assert variance == pytest.approx(2 * 0.0001 + (0.008 / 2 / 2 - 0.0001))


def test_nights_count_for_as_many_runs_as_there_are() -> None:
    """Three runs of the base against one: each has the nights' spread, tonight has what it shows beyond them."""
    variance, _ = error(move((ROUNDS,) * 3, past=(0.0005, 8.0)))
    assert variance == pytest.approx(0.0005 * (np.pi / 6 + 1))
    variance, _ = error(move((ROUNDS,), (Spread(1, rounds=0.0009),) * 3, past=(0.0005, 8.0)))
    assert variance == pytest.approx(0.0005 * (1 + np.pi / 6) + 0.0004 * np.pi / 6)


@pytest.mark.parametrize(
    ("nights", "shared", "known"), [(8.0, 1, True), (7.0, 1, False), (0.0, 2, True), (0.0, 1, False)]
)
def test_what_is_known_of_runs_of_the_same_thing(nights: float, shared: int, known: bool) -> None:
    """Processes on both sides, or eight degrees of freedom of earlier nights."""
    one = move((Spread(shared),), (Spread(shared),), past=(0.0005, nights))
    assert one.known is known
    assert one.replicated is (shared > 1)
    assert not move((Spread(2),), (Spread(1),)).replicated


def test_nights_without_new_builds_know_nothing_of_builds() -> None:
    """Where the sides ran different builds, nights of one build do not count; nights of several do."""
    assert error(move(past=(0.0005, 20.0), rebuilt=True)) == error(move(rebuilt=True))
    variance, freedom = error(move(past=(0.0005, 20.0), rebuilt=True, past_rebuilt=True))
    assert (variance, freedom) == pytest.approx((0.001, 20.0))


def test_nothing_is_known_better_than_a_tenth_of_a_percent() -> None:
    """Equal readings of a ratio still have an error; those of a difference have what its nights show."""
    still = replace(METRIC, night_sd=1e-9, process_sd=0.0)
    assert error(move((Spread(1),), (Spread(1),)), still)[0] == pytest.approx(LEAST_SD**2) == 1e-6
    plain = replace(still, scale="difference")
    assert error(move((Spread(1),), (Spread(1),)), plain)[0] == pytest.approx(2e-18)


def test_no_moves_no_errors() -> None:
    """A metric that no case has."""
    assert [len(part) for part in errors([], METRIC, ALONE)] == [0, 0]


@pytest.mark.parametrize(("sd", "expected"), [(0.03, 0.03**2 - 0.0004), (0.005, 0.01**2), (0.3, 16 * 0.01**2)])
def test_many_cases_show_how_far_nights_differ(sd: float, expected: float) -> None:
    """Moves of 401 cases scatter as nights do beyond the rounds; within the assumed spread and four times that."""
    pooled = replace(ALONE, pool_cases=20)
    metric = replace(METRIC, process_sd=0.0)
    values = np.sqrt(2) * sd * stats.norm.ppf((np.arange(401) + 0.5) / 401)
    found, freedom = errors([move(value=value) for value in values], metric, pooled)
    assert found[0] ** 2 == pytest.approx(2 * 0.0004 + 2 * expected, rel=0.03)
    assert freedom[0] == pytest.approx(welch((0.0008, 18), (2 * expected, 10 + 401 / 2)), rel=0.05)
    enough, _ = errors([move(value=value) for value in values], metric, replace(pooled, pool_cases=401))
    assert enough[0] == found[0]
    alone, _ = errors([move(value=value) for value in values], metric, replace(pooled, pool_cases=402))
    assert alone[0] ** 2 == pytest.approx(0.001)


def test_many_cases_lend_one_another_their_spread() -> None:
    """Forty cases whose processes scatter alike have that spread, all of them, with many degrees of freedom."""
    pooled = replace(ALONE, pool_cases=20)
    squares = 0.0004 * stats.chi2.ppf((np.arange(40) + 0.5) / 40, 4) / 2
    moves = [move((Spread(3, squares=one),), (Spread(3, squares=one),), value=0.0) for one in squares]
    found, freedom = errors(moves, METRIC, pooled)
    np.testing.assert_allclose(found**2, 2 * 0.0004 / 3 + 0.0002, rtol=0.05)
    assert freedom.min() > 50
