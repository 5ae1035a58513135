"""The guide's promises, one line each for a vocoder: against eager and against the best plain PyTorch.

Both sides of a ratio come from one sweep and ran in turn with the same eager; otherwise the cell is blank and says why.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from bench.records.rows import FAIL, PLAIN_PYTORCH, Group, Row
from bench.records.run import Run
from bench.report.names import short_name
from bench.report.pairs import Ratio, best_plain, eager_of, over_eager, over_plain, same_sweep, without_context
from bench.report.shapes import at_shape, reference_frames, settings
from bench.report.text import MIB, MINUS, number, ratio
from bench.spec import SPECS

HELD, NOT_HELD, NOT_MEASURED = "held", "not held", "not measured"


@dataclass(frozen=True)
class Cell:
    """A figure held against a promise.

    Attributes:
        verdict: ``held``, ``not held`` or ``not measured``. Held means that the whole interval reaches the promise.
        figure: With its interval; empty where there is none.
        note: What the figure is of, or why there is none.
    """

    verdict: str = NOT_MEASURED
    figure: str = ""
    note: str = ""


@dataclass(frozen=True)
class Line:
    """A promise for a vocoder.

    Attributes:
        promise, how: Title, and what the figure is.
        version: The vocoder.
        subject, title: Short name and case id of what is held against it.
        fidelity: Verdict on its sound.
        cells: Against eager fp32, eager of its own precision, and the best plain PyTorch.
    """

    promise: str
    how: str
    version: str
    subject: str
    title: str
    fidelity: str
    cells: tuple[Cell, Cell, Cell]


def lines(run: Run) -> list[Line]:
    """Every promise for every vocoder, device and set of weights."""
    return [line for group in run.groups for line in _of_group(run, group)]


def _of_group(run: Run, group: Group) -> Iterable[Line]:
    row = subject(group)
    for promise in settings()["promise"]:
        title, how, version = promise["title"], promise["how"], group.version
        if row is None:
            yield Line(title, how, version, "none", "", "", (Cell(note=_nothing(run, version)),) * 3)
            continue
        low, high = float(promise["low"]), float(promise["high"])
        one, same, plain = (_judged(figure, low, high) for figure in _FIGURES[promise["key"]](group, row))
        fidelity = group.gate(row.configuration).verdict
        yield Line(title, how, version, short_name(row.case), row.case.id, fidelity, (one, same, plain))


def _nothing(run: Run, version: str) -> str:
    """Why nothing but plain PyTorch was timed, as far as a record of a TensorRT case says so."""
    promised = settings()["promised_backends"]
    reasons = (
        row.record.reason
        for row in run.rows
        if row.case.version == version and not row.timed and row.case.backend.startswith(promised)
    )
    reason = next(filter(None, reasons), "")
    return f"nothing but plain PyTorch was timed{f': {reason}' if reason else ''}"


def subject(group: Group) -> Row | None:
    """What the promises are held against: the fastest TensorRT, else the fastest that is not plain PyTorch.

    A configuration whose sound is within its tier goes before one that is not.
    """
    ours = [row for row in group.rows if row.case.backend not in PLAIN_PYTORCH]
    promised = [row for row in ours if row.case.backend.startswith(settings()["promised_backends"])]
    rows = at_shape(promised or ours, reference_frames(group.version))

    def order(row: Row) -> tuple[bool, bool, float]:
        judgement = group.gate(row.configuration)
        return judgement.verdict == FAIL, not judgement.within_tier, row.median_ms

    return min(rows, key=order, default=None)


@dataclass(frozen=True)
class Figure:
    """A figure on its way into a cell: value and bounds in the promise's unit; None where it was not measured."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    text: str = ""
    note: str = ""


Three = tuple[Figure, Figure, Figure]


def _speed(group: Group, row: Row) -> Three:
    own = over_eager(row, row.case.precision)
    return _of_ratio(over_eager(row, "fp32")), _of_ratio(own), _of_ratio(over_plain(group, row))


def _of_ratio(found: Ratio | str | None) -> Figure:
    if found is None or isinstance(found, str):
        return Figure(note=found or "no such eager ran in turn with it")
    note = f"{found.base}, rounds in turn" + ("; it is launch-bound" if found.waited else "")
    return Figure(found.value, found.low, found.high, ratio(found.value, found.low, found.high), note)


def _latency(group: Group, row: Row) -> Three:
    one, same, plain = (_reduced(figure) for figure in _speed(group, row))
    return one, same, plain


def _reduced(figure: Figure) -> Figure:
    """A ratio of times as a reduction in per cent."""
    if figure.value is None:
        return figure
    found = Ratio(figure.value, figure.low, figure.high, "")
    value, low, high = found.reduction
    ends = "" if low is None or high is None else f" [{signed(high)}, {signed(low)}]"
    return replace(figure, value=value, low=low, high=high, text=f"{signed(value)} %{ends}")


