"""Names of runs."""

from collections.abc import Iterator
from datetime import datetime
from itertools import count


def run_ids(now: datetime) -> Iterator[str]:
    """Names for a run, in the order to try them; all sort by time.

    Args:
        now: The present, in UTC.

    >>> from itertools import islice
    >>> list(islice(run_ids(datetime(2026, 11, 28, 5, 2, 9)), 2))
    ['20261128T050209Z', '20261128T050209Z-2']
    """
    name = now.strftime("%Y%m%dT%H%M%SZ")
    yield name
    for number in count(2):
        yield f"{name}-{number}"
