"""Backends with a fault or a limit, planted beside the real ones."""

import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest
import torch
from torch import Tensor

from bench import backend as base
from bench.backend import Backend, Request, Runner, register
from bench.backends import backends
from bench.backends.eager import Eager, place
from bench.errors import UnsupportedError


@dataclass
class Planted:
    """What a planted backend does, and what happened to it.

    Attributes:
        only: Lengths that it takes; empty for any.
        louder: Factor on its output.
        delay_s: Between computing and returning, with the result in a buffer that every call shares.
        refuses: Versions that it does not prepare.
        closed: How many runners were closed.
        networks: The networks that runners hold.
        at_once: Most calls that ran at the same time.
    """

    only: bool = False
    louder: float = 1.0
    delay_s: float = 0.0
    refuses: tuple[str, ...] = ()
    closed: int = 0
    networks: list[weakref.ref[torch.nn.Module]] = field(default_factory=list)
    at_once: int = 0
    running: int = 0
    buffers: dict[tuple[int, ...], Tensor] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def prepare(self, request: Request) -> Runner:
        """Eager with what was planted."""
        if request.case.version in self.refuses:
            raise UnsupportedError(f"planted: not for {request.case.version}.")
        runner, network = Eager().prepare(request), place(request)
        self.networks.append(weakref.ref(network))

        def run(mel: Tensor) -> Tensor:
            with self.lock:
                self.running += 1
                self.at_once = max(self.at_once, self.running)
            wave = network(mel) * self.louder
            buffer = self.buffers.setdefault(tuple(wave.shape), torch.empty_like(wave))
            buffer.copy_(wave)
            time.sleep(self.delay_s)
            with self.lock:
                self.running -= 1
            return buffer

        def close() -> None:
            self.closed += 1

        takes = (lambda _: False) if self.only else runner.takes
        return replace(runner, run=run, takes=takes, close=close)


@pytest.fixture
def planted() -> Iterator[Planted]:
    """A backend ``planted``, whose output's memory is used again by every call, as runners may."""
    before = dict(backends())
    state = Planted()

    class PlantedBackend(Backend):
        """Does what the test says."""

        name = "planted"

        def unavailable_reason(self, _: torch.device) -> str | None:
            """It is always there."""
            return None

        def prepare(self, request: Request) -> Runner:
            """What was planted."""
            return state.prepare(request)

    register(PlantedBackend)
    yield state
    base.REGISTRY.clear()
    base.REGISTRY.update(before)
