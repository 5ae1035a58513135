"""How fast is every way of running a vocoder, and what memory does it take?"""

from collections.abc import Callable

from bench.case import Case
from bench.records.schema import Record
from bench.run.job import Kind
from bench.run.whole import Sweep


def test_speed(case: Case, sweep: Sweep, conclude_speed: Callable[[Record], None]) -> None:
    """The case runs as its label says; its durations go to the record and to pytest-benchmark's table."""
    conclude_speed(sweep.perform(Kind.SPEED, case))
