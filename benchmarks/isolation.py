"""Do workers time as this process does? ``python -m benchmarks.isolation [--pairs N] [--frames N] [--device DEVICE]``.

A case is measured in a fresh worker and in this process by turns, in an order drawn anew for every pair, so that what
drifts falls on both alike. Printed is the ratio of the medians, worker over in-process, with its 95 % interval from
resampled pairs. The two agree where the interval lies within 1 %; on a machine with other work it does not, and says
nothing.
"""

import argparse
import sys
import tempfile

import numpy as np

from bench.case import Case
from bench.measure.environment import physical_cores
from bench.measure.sampling import StopRule
from bench.measure.statistics import ratio_interval
from bench.records.schema import Speed
from bench.run.device import find_device
from bench.run.isolation import Cases
from bench.run.job import Kind
from bench.run.settings import Settings

LIMIT = 0.01
STOP = StopRule(min_rounds=30, min_time_s=1.0, relative_width=0.005, time_limit_s=15.0)


def median_ms(case: Case, settings: Settings, *, in_process: bool) -> float:
    """The median of one measurement."""
    cases = Cases(settings, in_process=in_process)
    try:
        record = cases.perform(Kind.SPEED, case)
    finally:
        cases.close()
    speed = record.answer(Speed)
    if speed is None:
        raise SystemExit(f"{record.status}: {record.reason}")
    return speed.timing.median_ms


def main() -> int:
    """Prints the ratio; returns 1 where its interval does not lie within the limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--frames", type=int, default=23)
    parser.add_argument("--version", choices=("v3", "v4"), default="v4")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--device")
    given = parser.parse_args()
    case = Case(given.version, "eager", given.precision, 1, given.frames)
    order = np.random.default_rng(0)
    medians: dict[bool, list[float]] = {True: [], False: []}
    with tempfile.TemporaryDirectory() as folder:
        device = str(find_device(given.device))
        settings = Settings("isolation", folder, device=device, threads=physical_cores(), stop=STOP)
        for _ in range(given.pairs):
            for in_process in map(bool, order.permutation(2)):
                medians[in_process].append(median_ms(case, settings, in_process=in_process))
            worker, own = medians[False][-1], medians[True][-1]
            print(f"worker {worker:.3f} ms, in-process {own:.3f} ms: {worker / own:.4f}", flush=True)
    ratio = float(np.median(medians[False]) / np.median(medians[True]))
    interval = ratio_interval(medians[False], medians[True], 0)
    if interval is None:
        print(f"{case.id}: {ratio:.4f}; an interval needs 6 pairs")
        return 1
    low, high = interval
    print(f"{case.id}: worker over in-process {ratio:.4f} [{low:.4f}, {high:.4f}] from {given.pairs} pairs")
    return 0 if low >= 1 - LIMIT and high <= 1 + LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
