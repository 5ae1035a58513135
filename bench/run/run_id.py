"""Names of runs."""

from datetime import datetime
from pathlib import Path


def new_run_id(now: datetime, results: Path) -> str:
    """A name that sorts by time and that no run in ``results`` has.

    Args:
        now: The present, in UTC.
        results: Directory of all runs.
    """
    name = now.strftime("%Y%m%dT%H%M%SZ")
    number = 1
    candidate = name
    while (results / candidate).exists():
        number += 1
        candidate = f"{name}-{number}"
    return candidate
