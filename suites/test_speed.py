"""How fast is every way of running a vocoder, and what memory does it take?"""

from collections.abc import Callable

from bench.case import Case
from bench.records.schema import Record
from bench.run.session import Session
from bench.run.speed import measure_case


def test_speed(case: Case, session: Session, conclude_speed: Callable[[Record], None]) -> None:
    """The case runs as its label says; its durations go to the record and to pytest-benchmark's table."""
    conclude_speed(measure_case(case, session))
