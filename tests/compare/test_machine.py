"""What baselines say of the machine, worked out by hand."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bench.compare.machine import Key, Machine, centre, effective_runs, machine_offsets
from bench.compare.observation import Observation, Processes

FEW = 20


def seen(case: str, run_id: str, control: float | None = None, noise: float = 0.0) -> Observation:
    """A case of a run whose baseline lies at ``control``, with the squared error ``noise`` ** 2."""
    controls = None if control is None else (control - noise, control + noise)
    processes = Processes((1.0, 1.0), controls)
    return Observation(run_id, "", "speed", case, "ok", "", {}, {}, processes=processes)


def offset_of(machine: Machine, item: Observation) -> Any:
    """Value and weight of an observation's offset."""
    offset = machine.of(item)
    return offset and (offset.value, offset.weight)


def pairs(
    base: Sequence[float | None], new: Sequence[float | None], noise: float = 0.0
) -> dict[Key, tuple[list[Observation], list[Observation]]]:
    """Cases ``case-000`` and so on, one run a side."""
    return {
        ("speed", f"case-{number:03}"): (
            [seen(f"case-{number:03}", "base", before, noise)],
            [seen(f"case-{number:03}", "new", after, noise)],
        )
        for number, (before, after) in enumerate(zip(base, new, strict=True))
    }


def test_few_baselines_stand_each_alone() -> None:
    """Each case has its own baseline's change against the base; without one nothing is known of it."""
    cases = pairs([1.0, 2.0, 3.0, None], [1.1, 2.3, 3.2, None])
    machine = machine_offsets(cases, {}, FEW)
    for (key, (_, [new])), value in zip(cases.items(), [0.1, 0.3, 0.2], strict=False):
        assert offset_of(machine, new) == (pytest.approx(value), 1.0)
        assert machine.move(*cases[key]) == pytest.approx(value)
    bare = cases["speed", "case-003"]
    assert machine.of(bare[1][0]) is None
    assert machine.move(*bare) is None
    # The middle of 0.1, 0.3 and 0.2.
    assert machine.common == pytest.approx(0.2)


def test_without_baselines_nothing_is_known() -> None:
    """No offset, and no move of all."""
    assert machine_offsets(pairs([None], [None]), {}, FEW) == Machine({}, None)


def test_the_usual_is_the_middle_of_the_bases_runs() -> None:
    """Three runs at 1.0, 1.1 and 1.5 have their middle at 1.1; a side moves by its own middle."""
    base = [seen("x", name, level) for name, level in (("a", 1.0), ("b", 1.1), ("c", 1.5))]
    new = [seen("x", name, level) for name, level in (("d", 1.2), ("e", 1.4), ("f", 1.3))]
    machine = machine_offsets({("speed", "x"): (base, new)}, {}, FEW)
    assert [machine.offsets[("speed", "x"), name].value for name in "abcdef"] == pytest.approx(
        [-0.1, 0.0, 0.4, 0.1, 0.3, 0.2]
    )
    assert machine.move(base, new) == pytest.approx(0.2)
    assert machine.common == pytest.approx(0.2)


def test_a_base_without_all_its_baselines_has_no_usual() -> None:
    """A side of two runs of which one ran without a baseline tells nothing."""
    base = [seen("x", "a", 1.0), seen("x", "b")]
    machine = machine_offsets({("speed", "x"): (base, [seen("x", "c", 1.1)])}, {}, FEW)
    assert machine.offsets == {}


def test_earlier_nights_are_held_against_the_same_base() -> None:
    """A night of the history has its offset too."""
    cases = pairs([1.0], [1.0])
    night = seen("case-000", "night", 1.25)
    machine = machine_offsets(cases, {("speed", "case-000"): [night]}, FEW)
    assert offset_of(machine, night) == (pytest.approx(0.25), 1.0)


def test_baselines_of_a_run_are_shrunk_by_their_noise() -> None:
    """Local spread over local spread and noise, where the noise is that of both sides."""
    count, noise = 21, 0.01
    spread = 0.03 * stats.norm.ppf((np.arange(count) + 0.5) / count)
    machine = machine_offsets(pairs([1.0] * count, (1.05 + spread).tolist(), noise), {}, FEW)
    ordered = np.sort(spread)
    seen_sd = (ordered[10:] - ordered[:11]).min() / (2 * stats.norm.ppf(0.75))
    error = 2 * noise**2
    local = seen_sd**2 - error
    weight = local / (local + error)
    assert 0.2 < weight < 0.9
    found = [machine.offsets[("speed", f"case-{number:03}"), "new"] for number in range(count)]
    assert [offset.weight for offset in found] == pytest.approx([weight] * count)
    assert [offset.value for offset in found] == pytest.approx((0.05 + weight * spread).tolist())
    assert machine.common == pytest.approx(0.05)


