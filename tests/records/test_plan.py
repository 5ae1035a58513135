"""``run.json``: what a run set out to do survives the disk, and what is wrong with it is said."""

import json
from pathlib import Path

import pytest

from bench.case import Case
from bench.errors import InputError
from bench.records import plan as module
from bench.records.plan import PLAN_FILE, Plan, plan_notices, read_plan, write_plan
from tests.comparing import record

ONE, TWO = record(1), record(2)
KEYS = (("speed", ONE.id), ("speed", TWO.id))
PLAN = Plan(
    "run-1",
    "2026-01-01T00:00:00+00:00",
    KEYS,
    (Case("v3", "tensorrt", "fp16", 1, 1), Case("v4", "x", "fp32", 2, 3, (("level", "1"),))),
    {"device": "cpu", "weights": ["\udcff"]},
    {"v3": "a" * 64},
)


def test_a_plan_survives_the_disk(tmp_path: Path) -> None:
    """Every field, names that are not UTF-8 among them; a run without one has none."""
    assert read_plan(tmp_path) is None
    write_plan(tmp_path, PLAN)
    assert read_plan(tmp_path) == PLAN
    ended = PLAN.finish("2026-01-01T01:00:00+00:00", "complete")
    write_plan(tmp_path, ended)
    read = read_plan(tmp_path)
    assert read == ended
    assert read.ended_at == "2026-01-01T01:00:00+00:00"


def test_what_has_no_record_is_missing() -> None:
    """By kind and case: a sound of a case is not its speed."""
    assert PLAN.missing([]) == list(KEYS)
    assert PLAN.missing([TWO]) == [KEYS[0]]
    assert PLAN.missing([ONE, TWO]) == []
    assert Plan("x", "", (("quality", ONE.id),)).missing([ONE]) == [("quality", ONE.id)]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "is not the plan of a run"),
        ("[" * 100_000, "is not the plan of a run"),
        ('{"run_id": 1}', "is not the plan of a run"),
        (json.dumps({"run_id": "x", "started_at": "", "expected": [], "version": 2}), "is of version 2"),
        (b"\xff", "is not the plan of a run"),
        (" " * 101, "is too large"),
    ],
)
def test_a_plan_that_cannot_be_read_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | bytes, sentence: str
) -> None:
    """For whoever resumes an error, for whoever reads a report a notice."""
    if "large" in sentence:
        monkeypatch.setattr(module, "_LIMIT_BYTES", 100)
    (tmp_path / PLAN_FILE).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=sentence):
        read_plan(tmp_path)
    [notice] = plan_notices(tmp_path, [])
    assert sentence in notice


def test_a_reader_hears_what_is_missing_and_how_the_run_ended(tmp_path: Path) -> None:
    """Nothing of a complete run; of others what lacks, by name, and whether it was killed or interrupted."""
    assert plan_notices(tmp_path, [ONE]) == []
    write_plan(tmp_path, PLAN)
    killed = "This run did not come to its end: it was killed, or it is still running."
    assert plan_notices(tmp_path, [ONE, TWO]) == [killed]
    assert plan_notices(tmp_path, [ONE]) == [
        f"This run is incomplete: 1 of 2 records are missing: speed of {TWO.id}.",
        killed,
    ]
    write_plan(tmp_path, PLAN.finish("", "interrupted"))
    assert plan_notices(tmp_path, [ONE, TWO]) == ["This run was interrupted."]
    write_plan(tmp_path, PLAN.finish("", "complete"))
    assert plan_notices(tmp_path, [ONE, TWO]) == []
    many = Plan("x", "", tuple(("speed", f"case-{number}") for number in range(7)), ended="incomplete")
    write_plan(tmp_path, many)
    [notice] = plan_notices(tmp_path, [])
    assert notice.endswith("speed of case-4 and 2 more.")
