"""The order of a sweep's cases and records."""

from bench.case import Case
from bench.run.order import grouped, in_order

ONE, OTHER = Case("v3", "eager", "fp32", 1, 9), Case("v4", "eager", "fp32", 1, 9)
LONGER = Case("v3", "eager", "fp32", 1, 23)


def test_the_cases_of_a_worker_come_together() -> None:
    """One version, backend and precision, in the order of its first case."""
    assert grouped([ONE, OTHER, LONGER]) == [ONE, LONGER, OTHER]


def test_speed_comes_first_and_a_load_test_last() -> None:
    """Of each configuration speed, sound, streams; what files no record, or is of no worker, waits for all."""
    keys = [
        None,
        ("quality", ONE.id),
        ("quality", OTHER.id),
        ("load", ONE.id),
        ("speed", ONE.id),
        ("streaming", ONE.id),
        ("speed", OTHER.id),
        ("speed", LONGER.id),
    ]
    done = [keys[index] for index in in_order(keys, [ONE, LONGER, OTHER])]
    assert done == [
        ("speed", ONE.id),
        ("speed", LONGER.id),
        ("quality", ONE.id),
        ("streaming", ONE.id),
        ("speed", OTHER.id),
        ("quality", OTHER.id),
        None,
        ("load", ONE.id),
    ]
