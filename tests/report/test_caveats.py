"""What to know before believing the first screen."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.case import Case
from bench.records.run import load_run
from bench.records.schema import Record
from bench.report.caveats import LIMIT, caveats
from bench.spec import DEMO_NAME
from tests.synthetic_records import changed, given, speed_of, speed_record, write_run

EAGER, FAST = Case("v3", "eager", "fp32", 1, 468), Case("v3", "tensorrt", "fp16", 1, 468)


def told(folder: Path, *records: Record) -> str:
    return " ".join(caveat.text for caveat in caveats(load_run(write_run(folder, list(records)))))


def trained(record: Record, name: str = "my.pth") -> Record:
    return replace(record, weights=replace(given(record.weights), synthetic=False, name=name))


def test_a_quiet_run_of_own_weights_has_none(tmp_path: Path) -> None:
    """Nothing to know, nothing said."""
    assert told(tmp_path, trained(speed_record(FAST))) == ""


@pytest.mark.parametrize(("name", "words"), [(DEMO_NAME, "not GPT-SoVITS's own"), ("synthetic", "are synthetic")])
def test_weights_that_are_not_the_users_are_said(tmp_path: Path, name: str, words: str) -> None:
    """Synthetic and demonstration weights, each in its words."""
    record = speed_record(FAST)
    assert words in told(tmp_path, trained(record, name) if name == DEMO_NAME else record)


def test_what_disturbed_the_sweep_is_said(tmp_path: Path) -> None:
    """A throttled GPU, a median that did not settle, and an eager that waits for its host."""
    record = trained(speed_record(FAST))
    speed = speed_of(record)
    timing = replace(speed.timing, ci95_low_ms=0.5 * speed.timing.median_ms, ci95_high_ms=1.5 * speed.timing.median_ms)
    turn = given(speed.speedup_fp32)
    turn = replace(turn, baseline_launch_median_ms=turn.baseline_median_ms)
    state = replace(given(speed.gpu_state), throttle_reasons=("sw_power_cap",))
    text = told(tmp_path, changed(record, timing=timing, speedup_fp32=turn, gpu_state=state))
    assert "The GPU throttled in 1 of 1 case: sw power cap." in text
    assert "1 of 1 case did not settle" in text
    assert "waits for the processor in 1 of 2 comparisons" in text


@pytest.mark.parametrize(("factor", "said"), [(1.3, True), (1.1, False)])
def test_an_eager_that_moved_within_a_sweep_tells_of_a_busy_machine(tmp_path: Path, factor: float, said: bool) -> None:
    """The same eager case in turn with two others is the control: it took 30 % longer the second time."""
    other = speed_record(replace(FAST, precision="bf16"))
    turn = given(speed_of(other).speedup_fp32)
    slower = replace(turn, baseline_median_ms=factor * turn.baseline_median_ms)
    text = told(tmp_path, trained(speed_record(FAST)), trained(changed(other, speedup_fp32=slower)))
    assert ("The machine was not quiet: PyTorch eager fp32 took 37.4 to 48.7 ms" in text) is said


def test_at_most_four_the_weights_first(tmp_path: Path) -> None:
    """A run with everything wrong still has a short list."""
    folder = write_run(tmp_path, [speed_record(EAGER), speed_record(FAST)])
    with (folder / "records.jsonl").open("a", encoding="utf-8") as file:
        file.write("torn\nagain\n" * 20)
    found = caveats(load_run(folder))
    assert len(found) <= LIMIT
    assert "synthetic" in found[0].text
    assert all(caveat.link in ("method", "cases", "promises") for caveat in found)
