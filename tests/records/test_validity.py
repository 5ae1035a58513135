"""What was taken on a machine that was not as it should be is no answer."""

from dataclasses import replace

import pytest

from bench.case import Case
from bench.records.schema import GpuState, Marked, Record
from bench.records.validity import validity_problems, why_invalid
from tests.synthetic_records import ENVIRONMENT, given, quality_record, speed_of, speed_record

CASE = Case("v3", "eager", "fp32", 1, 9)
STATE = given(speed_of(speed_record(CASE)).gpu_state)
H100 = {**ENVIRONMENT, "gpu": {"name": "GPU", "max_sm_clock_mhz": 1980, "application_sm_clock_mhz": None}}


def of(state: GpuState | None = STATE, marked: Marked | None = None, frames: int = 9) -> Record:
    return speed_record(replace(CASE, frames=frames), gpu_state=state, marked=marked, environment=H100)


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (of(), ""),
        (of(None), ""),
        (of(replace(STATE, throttle_reasons=("sw_power_cap", "applications_clocks"))), ""),
        (of(replace(STATE, throttle_reasons=("hw_thermal",))), "the GPU throttled while it was timed (hw_thermal)"),
        (of(replace(STATE, sm_clock_median_mhz=345)), "the GPU ran at 345 MHz, under 75 % of its 1980 MHz"),
        (of(replace(STATE, sm_clock_median_mhz=1486)), ""),
        (of(marked=Marked(9, 10, {"hot": 9}, unstable="9 of 10 rounds were disturbed: hot.")), "9 of 10 rounds were"),
        (of(replace(STATE, throttle_reasons=("hw_thermal",)), Marked(1, 40, {"hot": 1})), ""),
        (quality_record(CASE), ""),
    ],
)
def test_why_a_case_is_no_answer(record: Record, why: str) -> None:
    """Heat, a low clock, and too many disturbed rounds; a card at its power limit is at work, and few rounds go."""
    assert why_invalid(record).startswith(why)
    assert bool(why_invalid(record)) == bool(why)


def test_problems_of_a_run() -> None:
    """A run whose every case was throttled is said to be no answer at all; some cases are named; marks are counted."""
    cold = replace(STATE, sm_clock_median_mhz=345)
    assert validity_problems([of(), of(frames=10), quality_record(CASE)]) == []
    [all_of_them] = validity_problems([of(cold), of(cold, frames=10)])
    assert all_of_them == "No timed case is an answer: the GPU ran at 345 MHz, under 75 % of its 1980 MHz."
    [some] = validity_problems([of(cold), of(frames=10)])
    assert some.startswith("1 of 2 timed cases are no answer (v3-eager-fp32-b1-t9): the GPU ran at 345 MHz")
    [marked] = validity_problems([of(), of(marked=Marked(3, 40, {"hot": 3, "low": 1}), frames=10)])
    assert marked == "3 of 40 rounds of 1 cases were disturbed and are not used: hot; low."
    assert validity_problems([]) == []
