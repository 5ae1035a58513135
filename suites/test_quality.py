"""How does every way of running a vocoder sound, compared with PyTorch in float32?"""

from collections.abc import Callable

from bench.case import Case
from bench.records.schema import Record
from bench.run.job import Kind
from bench.run.whole import Sweep


def test_quality(case: Case, sweep: Sweep, conclude_quality: Callable[[Record], None]) -> None:
    """The case's sound is within the tier of its precision on every input."""
    conclude_quality(sweep.perform(Kind.QUALITY, case))
