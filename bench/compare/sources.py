"""What can stand on a side of a comparison: a run, its records file, or a folder of runs."""

from collections.abc import Iterable
from pathlib import Path

from bench.compare.observation import Observation, observe
from bench.compare.thresholds import Metric
from bench.errors import InputError
from bench.records.jsonl import read_records
from bench.records.kind import KINDS
from bench.records.schema import FILE_NAME, Record


def read_side(path: Path, metrics: dict[str, Metric]) -> list[Observation]:
    """Reads one side; the last record of a case counts where a run holds several.

    Args:
        path: A ``records.jsonl``, the directory of a run, or a folder of such directories.
        metrics: Metrics to keep.

    Raises:
        InputError: nothing to read there, or two directories hold the same run.
    """
    if not path.is_dir() or (path / FILE_NAME).exists():
        return observe_all(read_records(path), metrics)
    runs = sorted(child for child in path.iterdir() if (child / FILE_NAME).exists())
    if not runs:
        raise InputError(f"{path} holds neither a {FILE_NAME} nor folders that do; give a run or a folder of runs")
    seen: dict[str, Path] = {}
    side: list[Observation] = []
    for run in runs:
        observations = observe_all(read_records(run), metrics)
        for run_id in {item.run_id for item in observations}:
            if run_id in seen:
                raise InputError(f"{seen[run_id]} and {run} both hold run {run_id}; remove one of them")
            seen[run_id] = run
        side += observations
    return side


def observe_all(records: Iterable[Record], metrics: dict[str, Metric]) -> list[Observation]:
    """Observations of records, the last of each run and case, without kinds that are not compared."""
    last = {(record.run_id, record.kind, record.id): record for record in records if KINDS[record.kind].compared}
    return [observe(record, metrics) for record in last.values()]
