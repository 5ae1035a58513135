"""The command line, one file a verb: ``add_parser`` adds it, and its ``run`` returns the exit code."""

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_json(parser: argparse.ArgumentParser) -> None:
    """Adds ``--json``, for programs."""
    parser.add_argument("--json", action="store_true", help="write JSON")


def write_json(content: object) -> None:
    """Writes dataclasses, paths and plain values as JSON to standard output.

    Raises:
        ValueError: NaN or infinity.
    """
    sys.stdout.write(json.dumps(content, indent=2, allow_nan=False, default=_plain) + "\n")


def _plain(value: Any) -> object:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    return {field.name: getattr(value, field.name) for field in fields(value)}
