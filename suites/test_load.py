"""How many users does every way of running a vocoder serve at once, behind a service, and how long do they wait?"""

from collections.abc import Callable

from bench.case import Case
from bench.records.schema import Record
from bench.run.job import Kind
from bench.run.whole import Sweep


def test_load(case: Case, sweep: Sweep, conclude_load: Callable[[Record], None]) -> None:
    """Every answer of the service under load is its request's own sound."""
    conclude_load(sweep.perform(Kind.LOAD, case))
