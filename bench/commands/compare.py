"""``vocoder-bench compare``: what became faster, slower, better or worse between runs."""

import argparse
from pathlib import Path

from bench.commands import Commands
from bench.commands.comparison import DEFAULT_HISTORY, add_options, write
from bench.errors import InputError


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser("compare", help="what became faster, slower, better or worse between runs")
    parser.add_argument("sides", nargs="+", metavar="RUN", help="BASE NEW, or folders of runs")
    parser.add_argument("--all", action="store_true", help="also list what is SAME")
    add_options(parser)
    parser.set_defaults(run=compare)


def compare(arguments: argparse.Namespace) -> int:
    """Runs ``compare`` and returns its exit code: 0 nothing worse, 1 something worse, 2 nothing compared."""
    from bench.compare.history import earlier_nights
    from bench.compare.runs import compare_observations
    from bench.compare.sources import read_side
    from bench.compare.thresholds import load_thresholds

    thresholds = load_thresholds(arguments.thresholds)
    if len(arguments.sides) != 2:
        raise InputError(f"compare wants two runs, BASE and NEW; {len(arguments.sides)} given")
    base, new = (read_side(Path(side), thresholds.metrics) for side in arguments.sides)
    folder = arguments.history or DEFAULT_HISTORY
    history = earlier_nights(folder, new) if arguments.history or folder.is_dir() else []
    comparison = compare_observations(base, new, history=history, thresholds=thresholds)
    write(arguments, [comparison], everything=arguments.all)
    return comparison.exit_code
