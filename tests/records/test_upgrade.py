"""Records of older schemas: the published ones are read, and nothing of them is lost."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.case import Case
from bench.records import read_records
from bench.records.jsonl import dump_record, load_record
from bench.records.run import load_run
from bench.records.schema import SCHEMA_VERSION, Record, Sound, Speed, Status
from bench.records.upgrade import upgrade
from bench.report.sections.cases import table
from tests.synthetic_records import failed_record, quality_record, speed_record, sweep_records, write_run

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = sorted((ROOT / "reports").rglob("records.jsonl"))
SPEED_1 = ("timing", "throughput", "speedup_same_precision", "speedup_fp32", "speedup_static", "memory", "gpu_state")
CASE = Case("v3", "tensorrt", "fp16", 1, 468)


def as_schema_1(record: Record) -> dict[str, Any]:
    """The record as version 1 of the suite wrote it: every field of every kind beside the case's."""
    data: dict[str, Any] = json.loads(dump_record(record))
    result = data.pop("result")
    speed = result if record.kind == "speed" and result else {}
    fidelity = result if record.kind == "quality" else None
    return {**data, **{name: speed.get(name) for name in SPEED_1}, "fidelity": fidelity, "schema_version": 1}


@pytest.mark.parametrize(
    "record",
    [speed_record(CASE), quality_record(CASE), failed_record(CASE, Status.CRASHED, "died")],
    ids=["speed", "quality", "failed"],
)
def test_a_record_of_schema_1_is_the_same_record(record: Record) -> None:
    """What version 1 wrote is read as what this version writes."""
    assert load_record(json.dumps(as_schema_1(record))) == record


def test_the_newest_schema_is_left_alone() -> None:
    """There is nothing to rewrite."""
    data = json.loads(dump_record(speed_record(CASE)))
    assert upgrade(data) is data


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that is not null, by its path in schema 2."""
    if isinstance(value, dict):
        for name, item in value.items():
            place = f"{path}.{name}"
            if path == "" and name in SPEED_1:
                place = f".result.{name}"
            yield from leaves(item, ".result" if place == ".fidelity" else place)
    elif value is not None:
        yield path, value


@pytest.mark.parametrize("file", PUBLISHED, ids=[file.parent.name for file in PUBLISHED])
def test_published_records_are_read_to_the_last_digit(file: Path) -> None:
    """Every published record is read, and holds each value of its line; each ok one has a result of its kind."""
    lines = file.read_text(encoding="utf-8").splitlines()
    for line, record in zip(lines, read_records(file), strict=True):
        before, after = json.loads(line), json.loads(dump_record(record))
        assert after.pop("schema_version") == SCHEMA_VERSION
        before.pop("schema_version")
        known = dict(leaves(after))
        assert {path: value for path, value in leaves(before) if known.get(path) != value} == {}
        if record.status is Status.OK:
            assert isinstance(record.result, {"speed": Speed, "quality": Sound}[record.kind])


def test_there_are_published_records() -> None:
    """The test above has something to read."""
    assert len(PUBLISHED) >= 2


def test_a_report_of_schema_1_has_the_same_table(tmp_path: Path) -> None:
    """The table of every case does not depend on the schema that the records were written in."""
    records = sweep_records(versions=("v3",))
    new = write_run(tmp_path / "new", records)
    old = tmp_path / "old"
    old.mkdir()
    text = "".join(json.dumps(as_schema_1(record)) + "\n" for record in records)
    (old / "records.jsonl").write_text(text, encoding="utf-8")
    before, after = table(load_run(old)), table(load_run(new))
    assert before.lines == after.lines
    assert before.samples == after.samples
    assert [column.name for column in before.columns] == [column.name for column in after.columns]
    assert load_run(old).notices == load_run(new).notices == ()
