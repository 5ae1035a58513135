"""Time and size of a report over 5,000 records: ``python -m benchmarks.report_speed [RECORDS]``.

The records are synthetic (:mod:`tests.synthetic_records`); what is measured is the rendering, from the records file to
the three files on disk. The limits are 60 s on two cores and 15 MB.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

from bench.report.render import write_report
from tests.synthetic_records import many_records, write_run


def main() -> int:
    """Prints the figures; returns 1 when a limit is passed."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    with tempfile.TemporaryDirectory() as folder:
        run = write_run(Path(folder) / "run", many_records(number))
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
    return int(seconds > 60 or sizes[written.html.name] > 15)


if __name__ == "__main__":
    sys.exit(main())
