"""``vocoder-bench report``: a run's records to HTML, Markdown and CSV."""

import argparse
import sys

from bench.commands import Commands, add_json, write_json


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser("report", help="write a run's report: HTML, summary.md and cases.csv")
    parser.add_argument("run_path", metavar="RUN", help="results/<run>, or its records.jsonl")
    parser.add_argument("--baseline", metavar="RUN", help="also show what changed since this run")
    parser.add_argument("--out", metavar="FILE", help="the HTML file (default: report.html in the run)")
    parser.add_argument("--history", metavar="DIR", help="also show how every figure went over these nights")
    parser.add_argument("--figures", metavar="DIR", help="also write every figure as an SVG file")
    add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Writes the report and says where."""
    from bench.report.render import write_report

    written = write_report(
        arguments.run_path, arguments.baseline, arguments.out, arguments.figures, history=arguments.history
    )
    if arguments.json:
        write_json({"html": written.html, "summary": written.summary, "csv": written.csv})
    else:
        sys.stdout.write(f"{written.html}\n{written.summary}\n{written.csv}\n")
    return 0
