"""``vocoder-bench engines build|list|verify|prune|clear``."""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from bench.commands import Commands, add_json, write_json
from bench.errors import InputError, shown
from bench.files import user_path
from bench.run.options import OPTIONS, Option, read_options, split_list, whole_number

if TYPE_CHECKING:
    from bench.engine_cache import EngineCache, Entry, Removal

VERBS = {
    "list": "what is kept, for how long, and how large",
    "verify": "compare every checksum; 1 when one is wrong",
    "prune": "remove what is corrupt, left over, or beyond the limit",
    "clear": "remove everything that is the cache's own",
}
# The options of a sweep that a build of its engines depends on.
BUILD_OPTIONS = ("versions", "backends", "precisions", "batches", "frames", "weights", "static_baseline", "seed")
_GIB = 1 << 30
_CACHE = next(option for option in OPTIONS if option.key == "engine_cache")
CACHE = replace(_CACHE, help="the engine cache (default: the user's)", old="--folder")


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser("engines", help="the cache of built engines")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, text in VERBS.items():
        command = verbs.add_parser(verb, help=text)
        _add_option(command, CACHE)
        if verb == "list":
            add_json(command)
        if verb == "prune":
            command.add_argument("--limit-gib", type=float, metavar="N", help="keep at most this much")
            command.add_argument("--older-than-days", type=float, metavar="N", help="remove what was not used since")
        command.set_defaults(run=run)
    build = verbs.add_parser("build", help="build the engines of a sweep beforehand, several at once")
    build.add_argument("profile", metavar="PROFILE", help="as for --profile of the suites")
    build.add_argument("--devices", default="cuda:0", metavar="LIST", help="where to build (cuda:0)")
    build.add_argument("--workers", default="1", metavar="N", help="builds at once on a device (1)")
    build.add_argument("--time-limit-s", metavar="N", help="seconds after which a build is killed (none)")
    _add_option(build, CACHE)
    for option in OPTIONS:
        if option.key in BUILD_OPTIONS:
            _add_option(build, option)
    build.set_defaults(run=run_build)


def _add_option(parser: argparse.ArgumentParser, option: Option) -> None:
    parser.add_argument(option.name, dest=option.key, metavar=option.metavar, help=option.help)
    if option.old:
        parser.add_argument(option.old, dest=option.old_key, metavar=option.metavar, help=argparse.SUPPRESS)


def _engine_cache(arguments: argparse.Namespace) -> str | None:
    """The folder of the cache that was named, in either spelling."""
    new, old = arguments.engine_cache, arguments.folder
    if old is None:
        return None if new is None else str(new)
    if new is not None:
        raise InputError(f"{CACHE.old} is an old spelling of {CACHE.name}; give one of them")
    _note(f"{CACHE.old} is now spelled {CACHE.name}; the old spelling still works")
    return str(old)


def run_build(arguments: argparse.Namespace) -> int:
    """Builds a sweep's engines; 1 when one that can be had is not there."""
    from bench.engine_cache import default_engine_cache
    from bench.measure.environment import physical_cores
    from bench.measure.sampling import StopRule
    from bench.run.device import find_device
    from bench.run.engine_builds import Places, build_all, engine_cases
    from bench.run.sweep import load_profile

    folder = _engine_cache(arguments)
    options = read_options({**vars(arguments), "device": None, "engine_cache": None})
    for note in options.notes:
        _note(note)
    limit = arguments.time_limit_s
    limit_s = None if limit is None else whole_number("--time-limit-s", limit, least=1)
    workers = whole_number("--workers", arguments.workers, least=1)
    devices = [str(find_device(name)) for name in split_list("--devices", arguments.devices)]
    cases = engine_cases(load_profile(arguments.profile).cases(options.axes), options.static_baseline)
    if not cases:
        raise InputError(f"no case of {arguments.profile} keeps an engine; give --backends tensorrt-onnx, say")
    threads = max(1, physical_cores() // (len(devices) * workers))
    settings = options.settings("engines", devices[0], threads, StopRule())
    settings = replace(settings, engine_cache=str(default_engine_cache(folder).folder))
    _say(f"{len(cases)} engines on {', '.join(devices)}, {workers} at once on each")
    return 0 if build_all(cases, settings, Places(devices, workers, limit_s), _say) else 1


def run(arguments: argparse.Namespace) -> int:
    """Runs one verb and returns its exit code: 1 when a file is bad, or was left because it is not the cache's own."""
    from bench.engine_cache import default_engine_cache

    folder = _engine_cache(arguments)
    if folder is not None and not user_path(folder, CACHE.name).is_dir():
        raise InputError(f"there is no folder {folder}; {CACHE.name} names an engine cache")
    store = default_engine_cache(folder)
    if arguments.verb == "verify":
        return _verify(store)
    if arguments.verb == "list":
        entries = store.entries()
        if arguments.json:
            write_json({"folder": store.folder, "limit_bytes": store.limit_bytes, "entries": entries})
            return 0
        _print_table(entries)
        engines = sum(entry.size_bytes for entry in entries)
        _say(f"{store.folder}: {len(entries)} files, {_size(engines)} of at most {_size(store.limit_bytes)}")
        return 0
    gone, left = store.clear() if arguments.verb == "clear" else _prune(store, arguments)
    for entry in gone:
        _say(f"removed {entry.file.name}{f': {entry.fault}' if entry.fault else ''}")
    for entry in left:
        _say(f"left {entry.file.name}: {entry.fault}")
    _say(f"{store.folder}: {len(gone)} files removed, {_size(sum(entry.size_bytes for entry in gone))} freed")
    return 1 if left else 0


def _prune(store: "EngineCache", arguments: argparse.Namespace) -> "Removal":
    limit_gib, days = arguments.limit_gib, arguments.older_than_days
    for name, value in (("--limit-gib", limit_gib), ("--older-than-days", days)):
        if value is not None and not 0 <= value < 1e6:
            raise InputError(f"{name} is a number from 0, not {value:g}")
    if limit_gib is not None:
        store = replace(store, limit_bytes=round(limit_gib * _GIB))
    return store.prune(None if days is None else days * 86400)


def _verify(store: "EngineCache") -> int:
    entries = store.entries(checked=True)
    faulty = [entry for entry in entries if entry.fault]
    for entry in faulty:
        _say(f"BAD {entry.file.name}: {entry.fault}")
    _say(f"{store.folder}: {len(entries)} files, {len(faulty)} bad")
    return 1 if faulty else 0


def _print_table(entries: "Sequence[Entry]") -> None:
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
    return f"{count / (1 << 20):.1f} MiB" if count < _GIB else f"{count / _GIB:.1f} GiB"


def _say(text: str) -> None:
    # Names come from outside; a terminal that lacks a letter shows its number.
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(shown(text, 2000).encode(encoding, "backslashreplace").decode(encoding) + "\n")
    sys.stdout.flush()


def _note(text: str) -> None:
    sys.stderr.write(f"note: {text}\n")
