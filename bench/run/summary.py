"""What a terminal says of a sweep at its end."""

from collections import Counter
from pathlib import Path

from bench.records.schema import FILE_NAME
from bench.run.whole import Sweep

_MISSING_SHOWN = 5


def summary(sweep: Sweep) -> list[str]:
    """How the cases ended, what is missing, and where the records are."""
    records = sweep.records()
    last = {(record.kind, record.id): record for record in records}.values()
    counts = Counter(record.status for record in last)
    lines = [", ".join(f"{count} {status}" for status, count in counts.items()) or "no record"]
    names = dict.fromkeys(record.weights.name for record in records if record.weights)
    if names:
        lines.append(f"weights: {'; '.join(names)}")
    lines += [f"warning: {warning}" for warning in sweep.warnings]
    missing = sweep.plan.missing(records) if sweep.plan else []
    if missing:
        some = ", ".join(f"{kind} of {name}" for kind, name in missing[:_MISSING_SHOWN])
        dots = ", ..." if len(missing) > _MISSING_SHOWN else ""
        lines.append(f"incomplete: {len(missing)} records are missing: {some}{dots}")
        lines.append(f"go on with: pytest suites/ --resume {shown(sweep.settings.directory)}")
    return [*lines, shown(sweep.settings.directory / FILE_NAME)]


def shown(path: Path) -> str:
    """A path as short as it can be said from here."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
