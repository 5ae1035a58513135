"""``python -m bench engines list|verify|prune|clear``."""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.engines import GIB, EngineStore, Entry, default_store
from bench.errors import InputError

VERBS = {
    "list": "what is kept, for how long, and how large",
    "verify": "compare every checksum; 1 when one is wrong",
    "prune": "remove what is corrupt, left over, or beyond the limit",
    "clear": "remove everything",
}


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser("engines", help="the cache of built engines")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, text in VERBS.items():
        command = verbs.add_parser(verb, help=text)
        command.add_argument("--folder", metavar="DIR", help="the cache (default: the user's)")
        if verb == "prune":
            command.add_argument("--limit-gib", type=float, metavar="N", help="keep at most this much")
            command.add_argument("--older-than-days", type=float, metavar="N", help="remove what was not used since")
        command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs one verb and returns its exit code."""
    if arguments.folder is not None and not Path(arguments.folder).expanduser().is_dir():
        raise InputError(f"there is no folder {arguments.folder}; --folder names an engine cache")
    store = default_store(arguments.folder)
    if arguments.verb == "verify":
        return _verify(store)
    if arguments.verb == "list":
        entries = store.entries()
        _print_table(entries)
        engines = sum(entry.size_bytes for entry in entries)
        _say(f"{store.folder}: {len(entries)} files, {_size(engines)} of at most {_size(store.limit_bytes)}")
        return 0
    gone = store.clear() if arguments.verb == "clear" else _prune(store, arguments)
    for entry in gone:
        _say(f"removed {entry.file.name}{f': {entry.fault}' if entry.fault else ''}")
    _say(f"{store.folder}: {len(gone)} files removed, {_size(sum(entry.size_bytes for entry in gone))} freed")
    return 0


def _prune(store: EngineStore, arguments: argparse.Namespace) -> list[Entry]:
    limit_gib, days = arguments.limit_gib, arguments.older_than_days
    for name, value in (("--limit-gib", limit_gib), ("--older-than-days", days)):
        if value is not None and not 0 <= value < 1e6:
            raise InputError(f"{name} is a number from 0, not {value:g}")
    if limit_gib is not None:
        store = replace(store, limit_bytes=round(limit_gib * GIB))
    return store.prune(None if days is None else days * 86400)


def _verify(store: EngineStore) -> int:
    entries = store.entries(checked=True)
    faulty = [entry for entry in entries if entry.fault]
    for entry in faulty:
        _say(f"BAD {entry.file.name}: {entry.fault}")
    _say(f"{store.folder}: {len(entries)} files, {len(faulty)} bad")
    return 1 if faulty else 0


def _print_table(entries: Sequence[Entry]) -> None:
    if not entries:
        return
    _say(f"{'what':<64}{'size':>11}{'build s':>9}{'last used':>12}  fault")
    for entry in entries:
        parts = ("version", "backend", "precision", "shapes", "library version", "gpu")
        text = " ".join(entry.key[part] for part in parts if part in entry.key) or entry.file.name
        if entry.build_s is None and not entry.fault:
            text = f"timing cache, {text}"
        build = "" if entry.build_s is None else f"{entry.build_s:.0f}"
        days = f"{max(0.0, time.time() - entry.used_at) / 86400:.1f} d ago"
        _say(f"{text[:63]:<64}{_size(entry.size_bytes):>11}{build:>9}{days:>12}  {entry.fault}".rstrip())


def _size(count: int) -> str:
    return f"{count / (1 << 20):.1f} MiB" if count < GIB else f"{count / GIB:.1f} GiB"


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
