"""``vocoder-bench recommend``: which configuration to run, why, and how."""

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from bench.case import VERSIONS
from bench.commands import Commands
from bench.errors import InputError

if TYPE_CHECKING:
    from bench.recommend import Recommendation


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser("recommend", help="the best configuration of a run, and the lines that run it")
    parser.add_argument("run_path", metavar="RUN", help="results/<run>, or its records.jsonl")
    parser.add_argument("--version", required=True, choices=VERSIONS, help="the vocoder")
    parser.add_argument(
        "--objective",
        default="latency",
        choices=("latency", "throughput", "memory", "energy"),
        help="what to choose by (latency)",
    )
    parser.add_argument(
        "--frames", type=int, metavar="N", help="mel frames that matter (GPT-SoVITS's reference length)"
    )
    parser.add_argument("--max-build-s", type=float, metavar="N", help="longest acceptable build")
    parser.add_argument("--device", metavar="DEVICE", help="cpu or cuda:N, where the run was on several")
    parser.add_argument("--weights", metavar="PATH", help="weights to put into the lines")
    parser.add_argument("--json", action="store_true", help="write JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints the answer."""
    from bench.recommend import code, recommend

    for name, value in (("--frames", arguments.frames), ("--max-build-s", arguments.max_build_s)):
        if value is not None and value <= 0:
            raise InputError(f"{name} is positive, not {value:g}")
    answer = recommend(
        arguments.run_path,
        arguments.version,
        arguments.objective,
        frames=arguments.frames,
        max_build_s=arguments.max_build_s,
        device=arguments.device,
    )
    lines = code(answer, arguments.run_path, arguments.weights)
    if arguments.json:
        content = asdict(answer) | {"case": answer.chosen.case.id, "code": lines}
        sys.stdout.write(json.dumps(content, indent=2, allow_nan=False) + "\n")
    else:
        sys.stdout.write(f"{text(answer)}\n\n{lines}\n")
    return 0


def text(answer: "Recommendation") -> str:
    """The answer in sentences."""
    chosen = answer.chosen
    judged = "the reference itself" if chosen.why == "reference" else "its sound passes its tier"
    weights = " on synthetic weights: judge your own before shipping" if answer.synthetic else ""
    found = [
        f"{answer.version} on {answer.device} by {answer.objective}: {chosen.case.id}",
        f"  {figure(chosen.value, answer.unit)}; {judged}{weights}",
    ]
    if answer.runner_up is not None:
        other = answer.runner_up
        found.append(f"runner-up: {other.case.id}, {figure(other.value, answer.unit)}: {other.why}")
    else:
        found.append("runner-up: none")
    found += [f"not considered: {name}: {reason}" for name, reason in answer.ruled_out]
    return "\n".join(found)


def figure(value: float, unit: str) -> str:
    """A figure with its unit; bytes as MiB.

    >>> figure(3 * 2**20, "bytes")
    '3 MiB'
    """
    return f"{value / 2**20:.4g} MiB" if unit == "bytes" else f"{value:.4g} {unit}"
