"""What ``compare`` and ``nightly`` have in common: options, folders and output."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import InputError
from bench.records.writing import write_whole

if TYPE_CHECKING:
    from bench.compare.result import Comparison

DEFAULT_HISTORY = Path("results/history")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of both."""
    parser.add_argument("--history", type=Path, metavar="DIR", help="default: results/history")
    parser.add_argument("--thresholds", type=Path, metavar="FILE", help="TOML instead of the suite's own")
    parser.add_argument("--json", metavar="FILE", help="write JSON there; - for standard output")
    parser.add_argument("--markdown", metavar="FILE", help="write Markdown there; - for standard output")


def write(arguments: argparse.Namespace, comparisons: "list[Comparison]", *, everything: bool = False) -> None:
    """Writes comparisons where the options say, and as text where standard output is free.

    Raises:
        InputError: a file cannot be written.
    """
    from bench.compare.render import to_json, to_markdown, to_text

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
            write_whole(Path(target), text)
        except OSError as error:
            raise InputError(f"cannot write {target}: {error.strerror}") from error
    if all(target != "-" for target, _ in outputs):
        sys.stdout.write("\n".join(to_text(item, everything=everything) for item in comparisons))
