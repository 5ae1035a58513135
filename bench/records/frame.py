"""Records as a table."""

from collections.abc import Iterable
from dataclasses import fields
from typing import TYPE_CHECKING, Any, get_type_hints

from bench.records.facts import part_types
from bench.records.jsonl import as_data
from bench.records.kind import KINDS, Result
from bench.records.schema import Record

if TYPE_CHECKING:
    import pandas as pd


def records_frame(records: Iterable[Record]) -> "pd.DataFrame":
    """One row a record; nested fields joined with a dot (``timing.median_ms``), ``id`` as the index.

    Every figure of a speed record has its column, empty or not, so that a frame of failures has the same columns;
    figures of other kinds have theirs, under the kind's own prefix (``fidelity.snr_db``), where there are any.
    """
    # Records are read by workers and commands that have no use for pandas.
    import pandas as pd

    columns = ["id", *_columns(Record)]
    rows = [{"id": record.id, **_row(record, frozenset(columns))} for record in records]
    extra = sorted({key for row in rows for key in row} - set(columns))
    # Copied into few blocks: a frame of a hundred columns from rows is one of many, which pandas warns of.
    return pd.DataFrame(rows, columns=columns + extra).set_index("id").copy()


def _row(record: Record, columns: frozenset[str]) -> dict[str, Any]:
    data = as_data(record)
    result = data.pop("result")
    row = _flatten(data)
    if record.result is not None:
        row.update(_flatten(result, record.result.columns))
    # A part that is missing altogether has the columns of its fields, and none of its own.
    return {key: item for key, item in row.items() if item is not None or "." in key or key in columns}


def _flatten(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, dict):
            flat.update(_flatten(item, f"{prefix}{key}."))
        else:
            flat[prefix + key] = item
    return flat


def _columns(cls: type, prefix: str = "") -> list[str]:
    """Columns of a dataclass: its scalar fields and those of its parts; open tables have them where they are filled."""
    names = []
    hints = get_type_hints(cls)
    for item in fields(cls):
        if hints[item.name] == Result | None:
            for kind in KINDS.values():
                names += _columns(kind) if kind.columns == "" else []
        elif parts := part_types(hints[item.name]):
            names += _columns(parts[0], f"{prefix}{item.name}.")
        elif not _is_open(hints[item.name]):
            names.append(prefix + item.name)
    return names


def _is_open(hint: Any) -> bool:
    return getattr(hint, "__origin__", None) is dict
