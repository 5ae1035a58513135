"""How often the nightly verdict is wrong, on noise that is made to fool it, and what it finds.

    python -m benchmarks.believability [--nights 100] [--cases 40] [--seed 0] [--jobs 2] [--only NAME] [--write]

Judged, each with its 95 % binomial interval (Clopper and Pearson):

* nights with any false alarm among nights of the same thing, under each noise: at most 1 in 100;
* slow-downs of 5 % found with three repeats under process noise of 1 %: at least 95 %.

A night is compared as ``vocoder-bench nightly`` does, with the newest 14 nights and 40 nights of history. The same pair
of single nights without any history is shown beside it, and not judged: what lasts a night cannot be seen in one.
Exit code 0 when everything judged holds, 1 when something is missed; ``--write`` puts the tables into docs/nightly.md.
"""

import argparse
import gc
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing import Pool
from pathlib import Path
from typing import TypeVar

import numpy as np
from scipy import stats

from bench.compare.observation import Observation
from bench.compare.result import Comparison, Verdict
from bench.compare.runs import compare_observations
from bench.compare.thresholds import load_thresholds
from bench.records.writing import write_whole
from benchmarks.nights import Noise, Sweep

PAGE = Path(__file__).resolve().parents[1] / "docs" / "nightly.md"
MARKS = ("<!-- believability -->", "<!-- /believability -->")
ALARM = (Verdict.FAST, Verdict.SLOW, Verdict.BETTER, Verdict.WORSE)
REMEMBERED, NEWEST = 40, 14
ALONE = 3  # every third night is also compared with the one before alone
MOST_ALARMS, LEAST_FOUND = 0.01, 0.95
THRESHOLDS = load_thresholds()
# Rounds as quiet as those of the published engines, whose level a run knows to 0.1 or 0.2 %.
PROCESS = Noise(process=0.01, control_process=0.003, machine_drift=0.002)


@dataclass(frozen=True)
class Setting:
    """A kind of noise, and how the sweep meets it."""

    name: str
    noise: Noise
    repeats: int = 3
    rebuilds: int = 0


SETTINGS = (
    Setting("rounds: interruptions, drift, modes of 2 to 5 rounds", Noise(two_modes=0.3)),
    Setting("modes of 2 to 12 rounds", Noise(two_modes=0.3, dwell=(2, 12))),
    Setting("level per process, sd 1 %", PROCESS),
    Setting("level per process, sd 2 %", Noise(process=0.02, control_process=0.003)),
    Setting("level per process, sd 3 %, the baseline's too", Noise(process=0.03, control_process=0.03)),
    Setting("level per process, sd 3 %, one process a night", Noise(process=0.03), repeats=1),
    Setting("level per engine build, sd 2 %, one new engine a night", replace(PROCESS, build=0.02), rebuilds=1),
    Setting("level per engine build, sd 6 %, three new engines a night", replace(PROCESS, build=0.06), rebuilds=3),
    Setting("rounds of published records, level per process 3 %", Noise(published=True, process=0.03)),
    Setting("whole nights in another mode, 3 to 8 %, three cases in ten", replace(PROCESS, night_modes=0.3)),
    Setting("clock 10 % lower for a tenth of a night", replace(PROCESS, clock_drop=0.1)),
    Setting("clock 10 % lower for three tenths of a night", replace(PROCESS, clock_drop=0.3)),
    Setting("no baseline for half of the cases", replace(PROCESS, missing=0.5)),
    Setting("no baseline at all", replace(PROCESS, missing=1.0)),
    Setting("cases of unlike noise, process 0.2 to 5 %", replace(PROCESS, unlike=0.8)),
    Setting("ten rounds only, one process", Noise(rounds=10, process=0.01), repeats=1),
    Setting("SNR moves 0.3 dB from build to build", Noise(snr_db=0.3)),
)


