"""A backend that fails on demand: copied into the backends' folder, ``faulty:at=STAGE:how=WAY``."""

import ctypes
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from bench.backend import Backend, Request, Runner, register
from bench.backends.eager import Eager
from bench.case import Case
from bench.errors import InputError
from bench.records.schema import EffectivePrecision


class OddError(BaseException):
    """What no ``except Exception`` catches."""


def raise_it(error: BaseException) -> None:
    """Raises, where an expression is wanted."""
    raise error


def allocate() -> None:
    """Takes memory until there is none."""
    hold = []
    while True:
        hold.append(bytearray(1 << 26))


def forked() -> None:
    """A child that comes back into the suite's code."""
    if os.fork() == 0:
        raise RuntimeError("a child that escaped")


WAYS: dict[str, Callable[[], object]] = {
    "raise": lambda: raise_it(RuntimeError("planted: it raises\nsecond line")),
    "input": lambda: raise_it(InputError("planted input error")),
    "segv": lambda: ctypes.string_at(0),
    "abort": os.abort,
    "exit0": lambda: os._exit(0),
    "exit7": lambda: os._exit(7),
    "sysexit": lambda: sys.exit(3),
    "interrupt": lambda: raise_it(KeyboardInterrupt()),
    "base": lambda: raise_it(OddError("planted base exception")),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "hang": lambda: time.sleep(3600),
    "memory": allocate,
    "torchmemory": lambda: torch.empty(1 << 46),
    "chdir": lambda: os.chdir("/"),
    "threads": lambda: torch.set_num_threads(2),
    "float64": lambda: torch.set_default_dtype(torch.float64),
    "warn": lambda: warnings.warn("planted warning", stacklevel=1),
    "closestd": lambda: os.closerange(1, 3),
    "fork": forked,
}

SPOILT: dict[str, Callable[[Tensor], object]] = {
    "double": lambda wave: wave.to(torch.float64),
    "int16": lambda wave: (wave * 32767).to(torch.int16),
    "constant": torch.ones_like,
    "silent": torch.zeros_like,
    "nan": lambda wave: wave.clone().index_fill_(-1, torch.tensor([5]), float("nan")),
    "loud": lambda wave: wave * 1e30,
    "longer": lambda wave: torch.cat([wave, wave], -1),
    "nothing": lambda _: None,
}


def details(how: str) -> dict[str, object]:
    """Build details that JSON cannot hold."""
    cycle: list[object] = []
    cycle.append(cycle)
    values: dict[str, object] = {
        "nan": float("nan"),
        "set": {1},
        "bytes": b"x",
        "tensor": torch.ones(2),
        "cycle": cycle,
        "surrogate": "\udcff",
    }
    return {"planted": values[how]}


@register
class Faulty(Backend):
    """Eager, but for what its options or ``FAULTY`` in the environment (``STAGE:WAY``) ask for."""

    name = "faulty"
    options = ("at", "how")

    def unavailable_reason(self, _: torch.device) -> str | None:
        """None, or a fault."""
        self._by_environment("unavailable")
        return f"it is away, says process {os.getpid()}" if os.environ.get("FAULTY") == "away" else None

    def check(self, _: Case) -> None:
        """Nothing, or a fault."""
        self._by_environment("check")

    def _by_environment(self, stage: str) -> None:
        at, _, how = os.environ.get("FAULTY", "").partition(":")
        if at == stage:
            WAYS[how]()

    def prepare(self, request: Request) -> Runner:  # noqa: C901 - one branch a fault
        """Eager's runner, spoilt."""
        options = dict(request.case.options)
        at, how = options.get("at", ""), options.get("how", "")
        if at == "prepare" and how == "changes":
            for value in request.vocoder.parameters():
                value.data.zero_()
        if at == "prepare" and how == "norunner":
            return None  # type: ignore[return-value]
        if at == "prepare" and how in WAYS:
            WAYS[how]()
        runner = Eager().prepare(request)
        first: list[Tensor] = []

        def run(mel: Tensor) -> Tensor:
            wave = runner.run(mel)
            if at != "run":
                return wave
            if how == "stale":
                first.append(wave)
                return first[0]
            if how == "eats":
                mel.zero_()
                return wave
            if how in SPOILT:
                return SPOILT[how](wave)  # type: ignore[return-value]
            WAYS[how]()
            return wave

        def effective(mel: Tensor) -> EffectivePrecision:
            if at == "effective":
                return None  # type: ignore[return-value]
            return runner.effective(mel)

        build = replace(runner.build, details=details(how)) if at == "details" else runner.build

        def close() -> None:
            if at == "close":
                WAYS[how]()

        return replace(runner, run=run, effective=effective, close=close, build=build)


if os.environ.get("FAULTY", "").startswith("import:"):
    WAYS[os.environ["FAULTY"].partition(":")[2]]()
if "FAULTY_SAYS" in os.environ:
    Path(os.environ["FAULTY_SAYS"]).write_text("imported", encoding="utf-8")
