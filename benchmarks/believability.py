"""How often the nightly verdict is wrong, on noise that is made to fool it.

    python benchmarks/believability.py [--nights 100] [--cases 200] [--seed 0]

Two figures are judged, each with its 95 % binomial interval (Clopper and Pearson):

* nights with any false alarm, in comparisons of a run with another run of the same thing: at most 1 %;
* slow-downs of 5 % found under 2 % noise: at least 95 %.

Further lines show where the limits are, and what a plain Mann-Whitney test with the same floor and correction
would have said. Exit code 0 when both figures hold, 1 when one is missed.

A night is 200 cases of 50 to 200 rounds, one in ten without an interleaved baseline (it is the baseline).
Durations are exp() of a sum: white noise of each round; interruptions (4 % of the rounds, exponential with a
mean of 30 %); the machine's offset of the night and its drift during a case, both shared with the interleaved
baseline; the case's own slow noise; its own offset of the night; and for a third of the cases a second mode, 3 to
8 % slower, in which rounds stay for 2 to 5 rounds at a time. A mode that lasts for most of a run cannot be told
from a change within a run; the last two lines show what history does about that. Throughput, memory and build
times have noise of their own and are judged too.
"""

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import signal, stats

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.case import Case
from bench.compare.noise import holm
from bench.compare.observation import Observation
from bench.compare.result import Comparison, Verdict
from bench.compare.runs import compare_observations
from bench.compare.sources import observe_all
from bench.compare.thresholds import load_thresholds
from bench.records.schema import Build, Memory, Record, Speed, Speedup, Status, Throughput, Timing

Array = NDArray[np.float64]
BASELINE = "v3-eager-fp32-b1-t468"
ALARM = (Verdict.FAST, Verdict.SLOW, Verdict.BETTER, Verdict.WORSE)


@dataclass(frozen=True)
class Noise:
    """Standard deviations of the logarithm of durations, and the second mode."""

    white: float = 0.019  # with the drifts below, 2 % in all
    interruptions: float = 0.04
    machine_night: float = 0.01
    machine_drift: float = 0.005
    warming: float = 0.005  # largest trend over a run, either way
    case_drift: float = 0.004
    case_night: float = 0.003
    two_modes: float = 0.0  # share of the cases
    mode_night: float = 0.0  # share of the nights that such a case spends in its second mode altogether


TWO_PERCENT = Noise()
EVERYTHING = Noise(two_modes=0.3)
FLIPPING = Noise(two_modes=0.3, mode_night=0.3)


@dataclass
class Plan:
    """The cases of a sweep, the same every night."""

    cases: int
    rng: np.random.Generator
    dwell: tuple[float, float] = (2, 5)  # rounds that a case spends in a mode at a time, from and to
    medians_ms: Array = field(init=False)
    gaps: Array = field(init=False)

    def __post_init__(self) -> None:
        self.medians_ms = np.exp(self.rng.uniform(0, 6, self.cases))
        self.gaps = self.rng.uniform(0.03, 0.08, self.cases)
        self.shares = self.rng.uniform(0.1, 0.6, self.cases)
        self.dwells = self.rng.uniform(*self.dwell, self.cases)
        self.rank = self.rng.permutation(self.cases) / self.cases

    def night(self, number: int, noise: Noise, slowed: Sequence[int] = (), factor: float = 1.0) -> list[Record]:
        """Records of one night, ``slowed`` cases slower by ``factor``."""
        machine = self.rng.normal(0, noise.machine_night)
        return [
            self._record(number, case, noise, machine, factor if case in slowed else 1.0) for case in range(self.cases)
        ]

    def _record(self, number: int, case: int, noise: Noise, machine: float, factor: float) -> Record:
        rng = self.rng
        rounds = int(rng.integers(50, 201))
        shared = machine + _slow(rng, rounds, 0.97, noise.machine_drift)
        shared = shared + rng.uniform(-noise.warming, noise.warming) * np.linspace(-0.5, 0.5, rounds)
        own = rng.normal(0, noise.case_night) + _slow(rng, rounds, 0.7, noise.case_drift)
        if self.rank[case] < noise.two_modes:
            own = own + self.gaps[case] * self._mode(case, rounds, noise)
        scale = math.log(self.medians_ms[case] * factor)
        samples = np.exp(scale + shared + own + _rounds(rng, rounds, noise))
        control = np.exp(4.0 + shared + _rounds(rng, rounds, noise))
        has_control = case % 10 != 0
        return _record(number, case, samples, control if has_control else None, rng)

    def _mode(self, case: int, rounds: int, noise: Noise) -> Array | float:
        if noise.mode_night:
            return float(self.rng.random() < noise.mode_night)
        share, dwell = self.shares[case], self.dwells[case]
        leave = min(1.0, 0.5 / (share * dwell)), min(1.0, 0.5 / ((1 - share) * dwell))
        draws = self.rng.random(rounds)
        slow = self.rng.random() < share
        states = np.empty(rounds)
        for index in range(rounds):
            states[index] = slow
            slow = slow != (draws[index] < leave[0 if slow else 1])
        return states


