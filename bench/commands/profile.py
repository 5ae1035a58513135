"""``vocoder-bench profile``: what a case's time is made of, kernel by kernel and layer by layer."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.commands import Commands, add_json, write_json

if TYPE_CHECKING:
    from bench.run.profile_record import Home
    from bench.run.settings import Settings


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser("profile", help="a case's kernels, and its layers against their limits; untimed")
    parser.add_argument("case", metavar="CASE", help="an id, such as v3-eager-fp16-b1-t468")
    parser.add_argument(
        "--device", metavar="DEVICE", help="cpu or cuda:N (default: the run's, the first GPU, else cpu)"
    )
    parser.add_argument("--weights", metavar="PATH", help="default: the run's, else synthetic weights")
    parser.add_argument("--into", type=Path, metavar="RUN", help="also keep it in this run, whose report then draws it")
    parser.add_argument("--kernels", type=int, default=15, metavar="N", help="kernels to list (15)")
    add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Profiles the case, prints what was found, and keeps it in a run where one is given."""
    from bench.case import parse_case
    from bench.run.profile_record import find_home
    from bench.run.profiling import as_result, profile_case, profile_text
    from bench.run.session import Session

    case = parse_case(arguments.case)
    home = find_home(arguments.into, case) if arguments.into else None
    with Session(_settings(arguments, home)) as session:
        if home is not None:
            home.check(session)
        trace, layers = profile_case(case, session)
        if home is not None:
            home.append(session, as_result(trace, layers))
    if arguments.json:
        write_json({"case": case.id, "trace": trace, "layers": layers, "run": home and home.directory})
        return 0
    sys.stdout.write(profile_text(case.id, trace, layers, arguments.kernels) + "\n")
    if home is not None:
        sys.stdout.write(f"\nkept in {home.directory}; to draw it: vocoder-bench report {home.directory}\n")
    return 0


def _settings(arguments: argparse.Namespace, home: "Home | None") -> "Settings":
    """What was given, else what the run had."""
    from bench.measure.environment import physical_cores
    from bench.run.device import find_device
    from bench.run.settings import Settings

    had = {} if home is None else home.settings
    device: str | None = arguments.device or (None if home is None else home.record.device)
    return Settings(
        "profile",
        device=str(find_device(device)),
        weights=tuple(had.get("weights", ())) if arguments.weights is None else (arguments.weights,),
        seed=0 if home is None else home.record.seed,
        audio=had.get("audio"),
        threads=had.get("threads") or physical_cores(),
        engine_cache=had.get("engine_cache"),
    )
