"""CPU time to read records: ``python -m benchmarks.record_speed [FILE ...]``.

Without files the records are those published under ``reports/``, which are of schema 1 and so upgraded on the way, and
the same written anew. Reading is parsing and structuring, all that :func:`bench.records.read_records` does with a line.
The limit is 0.2 ms a record.
"""

import sys
import tempfile
import time
from pathlib import Path

from bench.records import read_records
from bench.records.jsonl import dump_record
from bench.records.schema import FILE_NAME

LIMIT_MS = 0.2
ROUNDS = 20


def milliseconds_a_record(file: Path) -> tuple[float, int]:
    """The shortest of several readings, by the process's clock, and the number of records."""
    shortest = float("inf")
    for _ in range(ROUNDS):
        started = time.process_time()
        number = len(read_records(file))
        shortest = min(shortest, (time.process_time() - started) / number)
    return 1000 * shortest, number


def main() -> int:
    """Prints a line a file; returns 1 when a record takes longer than the limit."""
    files = [Path(name) for name in sys.argv[1:]] or sorted(Path("reports").rglob(FILE_NAME))
    with tempfile.TemporaryDirectory() as folder:
        if len(sys.argv) == 1:
            anew = Path(folder) / FILE_NAME
            records = [record for file in files for record in read_records(file)]
            anew.write_text("".join(dump_record(record) + "\n" for record in records), encoding="utf-8")
            files.append(anew)
        slowest = 0.0
        for file in files:
            took_ms, number = milliseconds_a_record(file)
            slowest = max(slowest, took_ms)
            kilobytes = file.stat().st_size / number / 1000
            print(f"{took_ms:.3f} ms a record, {number} records of {kilobytes:.1f} kB: {file}")
    print(f"slowest {slowest:.3f} ms, allowed {LIMIT_MS} ms")
    return int(slowest > LIMIT_MS)


if __name__ == "__main__":
    sys.exit(main())
