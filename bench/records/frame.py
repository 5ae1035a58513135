"""Records as a table."""

from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from typing import Any

import pandas as pd

from bench.case import Case
from bench.records.jsonl import CONVERTER
from bench.records.schema import (
    Build,
    EffectivePrecision,
    GpuState,
    Memory,
    Record,
    Speedup,
    Throughput,
    Timing,
)
from bench.spec import Weights


def records_frame(records: Iterable[Record]) -> pd.DataFrame:
    """One row a record; nested fields joined with a dot (``timing.median_ms``), ``id`` as the index.

    Every scalar field has its column, empty or not, so that a frame of failures has the same columns.
    """
    rows = [{"id": record.id, **_flatten(CONVERTER.unstructure(record))} for record in records]
    columns = ["id", *_columns(Record)]
    extra = sorted({key for row in rows for key in row} - set(columns))
    return pd.DataFrame(rows, columns=columns + extra).set_index("id")


def _flatten(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, dict):
            flat.update(_flatten(item, f"{prefix}{key}."))
        elif prefix or key not in _PARTS:
            flat[prefix + key] = item
    return flat


_PARTS = {
    "case": Case,
    "weights": Weights,
    "timing": Timing,
    "throughput": Throughput,
    "speedup_same_precision": Speedup,
    "speedup_fp32": Speedup,
    "speedup_static": Speedup,
    "memory": Memory,
    "build": Build,
    "precision": EffectivePrecision,
    "gpu_state": GpuState,
}
_OPEN = {"environment", "fidelity", "files", "details"}  # free-form: columns only where there is a value


def _columns(cls: type, prefix: str = "") -> list[str]:
    assert is_dataclass(cls)  # noqa: S101 - narrows the type
    names = []
    for item in fields(cls):
        if prefix == "" and item.name in _PARTS:
            names += _columns(_PARTS[item.name], f"{item.name}.")
        elif item.name not in _OPEN:
            names.append(prefix + item.name)
    return names
