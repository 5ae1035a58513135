"""History: what every night said about every case, one line each, and how that went over time.

A history folder holds one JSON Lines file a night, named after its time and run, with one line a case: an
:class:`~bench.compare.observation.Observation` and the version of this form. Files are replaced as a whole, so
appending a night twice keeps it once, and a night can be dropped by deleting its file. A line that was cut off
or cannot be read is left out with a warning.
"""

import json
import math
import os
import re
import tempfile
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cattrs
import numpy as np

from bench.compare.changepoints import change_points
from bench.compare.noise import BATCHES, QUANTILES
from bench.compare.observation import Observation, differences, noted
from bench.compare.sources import read_side
from bench.compare.thresholds import Metric, Thresholds, load_thresholds
from bench.errors import InputError
from bench.files import MIB, read_bytes

HISTORY_VERSION = 1
NIGHT_LIMIT_BYTES = 64 * MIB
REMEMBERED = 60  # nights that show how far nights differ
_CONVERTER = cattrs.Converter()


def append_history(run: Path, history: Path, thresholds: Thresholds | None = None) -> list[Path]:
    """Adds a run to the history and returns the files written, one a run.

    Args:
        run: The run's directory or its ``records.jsonl``, or a folder of runs.
        history: The history folder; made when missing.
        thresholds: Which metrics to keep; the suite's own by default.

    Raises:
        InputError: the run cannot be read, or the folder cannot be written.
    """
    observations = read_side(run, (thresholds or load_thresholds()).metrics)
    try:
        history.mkdir(parents=True, exist_ok=True)
        return [_write_night(night, history) for night in _nights(observations)]
    except OSError as error:
        raise InputError(f"cannot write history to {history}: {error.strerror}") from error


def _nights(observations: Iterable[Observation]) -> list[list[Observation]]:
    nights: dict[str, list[Observation]] = {}
    for item in observations:
        nights.setdefault(item.run_id, []).append(item)
    return list(nights.values())


def _write_night(night: Sequence[Observation], history: Path) -> Path:
    run_id = night[0].run_id
    started = min(item.recorded_at for item in night)
    name = re.sub(r"[^0-9A-Za-z.-]+", "_", f"{re.sub('[^0-9T]', '', started[:19])}_{run_id}")[:120]
    target = history / f"{name}.jsonl"
    lines = [
        json.dumps({"history_version": HISTORY_VERSION, **_CONVERTER.unstructure(item)}, allow_nan=False)
        for item in night
    ]
    # The same run may have been kept under an earlier start time, before it was resumed.
    stale = [file for file in _files(history) if file != target and _run_id(file) == run_id]
    handle, temporary = tempfile.mkstemp(dir=history, suffix=".tmp")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        os.fsync(file.fileno())
    Path(temporary).replace(target)
    for file_of_run in stale:
        file_of_run.unlink()
    return target


def _files(history: Path) -> list[Path]:
    return sorted(history.glob("*.jsonl"))