def _throughput(group: Group, row: Row) -> Three:
    """At the shape with most audio per second; a baseline that does better at another shape counts with that."""
    mine = [other for other in same_sweep(group, row).rows if other.configuration == row.configuration]
    best = max(mine, key=lambda other: _audio_s_per_s(other, other.median_ms))
    figures = []
    for found, rates in (
        (over_eager(best, "fp32"), _eager_rates(group, row, "fp32")),
        (over_eager(best, row.case.precision), _eager_rates(group, row, row.case.precision)),
        (over_plain(group, best), _plain_rates(group, row)),
    ):
        figures.append(_at_best(best, found, rates))
    one, same, plain = figures
    return one, same, plain


def _at_best(best: Row, found: Ratio | str | None, rates: list[float]) -> Figure:
    """A ratio at the shape that is best for a row, less what its baseline gains at a better shape of its own."""
    if not isinstance(found, Ratio):
        return _of_ratio(found)
    here = _audio_s_per_s(best, best.median_ms) / found.value
    if not rates or max(rates) <= here:
        return replace(_of_ratio(found), note=f"{best.case.id} against {found.base}, rounds in turn")
    share = here / max(rates)
    low, high = (None if end is None else end * share for end in (found.low, found.high))
    note = f"{best.case.id} against the baseline at its own best shape, which did not run in turn"
    return replace(_of_ratio(Ratio(found.value * share, low, high, found.base)), note=note)


def _audio_s_per_s(row: Row, ms: float) -> float:
    return 1000 * row.case.batch * SPECS[row.case.version].audio_s(row.case.frames) / ms


def _eager_rates(group: Group, row: Row, precision: str) -> list[float]:
    return [
        _audio_s_per_s(other, turn.baseline_median_ms)
        for other in same_sweep(group, row).rows
        for turn in (other.measured.speedup_fp32, other.measured.speedup_same_precision)
        if turn and turn.baseline == other.case.baseline(precision).id
    ]


def _plain_rates(group: Group, row: Row) -> list[float]:
    """Of all plain PyTorch of the best one's precision in the sweep, eager in turn included."""
    sweep, plain = same_sweep(group, row), best_plain(group, row)
    if plain is None:
        return []
    precision = plain.case.precision
    rows = [other for other in sweep.rows if other.case.backend in PLAIN_PYTORCH and other.case.precision == precision]
    own = [_audio_s_per_s(other, other.median_ms) for other in rows if group.gate(other.configuration).verdict != FAIL]
    return own + _eager_rates(group, row, precision)


def _memory(group: Group, row: Row) -> Three:
    """One reading each; without CUDA's own context, and with it as the whole process has it."""
    bases = (eager_of(group, row, "fp32"), eager_of(group, row, row.case.precision), best_plain(group, row))
    one, same, plain = (_less_memory(row, base) for base in bases)
    return one, same, plain


def _less_memory(row: Row, base: Row | None) -> Figure:
    if base is None:
        return Figure(note="no such case of its own in this sweep")
    mine, theirs = without_context(row), without_context(base)
    if mine is None or not theirs:
        return Figure(note="no memory figure that both cases have")
    value = 100 * (theirs - mine) / theirs
    text = f"{signed(value)} % ({number(theirs / MIB)} to {number(mine / MIB)} MiB)"
    whole = [getattr(other.measured.memory, "process_gpu_bytes", None) for other in (row, base)]
    if whole[0] and whole[1]:
        text += f"; {signed(100 * (1 - whole[0] / whole[1]))} % with CUDA's context"
    return Figure(value, None, None, text, f"{base.case.id}, one reading each")


_FIGURES: dict[str, Callable[[Group, Row], Three]] = {
    "speed": _speed,
    "throughput": _throughput,
    "latency": _latency,
    "memory": _memory,
}


def _judged(figure: Figure, low: float, high: float) -> Cell:
    """Held only where the whole interval reaches the promise; a single reading is judged by its value."""
    if figure.value is None:
        return Cell(note=figure.note)
    surely = figure.value if figure.low is None else figure.low
    at_best = figure.value if figure.high is None else figure.high
    note = figure.note
    if surely >= low:
        return Cell(HELD, figure.text, f"{note}; more than the promised {number(high, 2)}" if surely > high else note)
    if at_best >= low:
        note += f"; the interval reaches the promised {number(low, 2)}, not all of it does"
    return Cell(NOT_HELD, figure.text, note)


def signed(reduction: float) -> str:
    """A reduction as the change that it is, such as ``−50.0``."""
    change = f"{-reduction:+.1f}"
    return change.replace("-", MINUS) if float(change) else "0.0"
