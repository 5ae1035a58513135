"""Fuzzes every reader of a user's files.

    python tools/fuzz.py --minutes 20
    python tools/fuzz.py --minutes 5 --kinds audio,config --seed 7 --keep /tmp/findings

Good files are spoiled at random (tests/fuzz has the kinds) and read as the commands read them. An answer and an
InputError of one printable sentence are right. Any other exception, a read that takes over ten seconds or 2 GiB, and
the death of the process are findings; each fault is printed once, with the number of times and a file that shows it.

Files are read in forked processes, twenty each, which a watch kills. Ends with 1 where anything was found.
"""

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import psutil
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.fuzz import files  # noqa: E402 - the tree has to be in the search path first

ROUNDS = 20
LIMIT_BYTES = 2 << 30
# A read that waits uses no processor time; one that has to share its processor may take longer than its own.
WAIT_LIMIT_S = 60.0
FORK = multiprocessing.get_context("fork")


def read_files(kind: str, folder: str, seed: int, pipe: Connection) -> None:
    """Reads spoiled files and sends the number of each, and every finding."""
    torch.set_num_threads(1)
    # Decoders in C talk.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    for finding in files.findings(kind, Path(folder), ROUNDS, seed, pipe.send):
        pipe.send(finding)
    pipe.send(None)


def watch(kind: str, seed: int) -> tuple[int, list[files.Finding]]:
    """Files that were read, and what went wrong with them.

    A file that ends its process ends the round.
    """
    with tempfile.TemporaryDirectory() as folder:
        receive, send = FORK.Pipe(duplex=False)
        process = FORK.Process(target=read_files, args=(kind, folder, seed, send))
        process.start()
        send.close()
        try:
            return _follow(kind, seed, psutil.Process(process.pid), receive)
        finally:
            process.kill()
            process.join()


def _follow(kind: str, seed: int, process: psutil.Process, receive: Connection) -> tuple[int, list[files.Finding]]:
    found: list[files.Finding] = []
    count, usual, began, used_s = 0, process.memory_info().rss, time.monotonic(), 0.0
    while True:
        try:
            message = receive.recv() if receive.poll(0.05) else ""
        except EOFError:
            return count, [*found, _killed(kind, seed, count - 1, "the process died", "died")]
        if message is None:
            return count, found
        if isinstance(message, files.Finding):
            found.append(message)
        elif isinstance(message, int):
            count, began, used_s = message + 1, time.monotonic(), _processor_s(process)
        if process.memory_info().rss > usual + LIMIT_BYTES:
            return count, [*found, _killed(kind, seed, count - 1, "took over 2 GiB", "memory")]
        waited = time.monotonic() - began > WAIT_LIMIT_S
        if count and (waited or _processor_s(process) - used_s > files.LIMIT_S):
            return count, [*found, _killed(kind, seed, count - 1, "took over 10 s", "slow")]


def _processor_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _killed(kind: str, seed: int, number: int, what: str, place: str) -> files.Finding:
    """A finding of a process that cannot say itself what it read: the file is made again."""
    content = files.content(kind, number, seed) if number >= 0 else b""
    return files.Finding(kind, number, content, what, place)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzzes until the time is over; 1 when something was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=0, help="of the first round; each round has the next (0)")
    parser.add_argument("--kinds", default=",".join(files.KINDS), help="which files (all)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where a file of every fault is kept")
    given = parser.parse_args(arguments)
    kinds = given.kinds.split(",")
    unknown = set(kinds) - set(files.KINDS)
    if unknown:
        parser.error(f"there is no kind {', '.join(sorted(unknown))}; choose from {', '.join(files.KINDS)}")
    keep = given.keep or Path(tempfile.mkdtemp(prefix="findings-"))
    keep.mkdir(parents=True, exist_ok=True)
    deadline, seed = time.monotonic() + 60 * given.minutes, given.seed
    counts: Counter[str] = Counter()
    faults: Counter[tuple[str, str]] = Counter()
    while time.monotonic() < deadline:
        for kind in kinds:
            if time.monotonic() >= deadline or (kind in files.SLOW and seed % 5):
                continue
            count, found = watch(kind, seed)
            counts[kind] += count
            for finding in found:
                fault = (kind, finding.place)
                if not faults[fault]:
                    file = keep / f"{len(faults)}-{kind.replace(' ', '-')}"
                    file.write_bytes(finding.content)
                    print(f"{kind}, seed {seed}, file {finding.number}, kept as {file}:\n{finding.what}\n", flush=True)
                faults[fault] += 1
        seed += 1
    for kind in kinds:
        print(f"{kind}: {counts[kind]} files")
    for (kind, place), times in faults.most_common():
        print(f"{times} times: {kind}: {place}")
    print(f"together: {counts.total()} files, {faults.total()} findings of {len(faults)} faults; next seed {seed}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