@dataclass(frozen=True)
class Tally:
    """Successes among trials, with their interval."""

    count: int
    trials: int

    def __str__(self) -> str:
        if not self.trials:
            return ""
        low, high = stats.binomtest(self.count, self.trials).proportion_ci(method="exact")
        share = 100 * self.count / self.trials
        return f"{self.count} of {self.trials} = {share:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.count + other.count, self.trials + other.trials)

    @property
    def share(self) -> float:
        """Successes over trials."""
        return self.count / self.trials


NONE = Tally(0, 0)
Named = TypeVar("Named", "Setting", "Change")


def alarmed(comparison: Comparison) -> bool:
    """Whether anything is said to have changed."""
    changes = [change for case in comparison.cases for change in case.changes]
    return any(change.verdict in ALARM for change in (*changes, comparison.machine) if change)


def found(comparison: Comparison, changed: Sequence[int], metric: str) -> Tally:
    """Changes for the worse that were found, among those that are there."""
    wanted = {f"case-{place}" for place in changed}
    hits = sum(
        any(change.metric == metric and change.verdict in (Verdict.SLOW, Verdict.WORSE) for change in case.changes)
        for case in comparison.cases
        if case.id in wanted
    )
    return Tally(hits, len(wanted))


Night = Callable[[int], list[Observation]]


def nights(make: Night, count: int) -> Iterator[tuple[int, list[Observation], list[Observation], list[Observation]]]:
    """Number, history, newest nights and last night before each of ``count`` nights."""
    past = [make(number) for number in range(REMEMBERED)]
    for number in range(REMEMBERED, REMEMBERED + count):
        history = [item for night in past for item in night]
        yield number, history, [item for night in past[-NEWEST:] for item in night], past[-1]
        past = [*past[1:], make(number)]


def alarms(sweep: Sweep, count: int) -> tuple[Tally, Tally]:
    """Nights of the same thing with an alarm: against their history, and against the night before alone."""
    against = alone = single = 0

    def make(number: int) -> list[Observation]:
        return [*sweep.night(number), *sweep.sounds(number)]

    for number, history, newest, last in nights(make, count):
        new = make(number)
        against += alarmed(compare_observations(newest, new, history=history, thresholds=THRESHOLDS))
        if number % ALONE == 0:
            alone += alarmed(compare_observations(last, new, thresholds=THRESHOLDS))
            single += 1
    return Tally(against, count), Tally(alone, single)


@dataclass(frozen=True)
class Change:
    """What is planted into a tenth of the cases.

    Attributes:
        name: In the table.
        metric: By which it is to be found.
        factor: Of durations.
        values: Factors of other metrics.
        drop_db: Of the SNR.
    """

    name: str
    metric: str
    factor: float = 1.0
    values: tuple[tuple[str, float], ...] = ()
    drop_db: float = 0.0


CHANGES = (
    Change("time +2.8 % (under the floor of 3 %: not to be called SLOW)", "time", factor=1.028),
    Change("time +4 %", "time", factor=1.04),
    Change("time +5 %", "time", factor=1.05),
    Change("time +10 %", "time", factor=1.1),
    Change("throughput -5 %, with the time", "throughput", factor=1 / 0.95),
    Change("throughput -10 %, with the time", "throughput", factor=1 / 0.9),
    Change("allocator's peak +4 %", "memory_allocated", values=(("memory_allocated", 1.04),)),
    Change("memory of the process +6 %", "memory_process", values=(("memory_process", 1.06),)),
    Change("memory of the process +8 %", "memory_process", values=(("memory_process", 1.08),)),
    Change("build x2", "build", values=(("build", 2.0),)),
    Change("build x3", "build", values=(("build", 3.0),)),
    Change("SNR -2 dB, at 39 to 58 dB", "snr_db", drop_db=2.0),
    Change("SNR -4 dB, at 39 to 58 dB", "snr_db", drop_db=4.0),
    Change("SNR 118 -> 95 dB in a float32 row", "snr_db", drop_db=23.0),
)