def _rounds(rng: np.random.Generator, rounds: int, noise: Noise) -> Array:
    hit = rng.random(rounds) < noise.interruptions
    return rng.normal(0, noise.white, rounds) + hit * np.log1p(rng.exponential(0.3, rounds))


def _slow(rng: np.random.Generator, rounds: int, memory: float, sd: float) -> Array:
    """A first-order autoregression that starts anywhere."""
    shocks = rng.normal(0, sd * math.sqrt(1 - memory**2), rounds)
    shocks[0] = rng.normal(0, sd)
    return np.asarray(signal.lfilter([1.0], [1.0, -memory], shocks))


def _record(number: int, case: int, samples: Array, control: Array | None, rng: np.random.Generator) -> Record:
    rounds = len(samples)
    median = float(np.median(samples))
    mebibyte = 2**20
    timing = Timing(
        clock="cuda-event",
        samples_ms=tuple(samples.tolist()),
        host_samples_ms=(),
        median_ms=median,
        mad_ms=float(np.median(np.abs(samples - median))),
        ci95_low_ms=None,
        ci95_high_ms=None,
        p90_ms=None,
        p99_ms=None,
        mean_ms=float(samples.mean()),
        min_ms=float(samples.min()),
        max_ms=float(samples.max()),
        host_median_ms=median,
        rounds=rounds,
        stop_reason="stable",
        first_call_ms=median,
        warmup_rounds=1,
        warmup_s=median / 1000,
    )
    speedup = None
    if control is not None:
        middle = float(np.median(control))
        speedup = Speedup(BASELINE, middle / median, None, None, middle, tuple(control.tolist()))
    inferences = 1000 / float(samples.mean())
    process = 2048 * mebibyte + 2 * mebibyte * int(rng.integers(0, 9))
    return Record(
        run_id=f"night-{number}",
        kind="speed",
        case=Case("v3", "synthetic", "fp16", 1, case + 1),
        status=Status.OK,
        reason="",
        device="cuda:0",
        recorded_at=(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number)).isoformat(),
        seed=0,
        build=Build(float(30 * np.exp(rng.normal(0, 0.15)))),
        result=Speed(
            timing,
            Throughput(inferences, 5 * inferences, 1 / (5 * inferences), rounds, "rounds"),
            speedup_fp32=speedup,
            memory=Memory(512 * mebibyte, 600 * mebibyte, 400 * mebibyte, process, process, None, None),
        ),
    )


@dataclass(frozen=True)
class Tally:
    """Successes among trials, with their interval."""

    count: int
    trials: int

    def __str__(self) -> str:
        low, high = stats.binomtest(self.count, self.trials).proportion_ci(method="exact")
        share = 100 * self.count / self.trials
        return f"{self.count} of {self.trials} = {share:.2f} % [{100 * low:.2f}, {100 * high:.2f}]"

    @property
    def share(self) -> float:
        """Successes over trials."""
        return self.count / self.trials


def _alarmed(comparison: Comparison) -> bool:
    changes = [change for case in comparison.cases for change in case.changes]
    return any(change.verdict in ALARM for change in (*changes, comparison.machine) if change)


def _found(comparison: Comparison, slowed: Sequence[int]) -> int:
    wanted = {f"v3-synthetic-fp16-b1-t{case + 1}" for case in slowed}
    return sum(
        any(change.metric == "time" and change.verdict is Verdict.SLOW for change in case.changes)
        for case in comparison.cases
        if case.id in wanted
    )


def _plain_alarm(base: list[Record], new: list[Record], floor: float, alpha: float) -> bool:
    """What Mann-Whitney on the rounds, with the same floor and correction, would have said."""
    p_values, moved = [], []
    for before, after in zip(base, new, strict=True):
        one, other = before.answer(Speed), after.answer(Speed)
        if one is None or other is None:
            continue
        p_values.append(stats.mannwhitneyu(one.timing.samples_ms, other.timing.samples_ms).pvalue)
        moved.append(abs(math.log(other.timing.median_ms / one.timing.median_ms)) > math.log1p(floor))
    return any(p <= alpha and far for p, far in zip(holm(p_values), moved, strict=True))


