"""Records come back as they were written, whatever happened to the file in between."""

import json
import math
import os
from dataclasses import fields, replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from bench.case import Case
from bench.errors import InputError
from bench.records.jsonl import append_record, dump_record, load_record, newest_run, read_lines, read_records
from bench.records.limits import Ceilings, Energy, NewShape, Roofline
from bench.records.run import load_run
from bench.records.schema import (
    FILE_NAME,
    SCHEMA_VERSION,
    EffectivePrecision,
    GpuState,
    Marked,
    Process,
    Record,
    Status,
)
from tests.synthetic_records import changed, quality_record, speed_of, speed_record, write_run

CASE = Case("v3", "tensorrt-onnx", "fp16", 2, 23, (("level", "1"), ("tactics", "CUDNN+CUBLAS")))
FAILED = Record("run", "speed", CASE, Status.CRASHED, "RuntimeError: went away", "cpu", "2026-01-01T00:00:00+00:00", 0)


def whole_record() -> Record:
    """A record in which every optional field has a value."""
    record = speed_record(Case("v3", "eager", "fp16", 2, 23), rounds=8)
    return changed(
        record,
        case=CASE,
        precision=EffectivePrecision("float16", "float16", "float16", False, True, False, "float16", "a probe"),
        speedup_static=speed_of(record).speedup_fp32,
        gpu_state=GpuState(1980, 1700, 2619, 60, 500.5, ("power_cap",), 3),
        files={"test": "wav/test.wav"},
        roofline=Roofline(
            10**9, 10**8, Ceilings(3e12, 8e14, "fp16", "2026-01-01T00:00:00+00:00"), 1.0, 2.0, 50.0, "memory"
        ),
        energy=Energy(2.0, 500.0, 1.0, 10),
        new_shape=NewShape(24, 50.0, 2.0, 48.0),
        processes=(Process(4, 9.0, 0, 30.5, 20.0, 500.0, 2**30), Process(4, 9.1)),
        marked=Marked(2, 10, {"hot": 2}, (9.5, 9.6), "2 of 10."),
    )


def test_every_field_survives_the_disk(tmp_path: Path) -> None:
    """A record with every field set, and one with none, are read as they were written, in order."""
    record = whole_record()
    holders = (record, speed_of(record))
    assert not [item.name for holder in holders for item in fields(holder) if getattr(holder, item.name) is None]
    records = [record, quality_record(CASE), FAILED]
    for item in records:
        append_record(tmp_path, item)
    assert read_records(tmp_path) == records
    assert read_records(tmp_path / FILE_NAME) == records


def test_a_line_is_strict_json() -> None:
    """What was not measured is null, every line names the schema, and NaN cannot be written."""
    data = json.loads(dump_record(FAILED))
    assert data["result"] is None
    assert data["weights"] is None
    assert data["status"] == "crashed"
    assert data["schema_version"] == SCHEMA_VERSION
    assert "\n" not in dump_record(whole_record())
    with pytest.raises(ValueError, match="JSON compliant"):
        dump_record(quality_record(CASE, snr_db=math.nan))


class Version(str):
    """A text of a library's own type, as torch gives its version."""

    __slots__ = ()


def test_texts_and_floats_of_libraries_are_written_as_plain_ones() -> None:
    """Torch's version and NumPy's float64 are what they look like; what JSON has no word for is refused."""
    record = quality_record(CASE, snr_db=np.float64(12.5), environment={"versions": {"torch": Version("2.13.0")}})
    read = load_record(dump_record(record))
    assert read == record
    assert type(read.environment["versions"]["torch"]) is str
    with pytest.raises(TypeError, match="Path is no JSON value"):
        dump_record(replace(FAILED, environment={"home": Path("/")}))


def test_a_line_cut_off_costs_only_itself(tmp_path: Path) -> None:
    """A process that dies in the middle of a line loses that line; later appends and reads go on."""
    append_record(tmp_path, FAILED)
    with (tmp_path / FILE_NAME).open("a", encoding="utf-8") as file:
        file.write(dump_record(whole_record())[:200])
    with pytest.warns(UserWarning, match="line 2 was cut off"):
        assert read_records(tmp_path) == [FAILED]
    append_record(tmp_path, FAILED)
    with pytest.warns(UserWarning, match="line 2 was cut off"):
        assert read_records(tmp_path) == [FAILED, FAILED]


def test_unknown_fields_are_ignored() -> None:
    """A field that this version does not know, at any depth, does not hinder reading."""
    data = json.loads(dump_record(whole_record()))
    data["colour"] = "red"
    data["result"]["timing"]["phase_of_moon"] = 0.5
    assert load_record(json.dumps(data)) == whole_record()


