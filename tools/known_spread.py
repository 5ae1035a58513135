"""How far runs of the same thing lie apart in the published records, which a comparison assumes of one process.

    python tools/known_spread.py            # prints the pairs and the standard deviations
    python tools/known_spread.py --check    # ends with 1 unless thresholds.toml assumes at least as much

Every pair is one case of two runs on one GPU, less than an hour apart, with the same weights, driver and versions of
libraries. A pair with the same seconds of building had one engine file, or none at all; the others had engines built
one by one, some of them by different commits. Moves are logarithms of the ratio; the standard deviation of one run is
the root mean square of the moves over the root of two.
"""

import argparse
import itertools
import math
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bench.compare.observation import Observation, differences
from bench.compare.sources import observe_all
from bench.compare.thresholds import load_thresholds
from bench.records.jsonl import read_records
from bench.records.schema import Record

ROOT = Path(__file__).resolve().parents[1]
APART_S = 3600.0
METRICS = ("time", "throughput", "memory_allocated", "memory_process", "build", "snr_db")
# Loading a cached engine, and anything of less than some seconds, is no build.
BUILT = "build"


@dataclass(frozen=True)
class Pair:
    """One case of two runs.

    Attributes:
        id: The case's id.
        gpu: Where it ran.
        minutes: Between the two.
        kind: ``"process"`` (one engine file, or none), or ``"build"`` (an engine of its own on either side).
        moves: By metric: the logarithm of the ratio, or for decibels the difference.
    """

    id: str
    gpu: str
    minutes: float
    kind: str
    moves: dict[str, float]


def pairs(records: Iterable[Record]) -> Iterator[Pair]:
    """Every pair of runs of the same thing."""
    thresholds = load_thresholds()
    known = list(records)
    engines = {(r.run_id, r.kind, r.id): r.build.build_s if r.build else None for r in known}
    cases: dict[tuple[str, str], list[Observation]] = defaultdict(list)
    for item in observe_all(known, thresholds.metrics):
        if item.ok:
            cases[item.key].append(item)
    for side in cases.values():
        for one, other in itertools.combinations(side, 2):
            keys = [(item.run_id, *item.key) for item in (one, other)]
            apart = abs((_time(one) - _time(other)).total_seconds())
            same = not differences(one, other) and one.versions == other.versions
            if one.run_id == other.run_id or apart > APART_S or not same:
                continue
            kind = "process" if engines[keys[0]] == engines[keys[1]] else "build"
            moves = {
                name: _move(one.values[name], other.values[name], thresholds.metrics[name].scale)
                for name in METRICS
                if name in one.values and name in other.values
            }
            yield Pair(one.id, one.identity.get("GPU", "CPU"), apart / 60, kind, moves)


def _time(item: Observation) -> datetime:
    return datetime.fromisoformat(item.recorded_at)


def _move(before: float, after: float, scale: str) -> float:
    return after - before if scale == "difference" else math.log(after / before)


def standard_deviation(moves: Iterable[float]) -> float:
    """Of one run, from the moves of pairs."""
    squares = [move**2 for move in moves]
    return math.sqrt(sum(squares) / len(squares) / 2)


def published() -> list[Record]:
    """All published records."""
    return [record for file in sorted((ROOT / "reports").rglob("records.jsonl")) for record in read_records(file)]


def main() -> int:
    """Prints what there is, and with ``--check`` compares it with what is assumed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    found = list(pairs(published()))
    for pair in found:
        moves = "  ".join(f"{name} {move:+.4f}" for name, move in pair.moves.items())
        print(f"{pair.kind:8} {pair.minutes:3.0f} min  {pair.gpu}  {pair.id}\n    {moves}")
    metrics, wrong = load_thresholds().metrics, 0
    for kind, name in itertools.product(("process", BUILT), METRICS):
        moves_of = [pair.moves[name] for pair in found if pair.kind == kind and name in pair.moves]
        if not moves_of or (kind, name) == ("process", BUILT):
            continue
        sd, metric = standard_deviation(moves_of), metrics[name]
        assumed = math.hypot(metric.night_sd, metric.process_sd, metric.build_sd if kind == BUILT else 0.0)
        short = assumed < 0.95 * sd
        wrong += short
        more = " TOO SMALL" if short else ""
        print(f"{kind:8} {name:17} sd {sd:.4f} of {len(moves_of)} pairs; assumed {assumed:.4f}{more}")
    return 1 if arguments.check and wrong else 0


if __name__ == "__main__":
    sys.exit(main())