def test_a_noisy_baseline_is_shrunk_more_and_none_less_than_the_middle_one() -> None:
    """A case whose own baseline is noisier leans more on the run."""
    count = 21
    spread = 0.03 * stats.norm.ppf((np.arange(count) + 0.5) / count)
    cases = pairs([1.0] * count, (1.0 + spread).tolist(), 0.01)
    loud, calm = ("speed", "case-003"), ("speed", "case-004")
    cases[loud] = ([seen("case-003", "base", 1.0, 0.05)], [seen("case-003", "new", 1.0 + float(spread[3]), 0.05)])
    cases[calm] = ([seen("case-004", "base", 1.0, 0.0)], [seen("case-004", "new", 1.0 + float(spread[4]), 0.0)])
    offsets = machine_offsets(cases, {}, FEW).offsets
    usual = offsets[("speed", "case-005"), "new"].weight
    local = usual / (1 - usual) * 2 * 0.01**2
    assert offsets[loud, "new"].weight == pytest.approx(local / (local + 2 * 0.05**2))
    assert offsets[calm, "new"].weight == pytest.approx(usual)


def test_where_all_moved_alike_the_run_speaks_for_each() -> None:
    """Baselines without noise that agree: the value is the run's, whatever weight it has."""
    machine = machine_offsets(pairs([1.0] * 20, [1.1] * 20), {}, FEW)
    assert {round(offset.value, 9) for (_, run), offset in machine.offsets.items() if run == "new"} == {0.1}


def outlying(place: int, bare: int, away: float) -> Machine:
    """Twenty-five cases, one whose clock fell, and one without a baseline."""
    count = 25
    after: list[float | None] = (1.0 + 0.01 * stats.norm.ppf((np.arange(count) + 0.5) / count)).tolist()
    before: list[float | None] = [1.0] * count
    after[place], before[bare], after[bare] = 1.0 + away, None, None
    return machine_offsets(pairs(before, after), {}, FEW)


def test_one_far_from_the_others_stands_for_itself() -> None:
    """Over four standard deviations away it is another machine; within them it is one of the others."""
    key = ("speed", "case-012")
    far = outlying(12, 0, 0.08).offsets[key, "new"]
    assert far.value == pytest.approx(0.08)
    assert far.weight == 1.0
    # Without noise the others keep their own values as well; the weight is theirs.
    assert outlying(12, 0, 0.005).offsets[key, "new"].value == pytest.approx(0.005)


@pytest.mark.parametrize(("bare", "near"), [(10, True), (11, True), (13, True), (14, True), (9, False), (15, False)])
def test_a_case_without_a_baseline_hears_of_those_beside_it(bare: int, near: bool) -> None:
    """Two baselines before and two after, where their machine was another one."""
    offset = outlying(12, bare, 0.08).offsets[("speed", f"case-{bare:03}"), "new"]
    assert offset.weight == 0.0
    assert offset.value == pytest.approx(0.0, abs=0.002)
    assert offset.near == (pytest.approx((0.08,)) if near else ())
    # How far the others spread, as the shortest half of the 24 shows it.
    others = [place for place in range(25) if place != bare]
    moves = sorted(0.08 if place == 12 else 0.01 * float(stats.norm.ppf((place + 0.5) / 25)) for place in others)
    shortest = min(moves[place + 12] - moves[place] for place in range(12))
    assert offset.variance == pytest.approx((shortest / 2 / stats.norm.ppf(0.75)) ** 2)


def test_the_first_and_the_last_case_have_neighbours_on_one_side() -> None:
    """The ends of a run do not wrap around."""
    assert outlying(24, 0, 0.08).offsets[("speed", "case-000"), "new"].near == ()
    assert outlying(1, 0, 0.08).offsets[("speed", "case-000"), "new"].near == pytest.approx((0.08,))
    assert outlying(0, 24, 0.08).offsets[("speed", "case-024"), "new"].near == ()


def test_the_middle_of_runs_and_its_error() -> None:
    """The median; mean of the errors over runs, of which a median of three is worth 6 / pi."""
    assert centre([1.0, 5.0], [0.1, 0.3]) == pytest.approx((3.0, 0.1))
    assert centre([1.0, 5.0, 2.0], [0.1, 0.2, 0.3]) == pytest.approx((2.0, 0.2 * np.pi / 6))
    assert [effective_runs(runs) for runs in (1, 2)] == [1, 2]
    assert effective_runs(10) == pytest.approx(20 / np.pi)
