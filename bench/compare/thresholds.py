"""The thresholds of a comparison, read from one TOML."""

import dataclasses
import math
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cattrs

from bench.errors import InputError
from bench.files import read_text, user_path
from bench.records.facts import Better, Facts, find_facts
from bench.records.kind import KINDS
from bench.records.schema import Record, Sound

DEFAULT_FILE = Path(__file__).with_name("thresholds.toml")


@dataclass(frozen=True)
class Metric:
    """How one metric is judged, as ``thresholds.toml`` explains; what it is, the record's field says."""

    kind: str
    source: tuple[str, ...]
    scale: str
    floor: float
    night_sd: float
    process_sd: float = 0.0
    build_sd: float = 0.0
    prior_nights: float = 0.0
    absolute_floor: float = 0.0
    ceiling: float | None = None
    far: float | None = None
    far_floor: float = 0.0

    @property
    def facts(self) -> Facts:
        """What the figure is, from the field that holds it."""
        return find_facts((KINDS[self.kind], Record), self.source[0])

    @property
    def unit(self) -> str:
        """Unit of the values."""
        return self.facts.unit

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger value is the better one."""
        return self.facts.better is Better.HIGHER

    @property
    def is_fidelity(self) -> bool:
        """Whether it describes the sound; those are BETTER, WORSE or SAME."""
        return self.kind == Sound.kind

    @property
    def limit(self) -> float:
        """The floor on the scale that is tested: of the logarithm for a ratio."""
        return math.log1p(self.floor) if self.scale == "ratio" else self.floor

    def floor_of(self, base: float, new: float) -> float:
        """The floor of a change between two values: another one where both lie beyond ``far``."""
        beyond = self.far is not None and min(base, new) > self.far
        return self.far_floor if beyond else self.floor

    def limit_of(self, base: float, new: float) -> float:
        """:meth:`floor_of` on the scale that is tested."""
        floor = self.floor_of(base, new)
        return math.log1p(floor) if self.scale == "ratio" else floor


@dataclass(frozen=True)
class Thresholds:
    """When a difference is a difference; the fields are explained in ``thresholds.toml``."""

    alpha: float
    floor_confidence: float
    machine_sd: float
    control_limit: float
    machine_floor: float
    prior_nights: float
    pool_cases: int
    pool_limit: float
    metrics: dict[str, Metric]


def load_thresholds(path: Path | None = None) -> Thresholds:
    """Reads the thresholds, the suite's own by default.

    Raises:
        InputError: no such file, not TOML, an unknown or missing key, or a value out of range.
    """
    path = DEFAULT_FILE if path is None else user_path(path, "thresholds")
    converter = cattrs.Converter(forbid_extra_keys=True)
    text = read_text(path, "thresholds")
    try:
        thresholds = converter.structure(tomllib.loads(text), Thresholds)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{path} is not TOML: {error}") from error
    except Exception as error:
        detail = "; ".join(cattrs.transform_error(error)[:3])
        raise InputError(f"{path} does not hold thresholds: {detail}") from error
    _check(thresholds, path)
    return thresholds


def _check_numbers(part: Any, name: str, path: Path) -> None:
    """Raises for a number that is not finite or below 0; TOML has nan and inf."""
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if isinstance(value, int | float) and not 0 <= value < 1e15:
            raise InputError(f"{path}: {name}{field.name} must be a finite number from 0, not {value:g}")


def _check(thresholds: Thresholds, path: Path) -> None:
    _check_numbers(thresholds, "", path)
    for name, metric in thresholds.metrics.items():
        _check_numbers(metric, f"metrics.{name}.", path)
    for name, least in (("alpha", 0.0), ("floor_confidence", 0.5)):
        if not least < getattr(thresholds, name) < 1:
            raise InputError(f"{path}: {name} must lie between {least:g} and 1, not {getattr(thresholds, name)}")
    for name, metric in thresholds.metrics.items():
        _check_metric(name, metric, path)


def _check_metric(name: str, metric: Metric, path: Path) -> None:
    if metric.scale not in ("ratio", "difference"):
        raise InputError(f"{path}: metrics.{name}.scale must be 'ratio' or 'difference'")
    if metric.kind not in KINDS:
        raise InputError(f"{path}: metrics.{name}.kind must be one of {', '.join(KINDS)}, not {metric.kind!r}")
    if not (metric.source and metric.floor > 0 and metric.night_sd > 0):
        raise InputError(f"{path}: metrics.{name} needs a source and a floor and a night_sd above 0")
    for source in metric.source:
        try:
            facts = find_facts((KINDS[metric.kind], Record), source)
        except InputError as error:
            raise InputError(f"{path}: metrics.{name}: {error}") from error
        if facts.better not in (Better.LOWER, Better.HIGHER):
            raise InputError(f"{path}: metrics.{name}: of {source} neither the lower nor the higher is the better")
