"""Observations hold what records of the suite hold: those that it wrote and published are the test."""

from pathlib import Path

import pytest

from bench.compare.observation import observe
from bench.compare.runs import compare_runs
from bench.compare.thresholds import load_thresholds
from bench.records import read_records
from bench.records.schema import Sound, Status
from tests.comparing import quality

ROOT = Path(__file__).resolve().parents[2]
LARGEST = max((ROOT / "reports").rglob("records.jsonl"), key=lambda file: file.read_text("utf-8").count('"quality"'))


def test_the_tier_is_the_verdict_that_the_judge_wrote() -> None:
    """Every judged record of a published run has its verdict, and its figures as they were filed."""
    metrics = load_thresholds().metrics
    judged = [(record, record.answer(Sound)) for record in read_records(LARGEST)]
    found = [(observe(record, metrics), sound) for record, sound in judged if sound]
    assert len(found) > 10
    for observation, sound in found:
        assert observation.tier == sound.verdict
        assert observation.values["snr_db"] == sound.snr_db
        assert set(observation.values) <= {name for name, metric in metrics.items() if metric.is_fidelity}


def test_a_published_run_equals_itself() -> None:
    """Every ok case of a run is compared with itself in each metric that it holds, and nothing is worse."""
    records = read_records(LARGEST)
    comparison = compare_runs(records, records)
    assert comparison.exit_code == 0
    compared = {(case.kind, case.id): {change.metric for change in case.changes} for case in comparison.cases}
    for record in records:
        if record.status is Status.OK:
            wanted = {"speed": {"time", "throughput", "build"}, "quality": {"snr_db", "lsd_db", "tier"}}[record.kind]
            assert compared[record.kind, record.id] >= wanted


@pytest.mark.parametrize(("before", "after", "code"), [("pass", "fail", 1), ("warn", "warn", 0), ("fail", "pass", 0)])
def test_a_verdict_that_fell_is_worse(before: str, after: str, code: int) -> None:
    """The verdict on the sound is compared, in the shape that the judge files it."""
    assert compare_runs([quality(0, before)], [quality(1, after)]).exit_code == code
