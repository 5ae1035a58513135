"""Does the harness tell the time? Its median GPU time against ``triton.testing.do_bench``'s, case by case.

    python benchmarks/harness.py [--device cuda:0] [CASE ...]

A CASE is ``version:precision:batch:frames``, eager. Prints both figures, and ends with exit code 1 when any
pair differs by more than 2 %. The two are taken in turn, so that clocks drift under both alike.

Give cases that keep the GPU busy. Where the host cannot launch fast enough (short mels, v3 in fp16), the two
ask different questions: the harness waits for each inference, as a request does, while ``do_bench`` lets the
host run ahead into the next one.
"""

import argparse
import sys

import numpy as np
import torch

from bench.case import Case
from bench.measure.clock import CudaEventClock
from bench.run.session import Session
from bench.run.settings import Settings

AGREEMENT = 0.02
TURNS = 8
ROUNDS = 10
DEFAULT = ("v3:fp32:1:468", "v3:fp16:4:934", "v4:fp32:1:500", "v4:fp16:4:1000")


def compare(case: Case, settings: Settings) -> tuple[float, float]:
    """Median milliseconds by the harness and by ``do_bench``."""
    from triton.testing import do_bench

    ours: list[float] = []
    theirs: list[float] = []
    with Session(settings) as session, session.open(case) as prepared, session.active(case):
        clock = CudaEventClock(session.device)
        for _ in range(5):
            prepared.call()
        for _ in range(TURNS):
            ours += [clock.time_ms(prepared.call).device_ms for _ in range(ROUNDS)]
            theirs.append(do_bench(prepared.call, warmup=25, rep=200, return_mode="median"))
    return float(np.median(ours)), float(np.median(theirs))


def main() -> int:
    """Prints a row a case; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=DEFAULT)
    parser.add_argument("--device", default="cuda:0")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("needs an NVIDIA GPU: do_bench times CUDA events", file=sys.stderr)
        return 2
    worst = 0.0
    print(f"{'case':<26}{'harness ms':>12}{'do_bench ms':>13}{'difference':>12}")
    for text in arguments.cases:
        version, precision, batch, frames = text.split(":")
        case = Case(version, "eager", precision, int(batch), int(frames))
        ours, theirs = compare(case, Settings("harness", device=arguments.device))
        difference = ours / theirs - 1
        worst = max(worst, abs(difference))
        print(f"{case.id:<26}{ours:>12.4f}{theirs:>13.4f}{difference:>+12.2%}", flush=True)
    print(f"largest difference {worst:.2%}, allowed {AGREEMENT:.0%}")
    return int(worst > AGREEMENT)


if __name__ == "__main__":
    sys.exit(main())
