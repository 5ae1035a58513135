"""The command line: ``python -m bench COMMAND``. Exit codes are each command's own; 2 is always an error."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.commands import engines as engines_command
from bench.errors import InputError


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    doctor = commands.add_parser("doctor", help="say what this machine can run and what to install")
    doctor.set_defaults(run=_doctor)

    report = commands.add_parser("report", help="write a run's report: HTML, summary.md and cases.csv")
    report.add_argument("run_path", metavar="RUN", help="results/<run>, or its records.jsonl")
    report.add_argument("--baseline", metavar="RUN", help="also show what changed since this run")
    report.add_argument("--out", metavar="FILE", help="the HTML file (default: report.html in the run)")
    report.add_argument("--history", metavar="DIR", help="also show how every figure went over these nights")
    report.add_argument("--figures", metavar="DIR", help="also write every figure as an SVG file")
    report.set_defaults(run=_report)

    compare = commands.add_parser("compare", help="what became faster, slower, better or worse between runs")
    compare.add_argument("sides", nargs="+", metavar="RUN", help="BASE NEW, or folders of runs")
    compare.add_argument("--all", action="store_true", help="also list what is SAME")
    _comparison_options(compare)
    compare.set_defaults(run=_compare)

    nightly = commands.add_parser("nightly", help="compare tonight's run and add it to the history")
    nightly.add_argument("run_directory", type=Path, metavar="RUN", help="tonight's run, or its folder: the newest")
    nightly.add_argument("--baseline", type=Path, metavar="RUN", help="also compare with this run (results/baseline)")
    nightly.add_argument("--last", type=int, default=14, help="nights of history to compare with (14)")
    nightly.add_argument("--report", type=Path, metavar="FILE", help="also write the HTML report there")
    _comparison_options(nightly)
    nightly.set_defaults(run=_nightly)

    engines_command.add_parser(commands)
    return parser


def _comparison_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--history", type=Path, metavar="DIR", help="default: results/history")
    parser.add_argument("--thresholds", type=Path, metavar="FILE", help="TOML instead of the suite's own")
    parser.add_argument("--json", metavar="FILE", help="write JSON there; - for standard output")
    parser.add_argument("--markdown", metavar="FILE", help="write Markdown there; - for standard output")


def _doctor(_: argparse.Namespace) -> int:
    from bench.commands.doctor import diagnose

    diagnosis = diagnose()
    print(diagnosis.text())
    return diagnosis.exit_code


def _report(arguments: argparse.Namespace) -> int:
    from bench.report.render import write_report

    written = write_report(
        arguments.run_path, arguments.baseline, arguments.out, arguments.figures, history=arguments.history
    )
    print(f"{written.html}\n{written.summary}\n{written.csv}")
    return 0


def _compare(arguments: argparse.Namespace) -> int:
    from bench.commands.compare import compare

    return compare(arguments)


def _nightly(arguments: argparse.Namespace) -> int:
    from bench.commands.compare import nightly

    return nightly(arguments)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code; an unusable input is one sentence and 2."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
