"""``vocoder-bench engines build``: the engines of a sweep, several at once, each by a process of its own.

A build takes minutes and may crash inside the library. Here that costs its own engine only, and the sweep afterwards
finds the others in the cache.
"""

import queue
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace

from bench.backends import find_backend
from bench.case import Case
from bench.records.schema import Build, Record, Status
from bench.run.job import Job, Kind
from bench.run.limits import Limits
from bench.run.session import Session, outcome
from bench.run.settings import Settings
from bench.run.worker import Worker

# What a machine or a library cannot do is no failure of a build.
_WITHOUT = (Status.UNSUPPORTED, Status.UNAVAILABLE)


def engine_cases(cases: Iterable[Case], static_baseline: str = "all") -> list[Case]:
    """One case for every engine that these cases keep in the cache.

    Args:
        cases: Of a sweep.
        static_baseline: As :attr:`bench.run.settings.Settings.static_baseline`; engines for one shape that it asks
            for are added.
    """
    found: dict[tuple[Case, str], Case] = {}
    for case in cases:
        backend = find_backend(case.backend)
        if not backend.keeps_engines:
            continue
        static = None
        if static_baseline != "off":
            static = backend.static_baseline(case, anywhere=static_baseline == "all")
        for wanted in (case, static):
            if wanted is not None:
                found.setdefault(_engine(wanted), wanted)
    return list(found.values())


def _engine(case: Case) -> tuple[Case, str]:
    """What tells engines apart: not how they are run, and not the shape where they take a range."""
    bare = case.without("cuda_graph")
    shapes = dict(case.options).get("shapes", "static")
    return (bare if shapes == "static" else replace(bare, batch=0, frames=0)), shapes


def build_one(case: Case, session: Session) -> Record:
    """Builds or finds the engine of a case, and loads it.

    Returns:
        A record with the build, or with the reason why there is no engine. It is not a measurement.
    """

    def work() -> dict[str, Build]:
        with session.open(case) as prepared:
            return {"build": prepared.runner.build}

    return outcome(case, session, Kind.BUILD.record_kind, work)


@dataclass(frozen=True)
class Places:
    """Where builds run.

    Attributes:
        devices: Such as ``cuda:0``.
        workers: Builds at once on a device.
        time_limit_s: Seconds after which a build is killed; None for no limit.
    """

    devices: Sequence[str]
    workers: int = 1
    time_limit_s: float | None = None


def build_all(
    cases: Sequence[Case],
    settings: Settings,
    places: Places,
    say: Callable[[str], None],
    make_worker: Callable[[], Worker] = Worker,
) -> bool:
    """Builds engines in processes of their own.

    Args:
        cases: One an engine.
        settings: Of the sweep; the device is each process's own.
        places: Where, how many at once and for how long.
        say: Takes a line for every engine, as it is done.
        make_worker: Makes the worker of one build.

    Returns:
        Whether every engine that can be had is there.

    Raises:
        InputError: what the user gave cannot be used.
    """
    free: queue.SimpleQueue[str] = queue.SimpleQueue()
    for device in [*places.devices] * places.workers:
        free.put(device)
    running: set[Worker] = set()
    limits = Limits(case_s=places.time_limit_s, build_s=places.time_limit_s)

    def build(case: Case) -> tuple[bool, str]:
        device = free.get()
        try:
            with make_worker() as worker:
                running.add(worker)
                try:
                    record = worker.do(Job(Kind.BUILD, case, replace(settings, device=device)), limits)
                finally:
                    running.discard(worker)
        finally:
            free.put(device)
        return _line(record)

    complete = True
    pool = ThreadPoolExecutor(len(places.devices) * places.workers)
    try:
        for future in as_completed([pool.submit(build, case) for case in cases]):
            there, line = future.result()
            complete &= there
            say(line)
    except BaseException:
        # A wrong input or Ctrl-C ends everything: no other build begins, and those that run are killed.
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in list(running):
            worker.stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    return complete


def _line(record: Record) -> tuple[bool, str]:
    """Whether there is an engine, or none to be had, and the line that says so."""
    name = record.case.id
    if record.status is not Status.OK or record.build is None:
        return record.status in _WITHOUT, f"{record.status} {name} on {record.device}: {record.reason}"
    size = f"{(record.build.engine_bytes or 0) / 2**20:.0f} MiB"
    if record.build.from_cache:
        return True, f"kept {name}: {size}"
    return True, f"built {name} on {record.device}: {record.build.cost_s:.0f} s, {size}"
