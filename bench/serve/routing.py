"""Which worker gets the next item."""

from collections.abc import Sequence


def choose(loads: Sequence[int | None], policy: str, turn: int) -> int | None:
    """The worker for the next item.

    Args:
        loads: Frames that wait or run at each worker; None for one that takes nothing now.
        policy: ``"least-loaded"``, the first of the least loaded ones from ``turn`` on; or ``"round-robin"``, the next
            one from ``turn`` on that takes items.
        turn: Items that were routed before.

    Returns:
        Its index; None where no worker takes items.

    >>> choose([500, 100, 100], "least-loaded", turn=0)
    1
    >>> choose([500, None, 100], "round-robin", turn=1)
    2
    """
    order = [(turn + step) % len(loads) for step in range(len(loads))]
    ready = [(load, place, index) for place, index in enumerate(order) if (load := loads[index]) is not None]
    if not ready:
        return None
    return min(ready)[2] if policy == "least-loaded" else min(ready, key=lambda one: one[1])[2]
