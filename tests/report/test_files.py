import csv
from dataclasses import replace
from pathlib import Path

import pytest

from bench.case import Case
from bench.records.run import load_run
from bench.records.schema import Status
from bench.report.files import write_csv
from tests.synthetic_records import failed_record, quality_record, sound_of, speed_of, speed_record, write_run

CASE = Case("v3", "eager", "fp32", 1, 468)


def rows(directory: Path) -> list[dict[str, str]]:
    with (directory / "cases.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_csv_holds_every_record_with_its_figures(tmp_path: Path) -> None:
    """Speed and quality records are lines of their own, figures in full, what is missing blank."""
    speed, quality = speed_record(CASE), quality_record(CASE)
    write_csv(load_run(write_run(tmp_path, [speed, quality])), tmp_path / "cases.csv")
    first, second = rows(tmp_path)
    assert (first["id"], first["kind"], second["kind"]) == (CASE.id, "speed", "quality")
    assert float(first["timing.median_ms"]) == speed_of(speed).timing.median_ms
    assert first["timing.p99_ms"] == ""
    assert float(second["fidelity.snr_db"]) == sound_of(quality).snr_db
    assert not any(name.endswith("samples_ms") for name in first)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_is_a_formula(tmp_path: Path, start: str) -> None:
    """Text that a spreadsheet would run begins with an apostrophe, in cells and in headings."""
    reason = f"{start}HYPERLINK(1)"
    records = [failed_record(CASE, Status.CRASHED, reason)]
    records.append(quality_record(replace(CASE, batch=2), environment={reason: 1.0}))
    write_csv(load_run(write_run(tmp_path, records)), tmp_path / "cases.csv")
    with (tmp_path / "cases.csv").open(encoding="utf-8", newline="") as file:
        cells = [cell for line in csv.reader(file) for cell in line]
    assert "'" + " ".join(reason.splitlines()) in cells
    assert not any(cell.startswith(start) and not cell[1:2].isdigit() for cell in cells)


def test_negative_numbers_stay_numbers(tmp_path: Path) -> None:
    """The guard against formulas is for text only."""
    record = quality_record(CASE, "fail", snr_db=-3.5)
    write_csv(load_run(write_run(tmp_path, [record])), tmp_path / "cases.csv")
    assert float(rows(tmp_path)[0]["fidelity.snr_db"]) == -3.5
