"""What figures call configurations."""

from collections.abc import Iterable

from bench.records.rows import Group
from bench.report.text import short


def labels_of(group: Group) -> dict[str, str]:
    """What figures call each configuration of a group."""
    return labels(row.configuration for row in (*group.rows, *group.judged))


def labels(names: Iterable[str]) -> dict[str, str]:
    """Configurations as figures call them: without the options that all with options share, and short.

    Two that would then be called the same keep what they are called in tables.

    >>> labels(["eager fp16", "tensorrt fp16 level=1", "tensorrt fp16 level=1 shapes=dynamic"])["tensorrt fp16 level=1"]
    'tensorrt fp16'
    """
    distinct = list(dict.fromkeys(names))
    options = [{part for part in name.split(" ") if "=" in part} for name in distinct]
    given = [parts for parts in options if parts]
    shared = set.intersection(*given) if len(given) > 1 else set()
    told = {name: " ".join(part for part in name.split(" ") if part not in shared) for name in distinct}
    for found in ({name: short(told[name]) for name in distinct}, told):
        if len(set(found.values())) == len(distinct):
            return found
    return {name: name for name in distinct}
