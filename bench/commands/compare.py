"""``vocoder-bench compare``: what became faster, slower, better or worse between runs."""

import argparse
from pathlib import Path

from bench.commands import Commands
from bench.commands.comparison import DEFAULT_HISTORY, add_options, write
from bench.errors import InputError


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser("compare", help="what became faster, slower, better or worse between runs")
    parser.add_argument("sides", nargs="+", metavar="RUN", help="BASE NEW (or folders), or NEW with --against")
    parser.add_argument("--against", nargs="+", metavar="last N", help="compare NEW with N nights of history")
    parser.add_argument("--all", action="store_true", help="also list what is SAME")
    add_options(parser)
    parser.set_defaults(run=compare)


def compare(arguments: argparse.Namespace) -> int:
    """Runs ``compare`` and returns its exit code: 0 nothing worse, 1 something worse, 2 nothing compared."""
    from bench.compare.history import earlier_nights, last_nights
    from bench.compare.runs import compare_observations
    from bench.compare.sources import read_side
    from bench.compare.thresholds import load_thresholds

    thresholds = load_thresholds(arguments.thresholds)
    nights, rest = _against(arguments.against)
    paths = [Path(path) for path in (*arguments.sides, *rest)]
    folder = arguments.history or DEFAULT_HISTORY
    if len(paths) != (1 if nights else 2):
        wanted = "one run beside --against last N" if nights else "two, BASE and NEW"
        raise InputError(f"compare wants {wanted}; {len(paths)} given")
    new = read_side(paths[-1], thresholds.metrics)
    history = earlier_nights(folder, new) if nights or arguments.history or folder.is_dir() else []
    base = last_nights(history, nights) if nights else read_side(paths[0], thresholds.metrics)
    if nights and not base:
        raise InputError(f"{folder} holds no earlier night; `vocoder-bench nightly RUN` adds one")
    comparison = compare_observations(base, new, history=history, thresholds=thresholds)
    write(arguments, [comparison], everything=arguments.all)
    return comparison.exit_code


def _against(words: list[str] | None) -> tuple[int, list[str]]:
    """The number of nights in ``last N [nights]``, and what follows it; 0 without ``--against``."""
    if words is None:
        return 0, []
    if len(words) < 2 or words[0] != "last" or not words[1].isdecimal() or int(words[1]) < 1:
        raise InputError(f"--against wants `last N`, such as `--against last 7`, not {' '.join(words)!r}")
    rest = words[2:]
    return int(words[1]), rest[1:] if rest[:1] in (["nights"], ["night"]) else rest
