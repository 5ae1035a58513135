"""What waits for a worker, what it becomes, and why it may become nothing."""

import asyncio
import time
from dataclasses import dataclass, field

from bench.serve.engine import Samples


class NoWorkerError(RuntimeError):
    """No worker could do the item; another time may be better."""


class VocodeError(RuntimeError):
    """The worker raised at this item."""


@dataclass(frozen=True)
class Answer:
    """What an item became.

    Attributes:
        wave: float32 ``(samples,)``.
        backend: What ran.
        fallback: Whether eager stood in for the case's backend.
        queue_s: How long it waited.
        run_s: How long its inference took.
        items: Items of that inference.
    """

    wave: Samples
    backend: str
    fallback: bool
    queue_s: float
    run_s: float
    items: int


@dataclass(eq=False)
class Item:
    """What waits.

    Attributes:
        mel: float32 ``(bands, frames)``.
        future: Becomes its answer.
        arrived_s: When it came.
        tries: Workers that ended over it.
    """

    mel: Samples
    future: "asyncio.Future[Answer]"
    arrived_s: float = field(default_factory=time.monotonic)
    tries: int = 0

    @property
    def frames(self) -> int:
        """Of the mel."""
        return int(self.mel.shape[1])


def settle(item: Item, outcome: Answer | Exception) -> None:
    """Gives an item its outcome, unless it has one."""
    if item.future.done():
        return
    if isinstance(outcome, Answer):
        item.future.set_result(outcome)
    else:
        item.future.set_exception(outcome)