def false_alarms(plan: Plan, nights: int, noise: Noise, tick: Callable[[], None]) -> tuple[Tally, Tally]:
    """Pairs of nights with a false alarm: this suite's, and a plain test's."""
    thresholds = load_thresholds()
    wrong = plain = 0
    for _ in range(nights):
        base, new = plan.night(0, noise), plan.night(1, noise)
        sides = [observe_all(records, thresholds.metrics) for records in (base, new)]
        wrong += _alarmed(compare_observations(sides[0], sides[1], thresholds=thresholds))
        plain += _plain_alarm(base, new, thresholds.metrics["time"].floor, thresholds.alpha)
        tick()
    return Tally(wrong, nights), Tally(plain, nights)


def false_alarms_of_history(plan: Plan, nights: int, noise: Noise, remembered: int, tick: Callable[[], None]) -> Tally:
    """Nights with a false alarm against the nights before, one after the other."""
    thresholds = load_thresholds()
    past: list[list[Observation]] = []
    wrong = 0
    for number in range(remembered + nights):
        new = observe_all(plan.night(number, noise), thresholds.metrics)
        if number >= remembered:
            history = [item for night in past[-remembered:] for item in night]
            comparison = compare_observations(history, new, history=history, thresholds=thresholds)
            wrong += _alarmed(comparison)
        past.append(new)
        tick()
    return Tally(wrong, nights)


def found(plan: Plan, nights: int, noise: Noise, share: float, tick: Callable[[], None]) -> tuple[Tally, Tally]:
    """Slow-downs of 5 % that were found, among cases with an interleaved baseline and among those without."""
    thresholds = load_thresholds()
    hits = {True: 0, False: 0}
    trials = {True: 0, False: 0}
    for _ in range(nights):
        base = observe_all(plan.night(0, noise), thresholds.metrics)
        slowed = plan.rng.choice(plan.cases, max(1, round(share * plan.cases)), replace=False).tolist()
        new = observe_all(plan.night(1, noise, slowed, 1.05), thresholds.metrics)
        comparison = compare_observations(base, new, thresholds=thresholds)
        for controlled in (True, False):
            group = [case for case in slowed if (case % 10 != 0) is controlled]
            hits[controlled] += _found(comparison, group)
            trials[controlled] += len(group)
        tick()
    return Tally(hits[True], trials[True]), Tally(hits[False], max(trials[False], 1))


def main() -> int:
    """Prints both figures and says whether they hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nights", type=int, default=100)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dwell", type=float, nargs=2, default=(2, 5), help="rounds that a mode lasts, from and to")
    arguments = parser.parse_args()
    if arguments.nights < 1 or arguments.cases < 20 or not 1 <= arguments.dwell[0] <= arguments.dwell[1]:
        parser.error("--nights is 1 or more, --cases 20 or more, and --dwell two numbers from 1, the smaller first")
    plan = Plan(arguments.cases, np.random.default_rng(arguments.seed), tuple(arguments.dwell))
    nights, few = arguments.nights, max(arguments.nights // 5, 1)
    show = sys.stderr.isatty()

    def tick() -> None:
        if show:
            print(".", end="", file=sys.stderr, flush=True)

    def line(text: str) -> None:
        print(("\n" if show else "") + text, flush=True)

    alarms, plain = false_alarms(plan, nights, EVERYTHING, tick)
    line(f"A/A, {plan.cases} cases, heavy tails, drift and two modes: nights with a false alarm")
    line(f"  this suite            {alarms}   (at most 1 %)")
    line(f"  plain Mann-Whitney    {plain}")
    hits, bare = found(plan, nights, TWO_PERCENT, 0.05, tick)
    line("5 % slow-down of one case in twenty under 2 % noise, heavy tails and drift: found")
    line(f"  with a baseline       {hits}   (at least 95 %)")
    line(f"  without               {bare}")

    line(f"Beyond what is judged, {few} nights each")
    hits_all, _ = found(plan, few, TWO_PERCENT, 1.0, tick)
    line(f"  5 % in every case at once, found         {hits_all}")
    hits_modes, _ = found(plan, few, EVERYTHING, 0.05, tick)
    line(f"  5 % with two modes besides, found        {hits_modes}")
    quiet = replace(TWO_PERCENT, white=0.0095, machine_drift=0.0025, case_drift=0.002)
    hits_quiet, _ = found(plan, few, quiet, 0.05, tick)
    line(f"  5 % under 1 % noise, found               {hits_quiet}")
    alarms_flip = false_alarms_of_history(plan, few, FLIPPING, 30, tick)
    line(f"  A/A, 30 % of whole nights in another mode, 30 nights of history, alarms: {alarms_flip}")
    alarms_blind, _ = false_alarms(plan, few, FLIPPING, tick)
    line(f"  the same from a single night, alarms: {alarms_blind}")

    held = alarms.share <= 0.01 and hits.share >= 0.95
    line("held" if held else "MISSED")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
