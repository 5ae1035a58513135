"""Planted faults get their verdict whatever the precision: heard ones fail, unheard ones warn at most."""

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.quality import compare, judge
from tests.quality.planted import HEARD, NOT_HEARD, OTHERS_HEARD, OTHERS_NOT_HEARD
from tests.quality_signals import noisy, speech_at

# The SNR of the error that follows the signal, as each precision's own does.
OWN = {"fp16": 58.0, "bf16": 40.0, "int8": 27.0}
RATES = {24000: ("fp16", "bf16", "int8"), 48000: ("int8",)}
CASES = {f"{rate}-{precision}": (rate, precision) for rate, names in RATES.items() for precision in names}
SECONDS = 2


@pytest.fixture(scope="module", params=list(CASES.values()), ids=list(CASES))
def signals(request: pytest.FixtureRequest) -> tuple[NDArray[np.float64], NDArray[np.float64], int, str]:
    """Speech, the same with a precision's own error, its rate and the precision."""
    rate, precision = request.param
    speech = speech_at(rate)[-SECONDS * rate :]
    return speech, noisy(speech, OWN[precision]), rate, precision


@pytest.mark.parametrize("name", [*HEARD, *OTHERS_HEARD])
def test_a_heard_fault_fails(name: str, signals: tuple[NDArray[np.float64], NDArray[np.float64], int, str]) -> None:
    """A hole is a hole, and a click a click, at any precision; the verdict says what happened."""
    speech, output, rate, precision = signals
    verdict = judge(compare(speech, (HEARD | OTHERS_HEARD)[name](output, rate), rate), precision)
    assert verdict.tier == "fail", verdict
    assert verdict.decided_by
    assert verdict.reason
    assert "no audible change" not in verdict.heard


@pytest.mark.parametrize("name", [*NOT_HEARD, *OTHERS_NOT_HEARD])
def test_an_unheard_change_warns_at_most(
    name: str, signals: tuple[NDArray[np.float64], NDArray[np.float64], int, str]
) -> None:
    """What nobody hears is reported, and fails under no precision whose own error is inaudible."""
    speech, output, rate, precision = signals
    verdict = judge(compare(speech, (NOT_HEARD | OTHERS_NOT_HEARD)[name](output, rate), rate), precision)
    assert verdict.tier != "fail", verdict
