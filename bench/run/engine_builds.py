"""``python -m bench engines build``: the engines of a sweep, several at once, each by a process of its own.

A build takes minutes and may crash inside the library. Here that costs its own engine only, and the sweep afterwards
finds the others in the cache.
"""

import json
import queue
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, replace

from bench.backends import find_backend
from bench.case import Case
from bench.errors import InputError
from bench.records.jsonl import dump_record, load_record
from bench.records.schema import Build, Record, Status
from bench.run.session import outcome, prepare
from bench.run.settings import Settings

COMMAND = (sys.executable, "-m", "bench.run.engine_builds")
# What a machine or a library cannot do is no failure of a build.
_WITHOUT = (Status.UNSUPPORTED, Status.UNAVAILABLE)


def engine_cases(cases: Iterable[Case], twins: str = "all") -> list[Case]:
    """One case for every engine that these cases keep in the cache.

    Args:
        cases: Of a sweep.
        twins: As :attr:`bench.run.settings.Settings.twins`; engines for one shape that they ask for are added.
    """
    found: dict[tuple[Case, str], Case] = {}
    for case in cases:
        backend = find_backend(case.backend)
        if not backend.keeps_engines:
            continue
        twin = None if twins == "off" else backend.static_twin(case, anywhere=twins == "all")
        for wanted in (case, twin):
            if wanted is not None:
                found.setdefault(_engine(wanted), wanted)
    return list(found.values())


def _engine(case: Case) -> tuple[Case, str]:
    """What tells engines apart: not how they are run, and not the shape where they take a range."""
    bare = case.without("cuda_graph")
    shapes = dict(case.options).get("shapes", "static")
    return (bare if shapes == "static" else replace(bare, batch=0, frames=0)), shapes


def build_one(case: Case, settings: Settings) -> Record:
    """Builds or finds the engine of a case, and loads it.

    Returns:
        A record with the build, or with the reason why there is no engine. It is not a measurement.
    """

    def work() -> dict[str, Build]:
        runner = prepare(case, settings).runner
        runner.close()
        return {"build": runner.build}

    return outcome(case, settings, "speed", work)


def build_all(
    cases: Sequence[Case],
    settings: Settings,
    devices: Sequence[str],
    workers: int,
    say: Callable[[str], None],
    command: Sequence[str] = COMMAND,
) -> bool:
    """Builds engines in processes of their own.

    Args:
        cases: One an engine.
        settings: Of the sweep; the device is each process's own.
        devices: Where to build, such as ``cuda:0``.
        workers: Builds at once on a device.
        say: Takes a line for every engine, as it is done.
        command: What builds one, given a job on standard input.

    Returns:
        Whether every engine that can be had is there.
    """
    free: queue.SimpleQueue[str] = queue.SimpleQueue()
    for device in [*devices] * workers:
        free.put(device)

    def build(case: Case) -> tuple[bool, str]:
        device = free.get()
        try:
            job = json.dumps({"case": asdict(case), "settings": _plain(replace(settings, device=device))})
            done = subprocess.run(  # noqa: S603 - our own module
                command, input=job, capture_output=True, text=True, check=False
            )
        finally:
            free.put(device)
        return _told(case, device, done)

    complete = True
    pool = ThreadPoolExecutor(len(devices) * workers)
    try:
        for future in as_completed([pool.submit(build, case) for case in cases]):
            there, line = future.result()
            complete &= there
            say(line)
    finally:
        # Interrupted, it waits for the builds that run, which the terminal interrupts too, and starts no others.
        pool.shutdown(cancel_futures=True)
    return complete


def _plain(settings: Settings) -> dict[str, object]:
    return {name: value for name, value in asdict(settings).items() if name != "stop"}


def _told(case: Case, device: str, done: "subprocess.CompletedProcess[str]") -> tuple[bool, str]:
    """Whether there is an engine, or none to be had, and the line that says so."""
    record = _record(done.stdout)
    last = (done.stderr.strip().splitlines() or [""])[-1]
    if done.returncode == 2:
        raise InputError(last.removeprefix("error: ") or "the build was refused")
    # A record is printed when the engine is kept; what happens to the process after that is no matter.
    if record is None:
        how = f"signal {signal.Signals(-done.returncode).name}" if done.returncode < 0 else f"exit {done.returncode}"
        return False, f"crashed ({how}) {case.id} on {device}{f': {last}' if last else ''}"
    if record.status is not Status.OK or record.build is None:
        return record.status in _WITHOUT, f"{record.status} {case.id}: {record.reason}"
    size = f"{(record.build.engine_bytes or 0) / 2**20:.0f} MiB"
    if record.build.from_cache:
        return True, f"kept {case.id}: {size}"
    return True, f"built {case.id} on {device}: {record.build.cost_s:.0f} s, {size}"


def _record(text: str) -> Record | None:
    """The record that a process printed last; libraries print, too."""
    for line in reversed(text.splitlines()):
        try:
            return load_record(line)
        except InputError:
            continue
    return None


def main() -> int:
    """One build, whose job is JSON on standard input; prints its record."""
    job = json.load(sys.stdin)
    case, settings = job["case"], job["settings"]
    case["options"] = tuple(map(tuple, case["options"]))
    settings["weights"] = tuple(settings["weights"])
    try:
        record = build_one(Case(**case), Settings(**settings))
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(dump_record(record) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