def _run_id(file: Path) -> str | None:
    try:
        value = json.loads(_lines(file)[0])["run_id"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return str(value)


def read_history(history: Path, last: int | None = None) -> list[Observation]:
    """Reads the nights of a history folder, oldest first.

    Args:
        history: The folder.
        last: Only this many newest nights; all by default.

    Raises:
        InputError: no such folder, ``last`` under 1, or a night of a newer version.
    """
    if not history.is_dir():
        raise InputError(f"there is no history at {history}; `vocoder-bench nightly RUN` starts one")
    if last is not None and last < 1:
        raise InputError(f"the number of nights must be 1 or more, not {last}")
    files = _files(history)
    found: dict[tuple[str, tuple[str, str]], Observation] = {}
    for file in files if last is None else files[-last:]:
        for item in _read_night(file):
            found[item.run_id, item.key] = item
    return sorted(found.values(), key=lambda item: item.recorded_at)


def earlier_nights(history: Path, new: Sequence[Observation], last: int = REMEMBERED) -> list[Observation]:
    """The nights before a run, oldest first: neither the run itself nor what came after it.

    Args:
        history: The folder.
        new: The run.
        last: Only this many newest nights.

    Raises:
        InputError: as :func:`read_history`.
    """
    runs = {item.run_id for item in new}
    start = min((item.recorded_at for item in new), default="")
    nights = [item for item in read_history(history) if item.run_id not in runs and item.recorded_at < start]
    return last_nights(nights, last)


def last_nights(history: Sequence[Observation], nights: int) -> list[Observation]:
    """The observations of the newest nights."""
    runs = list(dict.fromkeys(item.run_id for item in history))[-nights:]
    return [item for item in history if item.run_id in runs]


def _read_night(file: Path) -> list[Observation]:
    items = []
    for number, line in enumerate(_lines(file), start=1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
            version = data.pop("history_version")
            if version > HISTORY_VERSION:
                raise InputError(f"{file} was written by a newer version of the suite; update the suite")
            item = _CONVERTER.structure(data, Observation)
            _check_rounds(item)
            items.append(item)
        except InputError:
            raise
        except Exception:  # noqa: BLE001 - whatever is wrong with one line, the others still count
            warnings.warn(f"{file}, line {number} cannot be read and is left out", stacklevel=3)
    return items


def _lines(file: Path) -> list[str]:
    """A night's lines; bytes that are not UTF-8 spoil their own line only."""
    return read_bytes(file, "history", NIGHT_LIMIT_BYTES).decode("utf-8-sig", errors="replace").split("\n")


def _check_rounds(item: Observation) -> None:
    """Raises ValueError where rounds are of unlike lengths or anything is not finite."""
    parts: list[Sequence[float]] = [tuple(item.values.values())]
    if item.rounds is not None:
        rounds = item.rounds
        if not 1 <= len(rounds.case) <= BATCHES or len(rounds.quantiles) != len(QUANTILES):
            raise ValueError("rounds of another length")
        if rounds.control is not None and len(rounds.control) != len(rounds.case):
            raise ValueError("rounds and their control are of unlike lengths")
        parts += [rounds.case, rounds.quantiles, rounds.control or ()]
    if item.processes is not None:
        processes = item.processes
        found = [part for part in (processes.time, processes.control, processes.throughput) if part is not None]
        if len(processes.time) < 2 or any(len(part) != len(processes.builds) for part in found):
            raise ValueError("processes of unlike numbers")
        parts += found
    if item.throughput_variance is not None:
        parts.append((item.throughput_variance,))
    if not all(math.isfinite(value) for part in parts for value in part):
        raise ValueError("a number that is not finite")


@dataclass(frozen=True)
class Step:
    """A change point.

    Attributes:
        index: Position in the trend's nights at which the new level begins.
        run_id: That night.
        before, after: Median of the values of the stretches on either side, in the metric's unit.
        worse: Whether the change is for the worse.
        versions: What changed in versions and flags between that night and the one before.
    """

    index: int
    run_id: str
    before: float
    after: float
    worse: bool
    versions: tuple[str, ...]


@dataclass(frozen=True)
class Trend:
    """One metric of one case over the nights.

    Attributes:
        kind, id, metric, unit: What it is about.
        run_ids, recorded_at, values: Every night in order; a value is None where the case did not end well.
        steps: Change points larger than the metric's floor.
        left_out: Nights on another GPU, driver, weights or precision than the newest.
    """

    kind: str
    id: str
    metric: str
    unit: str
    run_ids: tuple[str, ...]
    recorded_at: tuple[str, ...]
    values: tuple[float | None, ...]
    steps: tuple[Step, ...]
    left_out: int


def trend(history: Sequence[Observation], thresholds: Thresholds | None = None) -> list[Trend]:
    """Trends of every case and metric that any night measured.

    Change points are looked for in the metric's own scale (the logarithm for ratios); for times, in the level of
    the rounds without the machine's drift where an eager baseline was interleaved.

    Args:
        history: From :func:`read_history`, oldest first.
        thresholds: Metrics and floors; the suite's own by default.
    """
    thresholds = thresholds or load_thresholds()
    cases: dict[tuple[str, str], list[Observation]] = {}
    for item in history:
        cases.setdefault(item.key, []).append(item)
    trends = []
    for nights in cases.values():
        newest = next((item for item in reversed(nights) if item.ok), nights[-1])
        alike = [item for item in nights if not differences(item, newest)]
        for name, metric in thresholds.metrics.items():
            if any(item.ok and name in item.values for item in alike):
                trends.append(_trend(name, metric, alike, len(nights) - len(alike)))
    return trends


def _trend(name: str, metric: Metric, nights: Sequence[Observation], left_out: int) -> Trend:
    values = [item.values.get(name) if item.ok else None for item in nights]
    measured = [index for index, value in enumerate(values) if value is not None]
    return Trend(
        kind=nights[0].kind,
        id=nights[0].id,
        metric=name,
        unit=metric.unit,
        run_ids=tuple(item.run_id for item in nights),
        recorded_at=tuple(item.recorded_at for item in nights),
        values=tuple(values),
        steps=_steps(name, metric, [nights[index] for index in measured], measured),
        left_out=left_out,
    )


def _steps(name: str, metric: Metric, nights: Sequence[Observation], indices: Sequence[int]) -> tuple[Step, ...]:
    series = _series(name, metric, nights)
    starts = change_points(series.tolist(), min_sigma=metric.night_sd)
    edges = [0, *starts, len(series)]
    steps = []
    for left, start, right in zip(edges, starts, edges[2:], strict=False):
        move = float(np.median(series[start:right]) - np.median(series[left:start]))
        if abs(move) > metric.limit:
            before, after = (
                float(np.median([item.values[name] for item in nights[first:last]]))
                for first, last in ((left, start), (start, right))
            )
            versions = tuple(noted(nights[start - 1], nights[start]))
            worse = (move > 0) != metric.higher_is_better
            steps.append(Step(indices[start], nights[start].run_id, before, after, worse, versions))
    return tuple(steps)


def _series(name: str, metric: Metric, nights: Sequence[Observation]) -> np.ndarray:
    rounds = [item.rounds for item in nights]
    if name == "time" and all(part is not None for part in rounds):
        controlled = all(part is not None and part.control for part in rounds)
        return np.array([part.level(float(controlled)) for part in rounds if part])
    values = np.array([item.values[name] for item in nights])
    if metric.ceiling is not None:
        values = np.minimum(values, metric.ceiling) if metric.higher_is_better else np.maximum(values, metric.ceiling)
    if metric.scale == "ratio":
        return np.asarray(np.log(np.maximum(values, np.finfo(np.float64).tiny)))
    return values
