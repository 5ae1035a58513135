"""What a terminal says of a sweep before its first case and at its end."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bench.records.plan import Key
from bench.records.schema import FILE_NAME
from bench.run.job import Kind
from bench.run.progress import duration
from bench.run.whole import Sweep

_MISSING_SHOWN = 5


def time_needed(sweep: Sweep, keys: Sequence[Key]) -> str:
    """How long a sweep will take, as far as anybody can say before it.

    Args:
        sweep: About to begin.
        keys: Kind and case id of what it does.
    """
    seconds = sweep.expected_s(keys)
    if seconds is None:
        rounds_s = sum(kind == Kind.SPEED for kind, _ in keys) * sweep.settings.stop.time_limit_s
        timed = f"about {duration(rounds_s)} of timed rounds if every case runs"
        return f"{timed}; starts, builds, sound and streams come on top"
    return f"about {duration(seconds)}" + (
        " with the other work that runs now; less without it" if sweep.loaded else ""
    )


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
