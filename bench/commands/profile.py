"""``vocoder-bench profile``: what a case's time is made of, kernel by kernel and layer by layer."""

import argparse
import sys

from bench.commands import Commands, add_json, write_json


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser("profile", help="a case's kernels, and its layers against their limits; untimed")
    parser.add_argument("case", metavar="CASE", help="an id, such as v3-eager-fp16-b1-t468")
    parser.add_argument("--device", metavar="DEVICE", help="cpu or cuda:N (default: the first GPU, else cpu)")
    parser.add_argument("--weights", metavar="PATH", help="default: synthetic weights")
    parser.add_argument("--kernels", type=int, default=15, metavar="N", help="kernels to list (15)")
    add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Profiles the case and prints what was found."""
    from bench.case import parse_case
    from bench.measure.environment import physical_cores
    from bench.run.device import find_device
    from bench.run.profiling import profile_case, profile_text
    from bench.run.session import Session
    from bench.run.settings import Settings

    case = parse_case(arguments.case)
    weights = () if arguments.weights is None else (arguments.weights,)
    device = str(find_device(arguments.device))
    settings = Settings("profile", device=device, weights=weights, threads=physical_cores())
    with Session(settings) as session:
        trace, layers = profile_case(case, session)
    if arguments.json:
        write_json({"case": case.id, "trace": trace, "layers": layers})
    else:
        sys.stdout.write(profile_text(case.id, trace, layers, arguments.kernels) + "\n")
    return 0
