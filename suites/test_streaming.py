"""How soon does a stream begin, does it ever stop, and how does it sound in chunks?"""

from collections.abc import Callable

from bench.case import Case
from bench.records.schema import Record
from bench.run.job import Kind
from bench.run.whole import Sweep


def test_streaming(case: Case, sweep: Sweep, conclude_streaming: Callable[[Record], None]) -> None:
    """The longest utterance of each configuration in chunks of 0.1 to 1 s: audio_ttfp, underruns and fidelity."""
    conclude_streaming(sweep.perform(Kind.STREAMING, case))
