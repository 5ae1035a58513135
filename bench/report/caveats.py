"""What to know before believing the first screen, in at most four short sentences with links."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.case import parse_case
from bench.recommend.choice import STABLE
from bench.records.run import Run
from bench.records.schema import Speed, Speedup
from bench.report.names import short_name
from bench.report.text import count, number
from bench.spec import DEMO_NAME

LIMIT = 4
# The same eager case, in turn with other cases of one sweep, further apart than this: the machine was not quiet.
_QUIET = 1.15


@dataclass(frozen=True)
class Caveat:
    """A sentence, and the anchor of the section that tells more."""

    text: str
    link: str


def caveats(run: Run) -> list[Caveat]:
    """The most important four, the most important first."""
    speeds = [row.measured for row in run.rows if row.timed]
    found = [*_weights(run), *_incomplete(run), *_throttled(speeds), *_noisy(run), *_unstable(speeds), *_waited(speeds)]
    return found[:LIMIT]


def _weights(run: Run) -> Iterator[Caveat]:
    weights = [row.record.weights for row in run.rows if row.record.weights]
    if any(item.name == DEMO_NAME for item in weights):
        yield Caveat("The weights are trained, but not GPT-SoVITS's own: judge the sound with yours.", "method")
    elif any(item.synthetic for item in weights):
        yield Caveat("The weights are synthetic: times hold for the real model, the sound has to be judged.", "method")


def _incomplete(run: Run) -> Iterator[Caveat]:
    if run.notices:
        more = f" ({len(run.notices) - 1} more notes)" if len(run.notices) > 1 else ""
        first = run.notices[0]
        yield Caveat(first if len(first) < 140 else f"{first[:139].rstrip()}\N{HORIZONTAL ELLIPSIS}", "method")
        if more:
            yield Caveat(f"There is more to know of these records{more}.", "method")


def _throttled(speeds: Sequence[Speed]) -> Iterator[Caveat]:
    states = [speed.gpu_state for speed in speeds if speed.gpu_state and speed.gpu_state.throttled]
    if states:
        reasons = ", ".join(sorted({reason for state in states for reason in state.throttle_reasons})).replace("_", " ")
        yield Caveat(f"The GPU throttled in {len(states)} of {count(len(speeds), 'case')}: {reasons}.", "cases")


def _noisy(run: Run) -> Iterator[Caveat]:
    """Eager fp32 of one shape, as it ran in turn with the cases of a sweep, is the sweep's own control."""
    medians: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for row in run.rows:
        for turn in _turns(row.measured) if row.timed else ():
            medians[row.record.run_id, turn.baseline].append(turn.baseline_median_ms)
    spread, key = max(((max(found) / min(found), key) for key, found in medians.items()), default=(1.0, ("", "")))
    if spread > _QUIET:
        ends, case = medians[key], parse_case(key[1])
        yield Caveat(
            f"The machine was not quiet: {short_name(case)} took {number(min(ends))} to {number(max(ends))} ms at "
            f"{case.frames} frames; believe ratios in turn before milliseconds.",
            "method",
        )


def _unstable(speeds: Sequence[Speed]) -> Iterator[Caveat]:
    unstable = sum(_is_unstable(speed) for speed in speeds)
    if unstable:
        yield Caveat(f"{unstable} of {count(len(speeds), 'case')} did not settle within 5 % either way.", "cases")


def _is_unstable(speed: Speed) -> bool:
    timing = speed.timing
    if timing.ci95_low_ms is None or timing.ci95_high_ms is None:
        return True
    return (timing.ci95_high_ms - timing.ci95_low_ms) / 2 > STABLE * timing.median_ms


def _waited(speeds: Sequence[Speed]) -> Iterator[Caveat]:
    turns = [turn for speed in speeds for turn in _turns(speed)]
    waited = sum(turn.baseline_waits_for_host for turn in turns)
    if waited:
        yield Caveat(
            f"PyTorch eager waits for the processor in {waited} of {count(len(turns), 'comparison')}: another "
            "processor gives another ratio.",
            "promises",
        )


def _turns(speed: Speed) -> list[Speedup]:
    """The eager cases that ran in turn, each once; eager's own case against itself says nothing."""
    turns = {turn.baseline: turn for turn in (speed.speedup_fp32, speed.speedup_same_precision) if turn}
    return [turn for turn in turns.values() if turn.ratio != 1.0]
