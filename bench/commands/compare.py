"""``python -m bench compare`` and ``python -m bench nightly``."""

import argparse
import sys
from pathlib import Path

from bench.compare.history import append_history, earlier_nights, last_nights
from bench.compare.render import to_json, to_markdown, to_text
from bench.compare.result import Comparison
from bench.compare.runs import compare_observations
from bench.compare.sources import read_side
from bench.compare.thresholds import load_thresholds
from bench.errors import InputError
from bench.records.jsonl import newest_run

DEFAULT_HISTORY = Path("results/history")
DEFAULT_BASELINE = Path("results/baseline")


def compare(arguments: argparse.Namespace) -> int:
    """Runs ``compare`` and returns its exit code: 0 nothing worse, 1 something worse, 2 nothing compared."""
    thresholds = load_thresholds(arguments.thresholds)
    if len(arguments.sides) != 2:
        raise InputError(f"compare wants two runs, BASE and NEW; {len(arguments.sides)} given")
    base, new = (read_side(Path(side), thresholds.metrics) for side in arguments.sides)
    folder = arguments.history or DEFAULT_HISTORY
    history = earlier_nights(folder, new) if arguments.history or folder.is_dir() else []
    comparison = compare_observations(base, new, history=history, thresholds=thresholds)
    _write(arguments, [comparison], everything=arguments.all)
    return comparison.exit_code


def nightly(arguments: argparse.Namespace) -> int:
    """Compares tonight with the baseline and the nights before, adds it to the history, returns the worst code.

    The baseline is ``results/baseline`` where there is one and no other is named. The first night has nothing to
    be compared with and ends with 0.
    """
    if arguments.last < 1:
        raise InputError(f"--last must be 1 or more, not {arguments.last}")
    thresholds = load_thresholds(arguments.thresholds)
    folder = arguments.history or DEFAULT_HISTORY
    run = newest_run(arguments.run_directory)
    new = read_side(run, thresholds.metrics)
    history = earlier_nights(folder, new) if folder.is_dir() else []
    comparisons = []
    baseline = arguments.baseline or (DEFAULT_BASELINE if DEFAULT_BASELINE.exists() else None)
    if baseline:
        base = read_side(baseline, thresholds.metrics)
        comparisons.append(compare_observations(base, new, history=history, thresholds=thresholds))
    if history:
        base = last_nights(history, arguments.last)
        comparisons.append(compare_observations(base, new, history=history, thresholds=thresholds))
    append_history(run, folder, thresholds)
    _write(arguments, comparisons)
    if arguments.report:
        # Reports bring matplotlib, which a comparison does without.
        from bench.report.render import write_report

        write_report(run, out=arguments.report, comparisons=comparisons, history=folder)
    if not comparisons:
        sys.stdout.write(f"first night: nothing to compare with yet; history started in {folder}\n")
        return 0
    codes = {comparison.exit_code for comparison in comparisons}
    return 1 if 1 in codes else max(codes)


def _write(arguments: argparse.Namespace, comparisons: list[Comparison], *, everything: bool = False) -> None:
    outputs = []
    if arguments.json:
        texts = [to_json(comparison) for comparison in comparisons]
        outputs.append((arguments.json, texts[0] if len(texts) == 1 else "[" + ",\n".join(texts) + "]"))
    if arguments.markdown:
        outputs.append((arguments.markdown, "\n".join(to_markdown(comparison) for comparison in comparisons)))
    for target, text in outputs:
        if target == "-":
            sys.stdout.write(text + "\n")
            continue
        try:
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            Path(target).write_text(text, encoding="utf-8")
        except OSError as error:
            raise InputError(f"cannot write {target}: {error.strerror}") from error
    if all(target != "-" for target, _ in outputs):
        sys.stdout.write("\n".join(to_text(item, everything=everything) for item in comparisons))