AS_JSON: dict[str, object] = {"version": "v3", "backend": "eager", "precision": "fp32", "batch": 1, "frames": 9}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": SCHEMA_VERSION + 1}, "update the suite"),
        ({"schema_version": None}, "schema None"),
        ({"schema_version": 0}, "schema 0"),
        ({"kind": "taste"}, "record kind 'taste' is not one that this version reads"),
        ({"result": {"timing": 3}}, r"Expected `object`, got `int` - at `\$\.result\.timing`"),
        ({"status": "splendid"}, r"\$\.status"),
        ({"case": None}, r"\$\.case"),
        ({"case": {**AS_JSON, "frames": 0}}, r"at least one frame - at `\$\.case`"),
        ({"case": {**AS_JSON, "batch": -1}}, r"at least one mel"),
    ],
)
def test_unreadable_records_are_named(tmp_path: Path, change: dict[str, object], message: str) -> None:
    """A newer schema or a wrong value is one sentence with the file and the line."""
    line = json.dumps(json.loads(dump_record(FAILED)) | change)
    (tmp_path / FILE_NAME).write_text(f"{dump_record(FAILED)}\n{line}\n", encoding="utf-8")
    with pytest.raises(InputError, match=message) as caught:
        read_records(tmp_path)
    assert f"{FILE_NAME}, line 2" in str(caught.value)


def test_not_a_run(tmp_path: Path) -> None:
    """A directory without records, a file of something else and a line that is no object are refused."""
    with pytest.raises(InputError, match="does not exist"):
        read_records(tmp_path)
    other = tmp_path / "notes.txt"
    other.write_text("hello\n", encoding="utf-8")
    with pytest.raises(InputError, match="holds no record"):
        read_records(other)
    other.write_text("[1, 2]\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"line 1.*JSON object"):
        read_records(other)


@pytest.mark.parametrize("kind", ["pipe", "device", "link"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    """A pipe without a writer, a device without an end and a link to itself are no records."""
    file = tmp_path / FILE_NAME
    if kind == "pipe":
        os.mkfifo(file)
    else:
        file.symlink_to("/dev/zero" if kind == "device" else file)
    words = {"pipe": "is a pipe", "device": "is a device", "link": "leads back to itself"}
    with pytest.raises(InputError, match=words[kind]):
        list(read_lines(file))


@pytest.mark.parametrize(("mark", "ending"), [("\ufeff", "\n"), ("", "\r\n"), ("", "\r"), ("\ufeff", "\r\n")])
def test_marks_and_line_breaks_of_editors_cost_nothing(tmp_path: Path, mark: str, ending: str) -> None:
    """A byte order mark and other systems' line breaks; lines keep their numbers."""
    text = mark + ending.join([dump_record(FAILED), "", dump_record(FAILED), "x"])
    (tmp_path / FILE_NAME).write_bytes(text.encode())
    found = list(read_lines(tmp_path / FILE_NAME))
    assert [(line.number, line.record, line.torn) for line in found] == [
        (1, FAILED, False), (3, FAILED, False), (4, None, True)
    ]  # fmt: skip


def test_lines_are_told_apart(tmp_path: Path) -> None:
    """A record, a cut-off line, another kind and a field more are each said of their own line; blank ones are none."""
    data = json.loads(dump_record(FAILED))
    lines = [
        dump_record(FAILED),
        "",
        dump_record(FAILED)[:-5],
        json.dumps({**data, "kind": "taste"}),
        json.dumps({**data, "colour": 1}),
    ]
    (tmp_path / FILE_NAME).write_text("\n".join(lines), encoding="utf-8")
    found = list(read_lines(tmp_path / FILE_NAME))
    assert [line.number for line in found] == [1, 3, 4, 5]
    assert [line.record for line in found] == [FAILED, None, None, FAILED]
    assert [line.torn for line in found] == [False, True, False, False]
    assert "taste" in found[2].problem
    assert found[3].unknown == {"colour"}


def test_a_line_is_parsed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report parses every line of its records a single time."""
    write_run(tmp_path, [speed_record(replace(CASE, batch=batch)) for batch in (1, 2, 3)])
    parsed = []
    decode = msgspec.json.decode

    def counting(text: str) -> object:
        parsed.append(text)
        return decode(text)

    monkeypatch.setattr("bench.records.jsonl.msgspec.json.decode", counting)
    monkeypatch.setattr("json.loads", counting)
    load_run(tmp_path)
    assert len(parsed) == 3


def test_newest_run_of_a_folder(tmp_path: Path) -> None:
    """A folder of runs stands for its newest, a run for itself, and an empty folder for itself."""
    assert newest_run(tmp_path) == tmp_path
    for name in ("20260101T000000Z", "20260102T000000Z", "not-a-run"):
        (tmp_path / name).mkdir()
    for name in ("20260101T000000Z", "20260102T000000Z"):
        (tmp_path / name / FILE_NAME).touch()
    assert newest_run(tmp_path) == tmp_path / "20260102T000000Z"
    assert newest_run(tmp_path / "20260101T000000Z") == tmp_path / "20260101T000000Z"
