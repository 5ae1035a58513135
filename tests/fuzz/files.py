"""Fuzzes every reader of a user's files: ``python -m tests.fuzz.files --seconds 1200``.

Good files are changed at random - bytes, numbers, lengths, nesting - and read. An answer and an
:class:`~bench.errors.InputError` are right; any other exception, a read of over ten seconds and an address space over
the limit (which ends in a MemoryError, so in a finding) are findings, each printed with the file that makes it.
"""

import argparse
import json
import logging
import random
import resource
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import torch

from bench.audio.mel import audio_identity, default_speech, log_mel
from bench.compare.history import append_history, read_history, trend
from bench.compare.thresholds import DEFAULT_FILE, load_thresholds
from bench.engine_cache import EngineCache
from bench.errors import InputError
from bench.records.jsonl import append_record
from bench.run.sweep import load_profile, profile_directory
from bench.spec import V3
from bench.vocoders import load_vocoder
from tests.comparing import record
from tests.conftest import SMALL_V3, small_v3

KINDS = ("config", "checkpoint", "old checkpoint", "audio", "sweep", "thresholds", "history", "engine")
LIMIT_S = 10.0
LIMIT_BYTES = 2 << 30
KEY = {"version": "v4", "backend": "tensorrt-onnx", "precision": "fp16"}
_EXTREMES = (
    b"0",
    b"-1",
    b"1e999",
    b"NaN",
    b"9" * 400,
    b"null",
    b"true",
    b'"x"',
    b"[" * 3000,
    b"\xff\xfe",
    b"\0",
    b"{}",
)


def seed_of(kind: str, folder: Path) -> tuple[Path, Callable[[], object]]:
    """A good file of a kind, and what reads it."""
    if kind in ("config", "checkpoint", "old checkpoint"):
        model = folder / "bigvgan_generator.pt"
        (folder / "config.json").write_text(json.dumps(SMALL_V3), encoding="utf-8")
        small = small_v3(upsample_initial_channel=64)
        torch.save(small.state_dict(), model, _use_new_zipfile_serialization=kind != "old checkpoint")
        return (folder / "config.json" if kind == "config" else model), lambda: load_vocoder("v3", folder)
    if kind == "audio":
        file = folder / "speech.flac"
        file.write_bytes(default_speech().read_bytes())
        return file, lambda: (log_mel(file, V3), audio_identity(file))
    if kind == "sweep":
        file = folder / "sweep.toml"
        file.write_bytes((profile_directory() / "smoke.toml").read_bytes() + b"\n[stop]\nmin_rounds = 3\n")
        return file, lambda: load_profile(str(file)).cases()
    if kind == "thresholds":
        file = folder / "thresholds.toml"
        file.write_bytes(DEFAULT_FILE.read_bytes())
        return file, lambda: load_thresholds(file)
    if kind == "history":
        append_record(folder / "run", record(1))
        [file] = append_history(folder / "run", folder / "history")
        return file, lambda: trend(read_history(folder / "history"))
    cache = EngineCache(folder / "engines", 1 << 30)
    made = cache.fetch(KEY, lambda: bytes(range(256)) * 8)
    assert made.file is not None

    def read() -> object:
        kept = EngineCache(folder / "engines", 1 << 30)
        found = kept.fetch(KEY, lambda: bytes(range(256)) * 8)
        assert found.plan == bytes(range(256)) * 8
        return kept.entries(), kept.entries(checked=True)

    return made.file, read


def changed(content: bytes, chance: random.Random) -> bytes:
    """The content with one to four changes, most of them near its start, where headers are."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        start = min(
            len(data), int(chance.expovariate(1 / 300)) if chance.random() < 0.7 else chance.randrange(len(data) + 1)
        )
        length = chance.randint(1, 12)
        way = chance.randrange(5)
        if way == 0:
            data[start : start + length] = chance.randbytes(length)
        elif way == 1:
            data[start : start + length] = chance.choice(_EXTREMES)
        elif way == 2:
            del data[start:]
        elif way == 3:
            data[start:start] = data[start : start + 200] * chance.randint(1, 20)
        else:
            data[start : start + 4] = chance.choice((b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff", b"\0\0\0\0"))
    return bytes(data)


def fuzz(kind: str, folder: Path, rounds: int, seed: int) -> list[str]:
    """What went wrong with ``rounds`` changed files of a kind."""
    file, read = seed_of(kind, folder)
    content = file.read_bytes()
    chance = random.Random(f"{kind} {seed}")  # noqa: S311 - no secret
    # Engines that are not used are said to be built again; that is no finding.
    logging.getLogger("bench").setLevel(logging.ERROR)
    findings = []
    for number in range(rounds):
        file.write_bytes(changed(content, chance))
        started = time.monotonic()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read()
        except InputError as error:
            if not str(error).isprintable():
                findings.append(f"{kind} {number}: not one printable sentence: {str(error)!r}")
        except Exception:  # noqa: BLE001 - that is what is looked for
            kept = Path(tempfile.mkdtemp(prefix="finding-")) / file.name
            kept.write_bytes(file.read_bytes())
            findings.append(f"{kind} {number}, kept as {kept}: {traceback.format_exc()}")
        if time.monotonic() - started > LIMIT_S:
            findings.append(f"{kind} {number}: took {time.monotonic() - started:.0f} s")
    return findings


def main() -> int:
    """Fuzzes until the time is over; 1 when something was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1200.0)
    parser.add_argument("--rounds", type=int, default=50, help="files of a kind before the next one (50)")
    arguments = parser.parse_args()
    used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + LIMIT_BYTES, resource.RLIM_INFINITY))
    deadline, seed, count, found = time.monotonic() + arguments.seconds, 0, 0, 0
    while time.monotonic() < deadline:
        for kind in KINDS:
            with tempfile.TemporaryDirectory() as folder:
                findings = fuzz(kind, Path(folder), arguments.rounds, seed)
            count, found = count + arguments.rounds, found + len(findings)
            sys.stdout.write("".join(f"{finding}\n" for finding in findings))
        seed += 1
    sys.stdout.write(f"{count} files, {found} findings\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
