"""``vocoder-bench nightly``: tonight's run compared with the nights before, and added to them."""

import argparse
import sys
from pathlib import Path

from bench.commands import Commands
from bench.commands.comparison import DEFAULT_HISTORY, add_options, write
from bench.errors import InputError

DEFAULT_BASELINE = Path("results/baseline")


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser("nightly", help="compare tonight's run and add it to the history")
    parser.add_argument("run_directory", type=Path, metavar="RUN", help="tonight's run, or its folder: the newest")
    parser.add_argument("--baseline", type=Path, metavar="RUN", help="also compare with this run (results/baseline)")
    parser.add_argument("--last", type=int, default=14, help="nights of history to compare with (14)")
    parser.add_argument("--report", type=Path, metavar="FILE", help="also write the HTML report there")
    add_options(parser)
    parser.set_defaults(run=nightly)


def nightly(arguments: argparse.Namespace) -> int:
    """Compares tonight with the baseline and the nights before, adds it to the history, returns the worst code.

    The baseline is ``results/baseline`` where there is one and no other is named. The first night has nothing to
    be compared with and ends with 0.
    """
    from bench.compare.history import append_history, earlier_nights, last_nights
    from bench.compare.runs import compare_observations
    from bench.compare.sources import read_side
    from bench.compare.thresholds import load_thresholds
    from bench.records.jsonl import newest_run

    if arguments.last < 1:
        raise InputError(f"--last must be 1 or more, not {arguments.last}")
    thresholds = load_thresholds(arguments.thresholds)
    folder = arguments.history or DEFAULT_HISTORY
    run = newest_run(arguments.run_directory)
    new = read_side(run, thresholds.metrics)
    history = earlier_nights(folder, new) if folder.is_dir() else []
    comparisons, before = [], []
    baseline = arguments.baseline or (DEFAULT_BASELINE if DEFAULT_BASELINE.exists() else None)
    if baseline:
        base = read_side(baseline, thresholds.metrics)
        before += base
        comparisons.append(compare_observations(base, new, history=history, thresholds=thresholds))
    if history:
        base = last_nights(history, arguments.last)
        before += base
        comparisons.append(compare_observations(base, new, history=history, thresholds=thresholds))
    append_history(run, folder, thresholds)
    write(arguments, comparisons)
    if arguments.report:
        # Reports bring Vega, which a comparison does without.
        from bench.report.render import write_report

        write_report(run, out=arguments.report, comparisons=comparisons, before=before, history=folder)
    if not comparisons:
        sys.stdout.write(f"first night: nothing to compare with yet; history started in {folder}\n")
        return 0
    codes = {comparison.exit_code for comparison in comparisons}
    return 1 if 1 in codes else max(codes)
