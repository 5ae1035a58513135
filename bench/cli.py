"""The command line: ``python -m bench COMMAND``. Exit codes are each command's own; 2 is always an error."""

import argparse
import sys
from collections.abc import Sequence

from bench.errors import InputError


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    doctor = commands.add_parser("doctor", help="say what this machine can run and what to install")
    doctor.set_defaults(run=_doctor)
    return parser


def _doctor(_: argparse.Namespace) -> int:
    from bench.doctor import diagnose

    diagnosis = diagnose()
    print(diagnosis.text())
    return diagnosis.exit_code


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
