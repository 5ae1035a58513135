"""``python -m bench engines build|list|verify|prune|clear``."""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.engine_cache import GIB, EngineCache, Entry, default_engine_cache
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
    build = verbs.add_parser("build", help="build the engines of a sweep beforehand, several at once")
    build.add_argument("profile", metavar="PROFILE", help="as for --profile of the suites")
    build.add_argument("--devices", default="cuda:0", metavar="LIST", help="where to build (cuda:0)")
    build.add_argument("--workers", type=int, default=1, metavar="N", help="builds at once on a device (1)")
    build.add_argument("--folder", metavar="DIR", help="the cache (default: the user's)")
    build.add_argument("--weights", default="", metavar="LIST", help="as for the suites")
    build.add_argument("--seed", type=int, default=0, metavar="N", help="as for the suites")
    build.add_argument("--twins", choices=("all", "best", "off"), default="all", help="as for the suites (all)")
    for axis in ("versions", "backends", "precisions", "batches", "frames"):
        build.add_argument(f"--{axis}", metavar="LIST", help="as for the suites")
    build.set_defaults(run=run_build)


def run_build(arguments: argparse.Namespace) -> int:
    """Builds a sweep's engines; 1 when one that can be had is not there."""
    # Imported here because these bring torch, which the other verbs do without.
    from bench.measure.environment import physical_cores
    from bench.run.device import find_device
    from bench.run.engine_builds import build_all, engine_cases
    from bench.run.settings import Settings
    from bench.run.sweep import AXES, load_profile, split_list

    if arguments.workers < 1:
        raise InputError(f"--workers is a whole number from 1, not {arguments.workers}")
    devices = [str(find_device(name)) for name in split_list("--devices", arguments.devices)]
    given = {axis: split_list(f"--{axis}", text) for axis in AXES if (text := getattr(arguments, axis)) is not None}
    cases = engine_cases(load_profile(arguments.profile).cases(given), arguments.twins)
    if not cases:
        raise InputError(f"no case of {arguments.profile} keeps an engine; give --backends tensorrt-onnx, say")
    settings = Settings(
        run_id="engines",
        weights=tuple(split_list("--weights", arguments.weights)) if arguments.weights else (),
        seed=arguments.seed,
        threads=max(1, physical_cores() // (len(devices) * arguments.workers)),
        engines=str(default_engine_cache(arguments.folder).folder),
    )
    _say(f"{len(cases)} engines on {', '.join(devices)}, {arguments.workers} at once on each")
    return 0 if build_all(cases, settings, devices, arguments.workers, _say) else 1


def run(arguments: argparse.Namespace) -> int:
    """Runs one verb and returns its exit code."""
    if arguments.folder is not None and not Path(arguments.folder).expanduser().is_dir():
        raise InputError(f"there is no folder {arguments.folder}; --folder names an engine cache")
    cache = default_engine_cache(arguments.folder)
    if arguments.verb == "verify":
        return _verify(cache)
    if arguments.verb == "list":
        entries = cache.entries()
        _print_table(entries)
        engines = sum(entry.size_bytes for entry in entries)
        _say(f"{cache.folder}: {len(entries)} files, {_size(engines)} of at most {_size(cache.limit_bytes)}")
        return 0
    gone = cache.clear() if arguments.verb == "clear" else _prune(cache, arguments)
    for entry in gone:
        _say(f"removed {entry.file.name}{f': {entry.fault}' if entry.fault else ''}")
    _say(f"{cache.folder}: {len(gone)} files removed, {_size(sum(entry.size_bytes for entry in gone))} freed")
    return 0


def _prune(cache: EngineCache, arguments: argparse.Namespace) -> list[Entry]:
    limit_gib, days = arguments.limit_gib, arguments.older_than_days
    for name, value in (("--limit-gib", limit_gib), ("--older-than-days", days)):
        if value is not None and not 0 <= value < 1e6:
            raise InputError(f"{name} is a number from 0, not {value:g}")
    if limit_gib is not None:
        cache = replace(cache, limit_bytes=round(limit_gib * GIB))
    return cache.prune(None if days is None else days * 86400)


def _verify(cache: EngineCache) -> int:
    entries = cache.entries(checked=True)
    faulty = [entry for entry in entries if entry.fault]
    for entry in faulty:
        _say(f"BAD {entry.file.name}: {entry.fault}")
    _say(f"{cache.folder}: {len(entries)} files, {len(faulty)} bad")
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
    sys.stdout.flush()
