"""The guide's promises, each against one exactly named pair of cases."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

from bench.records.rows import Group, Row
from bench.records.run import Run
from bench.records.schema import Record, Speed, Status
from bench.report.promises.measured import Measured, measure
from bench.report.shapes import settings
from bench.report.text import MINUS, TIMES, number, ratio

EVERY = "every"
HELD, NOT_HELD, NOT_MEASURED = "held", "not held", "not measured"
# From here on eager's own loss at a shape is told beside what is gained over it.
_LOST = 1.5
_HERE = "; eager takes {} as long for a frame here as at its best shape: it "
_LAUNCH_BOUND = "; eager is launch-bound here: {} ms by the host's clock until launched, {} ms in all by the device's"


@dataclass(frozen=True)
class Check:
    """One row of the table of promises.

    Attributes:
        promise: Title of the promise.
        key: Its key in ``settings.toml``; ``every`` for a configuration of which nothing was timed.
        unit: Unit of the figure, ``×`` or ``%``.
        version, device, weights, backend, precision: Whose figure it is.
        baseline: Which eager it is compared with, ``eager fp32`` or ``eager`` of the same precision.
        fidelity: Verdict on the sound of the configuration.
        promised_backend: Whether the guide's promise is about this backend.
        measured: The figure; None where there is none.
        verdict: ``held``, ``not held`` or ``not measured``.
        reason: Why it was not measured, or what the verdict leans on.
    """

    promise: str
    key: str
    unit: str
    version: str
    device: str
    weights: str
    backend: str
    precision: str
    baseline: str
    fidelity: str
    promised_backend: bool
    measured: Measured | None
    verdict: str
    reason: str

    @property
    def figure(self) -> str:
        """The figure with its interval and unit; a reduction is written with its sign."""
        if self.measured is None:
            return ""
        value, low, high = self.measured.value, self.measured.low, self.measured.high
        if self.unit == TIMES:
            return ratio(value, low, high)
        ends = "" if low is None or high is None else f" [{signed(high)}, {signed(low)}]"
        return f"{signed(value)} %{ends}"


def signed(reduction: float) -> str:
    """A reduction as the change that it is, such as ``−50.0``."""
    change = f"{-reduction:+.1f}"
    return change.replace("-", MINUS) if float(change) else "0.0"


def check_promises(run: Run) -> list[Check]:
    """Every promise for every configuration but eager, and for those that could not be measured."""
    checks: list[Check] = []
    for group in run.groups:
        names = {row.configuration: row for row in group.rows if row.case.backend != "eager"}
        for name, row in names.items():
            checks += _of_configuration(group, name, row)
    timed = {(row.case.version, row.record.device, row.configuration) for row in run.rows if row.timed}
    missing: dict[tuple[str, str, str], Row] = {}
    for row in run.rows:
        key = (row.case.version, row.record.device, row.configuration)
        if Speed.kind in row.records and row.case.backend != "eager" and key not in timed:
            missing.setdefault(key, row)
    checks += chain.from_iterable(_missing(row) for row in missing.values())
    return sorted(
        checks,
        key=lambda check: (not check.promised_backend, check.version, check.verdict == NOT_MEASURED),
    )


def _baselines(speed: Speed, own: str) -> list[str]:
    """Precisions of eager to compare with. A case that ran in turn with fp32 alone has no eager of its own."""
    alone = speed.speedup_same_precision is None and speed.speedup_fp32 is not None
    return ["fp32"] if own == "fp32" or alone else ["fp32", own]


def _of_configuration(group: Group, name: str, row: Row) -> Iterable[Check]:
    mine = [other for other in group.rows if other.configuration == name]
    for precision in _baselines(row.measured, row.case.precision):
        for promise in settings()["promise"]:
            measured = measure(promise["key"], group, mine, precision)
            yield _check(promise, row.record, precision, (group.weights, group.gate(name).verdict), measured)


def _check(
    promise: dict[str, object],
    record: Record,
    precision: str,
    identity: tuple[str, str],
    measured: Measured | str,
) -> Check:
    verdict, reason = NOT_MEASURED, str(measured)
    if isinstance(measured, Measured):
        verdict, reason = _judge(measured, float(str(promise["low"])), float(str(promise["high"])))
        reason += _told_host(measured)
    options = [f"{key}={value}" for key, value in record.case.options]
    backend = " ".join([record.case.backend, *options])
    return Check(
        promise=str(promise["title"]),
        key=str(promise["key"]),
        unit=str(promise["unit"]),
        version=record.case.version,
        device=record.device,
        weights=identity[0],
        fidelity=identity[1],
        backend=backend,
        precision=record.case.precision,
        baseline=f"eager {precision}",
        promised_backend=backend.startswith(settings()["promised_backends"]),
        measured=measured if isinstance(measured, Measured) else None,
        verdict=verdict,
        reason=reason,
    )


def _told_host(measured: Measured) -> str:
    """How far eager's time is the host's, as far as that is known."""
    if measured.waited:
        return _LAUNCH_BOUND.format(number(measured.launch_ms), number(measured.base_ms))
    known = measured.launch_ms is not None
    why = "does not fill the device" if known else "is launch-bound, or does not fill the device"
    return told_loss(measured, _HERE + why)


def told_loss(measured: Measured | None, words: str) -> str:
    """Eager's own loss in these words, where it is large enough to tell."""
    loss = measured.eager_loss if measured else None
    return words.format(f"{number(loss, 2)}{TIMES}") if loss is not None and loss >= _LOST else ""


def _judge(measured: Measured, low: float, high: float) -> tuple[str, str]:
    """Held only where the whole interval reaches the promise; a single reading is judged by its value."""
    surely = measured.value if measured.low is None else measured.low
    at_best = measured.value if measured.high is None else measured.high
    if surely >= low:
        beyond = f"; more than the promised {number(high, 2)}" if surely > high else ""
        return HELD, measured.note + beyond
    if at_best >= low:
        return (
            NOT_HELD,
            f"{measured.note}; the interval reaches the promised {number(low, 2)}, not all of it does",
        )
    return NOT_HELD, measured.note


def _missing(row: Row) -> Iterable[Check]:
    weights = row.record.weights.name if row.record.weights else ""
    status = row.record.status
    reason = "no timing" if status is Status.OK else f"{status.value.replace('_', ' ')}: {row.record.reason}"
    every = {"title": f"all {len(settings()['promise'])}", "key": EVERY, "unit": "", "low": 0, "high": 0}
    yield _check(every, row.record, row.case.precision, (weights, row.judgement.verdict), reason)
