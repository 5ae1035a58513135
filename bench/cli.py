"""The command line: ``vocoder-bench COMMAND``. Exit codes are each command's own; 2 is always an error."""

import argparse
import importlib
import sys
from collections.abc import Sequence

from bench import __version__
from bench.errors import InputError, not_installed

# Modules of bench.commands, in the order of the help. Each has add_parser(), and imports what is heavy as it runs.
COMMANDS = ("doctor", "report", "recommend", "profile", "compare", "nightly", "engines", "serve", "vocode")


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog="vocoder-bench", description="Speed, memory and sound of the GPT-SoVITS vocoders."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in COMMANDS:
        importlib.import_module(f"bench.commands.{name}").add_parser(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code; an unusable input is one sentence and 2."""
    try:
        arguments = build_parser().parse_args(argv)
        return int(arguments.run(arguments))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        reason = not_installed(error)
        if reason is None:
            raise
        print(f"error: {reason}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
