"""Time and size of a report over 5,000 records: ``python -m benchmarks.report_speed [RECORDS]``.

The records are those of the largest published run, again and again at other lengths; what is measured is the
rendering, from the records file to the three files on disk. The limits are 30 s on two cores and 6 MB.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import count, islice
from pathlib import Path

from bench.records.jsonl import dump_record, read_records
from bench.records.schema import Record
from bench.report.render import write_report

REPORTS = Path(__file__).resolve().parents[1] / "reports"


def published() -> list[Record]:
    """The records of the published run that has most of them."""
    runs = [read_records(file.parent) for file in REPORTS.glob("**/records.jsonl")]
    return max(runs, key=len)


def at_other_lengths(records: list[Record]) -> Iterator[Record]:
    """Records without end: these, and then copies of them that are a frame longer every time."""
    for further in count():
        for record in records:
            yield replace(record, case=replace(record.case, frames=record.case.frames + further), files={})


def write_run(folder: Path, number: int) -> Path:
    """Writes a run of so many records."""
    folder.mkdir()
    lines = (dump_record(record) + "\n" for record in islice(at_other_lengths(published()), number))
    (folder / "records.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder


def main() -> int:
    """Prints the figures; returns 1 when a limit is passed."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    with tempfile.TemporaryDirectory() as folder:
        run = write_run(Path(folder) / "run", number)
        start = time.perf_counter()
        written = write_report(run)
        seconds = time.perf_counter() - start
        sizes = {
            path.name: path.stat().st_size / 1e6
            for path in (run / "records.jsonl", written.html, written.summary, written.csv)
        }
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(f"{number} records in {seconds:.1f} s on {cores} cores")
    for name, megabytes in sizes.items():
        print(f"{name}: {megabytes:.2f} MB")
    return int(seconds > 30 or sizes[written.html.name] > 6)


if __name__ == "__main__":
    sys.exit(main())