def detections(sweep: Sweep, change: Change, count: int) -> tuple[Tally, Tally]:
    """A planted change that was found: against the history, and against the night before alone."""
    against = alone = NONE
    sound = change.metric == "snr_db"
    make = sweep.sounds if sound else sweep.night
    eligible = [
        place
        for place in range(0, sweep.cases, 3 if sound else 1)
        if not sound or (sweep.snr[place] > 90) == (change.drop_db > 20)
    ]
    for number, history, newest, last in nights(make, count):
        few = max(len(eligible) // 10, 1)
        changed = sweep.rng.choice(eligible, few, replace=False).tolist()
        if sound:
            new = sweep.sounds(number, changed, change.drop_db)
        else:
            new = sweep.night(number, changed, change.factor, dict(change.values))
        comparison = compare_observations(newest, new, history=history, thresholds=THRESHOLDS)
        against += found(comparison, changed, change.metric)
        alone += found(compare_observations(last, new, thresholds=THRESHOLDS), changed, change.metric)
    return against, alone


def main() -> int:
    """Prints both tables, and says whether what is judged holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nights", type=int, default=100)
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--only", help="settings and changes whose name holds this")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/nightly.md")
    # Thousands of observations are kept, none of them in a cycle.
    gc.disable()
    arguments, started = parser.parse_args(), time.monotonic()
    if arguments.nights < 10 or arguments.cases < 20:
        parser.error("--nights is 10 or more, --cases 20 or more")
    few, missed = arguments.nights // 3, []
    lines: list[str] = []
    with Pool(arguments.jobs) as pool:
        head = _head("noise (A/A)", "alarms, with 40 nights of history", "alarms, one night against one")
        jobs = [(setting, arguments.cases, arguments.nights, arguments.seed) for setting in SETTINGS]
        for setting, against, alone in pool.imap(_alarms, _chosen(jobs, arguments.only)):
            lines += [*head, _line(setting.name, against, alone)]
            missed += [setting.name] * (against.share > MOST_ALARMS)
            head = []
        head = [
            "",
            *_head("planted in a tenth of the cases", "found, with 40 nights of history", "one night against one"),
        ]
        changes = [
            (change, arguments.cases, arguments.nights if change.metric == "time" else few, arguments.seed)
            for change in CHANGES
        ]
        for change, against, alone in pool.imap(_detections, _chosen(changes, arguments.only)):
            lines += [*head, _line(change.name, against, alone)]
            missed += [change.name] * (change.name == "time +5 %" and against.share < LEAST_FOUND)
            head = []
    text = (
        f"{arguments.nights} nights of {arguments.cases} cases for each noise and for times, {few} for other changes, "
        f"three processes a case unless said otherwise, seed {arguments.seed}; with 95 % intervals.\n\n"
        + "\n".join(lines)
    )
    if arguments.write:
        _write(text)
    print(f"{'MISSED: ' + ', '.join(missed) if missed else 'held'}; {time.monotonic() - started:.0f} s")
    return 1 if missed else 0


def _chosen(jobs: list[tuple[Named, int, int, int]], only: str | None) -> list[tuple[Named, int, int, int]]:
    return [job for job in jobs if only is None or only in job[0].name]


def _alarms(job: tuple[Setting, int, int, int]) -> tuple[Setting, Tally, Tally]:
    setting, cases, count, seed = job
    rng = np.random.default_rng([seed, 0, SETTINGS.index(setting)])
    return setting, *alarms(Sweep(cases, setting.noise, rng, setting.repeats, setting.rebuilds), count)


def _detections(job: tuple[Change, int, int, int]) -> tuple[Change, Tally, Tally]:
    change, cases, count, seed = job
    rng = np.random.default_rng([seed, 1, CHANGES.index(change)])
    return change, *detections(Sweep(cases, PROCESS, rng, rebuilds=int(change.metric == "build")), change, count)


def _head(*names: str) -> list[str]:
    print(" | ".join(names), flush=True)
    return ["| " + " | ".join(names) + " |", "|" + " --- |" * len(names)]


def _line(name: str, *tallies: Tally) -> str:
    line = "| " + " | ".join((name, *map(str, tallies))) + " |"
    print(line, flush=True)
    return line


def _write(text: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    write_whole(PAGE, f"{before}{MARKS[0]}\n{text}\n{MARKS[1]}{after}")


if __name__ == "__main__":
    sys.exit(main())
