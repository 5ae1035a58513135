"""What a comparison found: plain frozen data that the terminal, JSON, Markdown and the report render."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What became of one metric. SLOW means more time or memory, or less throughput, than before."""

    FAST = "FAST"
    SLOW = "SLOW"
    SAME = "SAME"
    UNCLEAR = "UNCLEAR"
    BETTER = "BETTER"  # fidelity and status
    WORSE = "WORSE"


BAD = (Verdict.SLOW, Verdict.WORSE)
GOOD = (Verdict.FAST, Verdict.BETTER)


class Pairing(StrEnum):
    """What there was to compare."""

    COMPARED = "compared"
    NOT_COMPARED = "not compared"
    VANISHED = "vanished"  # in the base only
    NEW = "new"  # in the new run only


@dataclass(frozen=True)
class Change:
    """One metric of one case.

    Attributes:
        metric: Name from the thresholds, or ``"tier"`` for the fidelity verdict.
        verdict: The verdict.
        unit: Unit of ``base`` and ``new``.
        scale: ``"ratio"`` (new over base) or ``"difference"`` (new minus base).
        base, new: Values to quote; medians where a side has several runs.
        change: The ratio or difference that the verdict is about, without the machine's own move for times
            and throughput, so not always the plain quotient of the two values.
        ci95_low, ci95_high: Its 95 % interval, not corrected for the number of cases.
        p_adjusted: Corrected p-value of no change; None where nothing was tested.
        floor: Smallest change that matters, on the same scale as ``change``.
        reason: Why UNCLEAR, or what else a reader must know.
    """

    metric: str
    verdict: Verdict
    unit: str
    scale: str
    base: float | None
    new: float | None
    change: float | None = None
    ci95_low: float | None = None
    ci95_high: float | None = None
    p_adjusted: float | None = None
    floor: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class CaseComparison:
    """One case on both sides.

    Attributes:
        kind: Of the records, such as ``"speed"`` or ``"quality"``.
        id: The case's id.
        pairing: Whether it was compared.
        status_base, status_new: How the case ended on each side.
        status_verdict: WORSE when a case that was ok is not any more, or is missing.
        reasons: Why it was not compared, or how it failed.
        notes: Versions and flags that differ.
        changes: One for each metric that both sides hold.
        control: How far the interleaved eager baseline moved (ratio of new over base), shrunken towards the
            other cases'; None without one.
        control_used: Whether that move was taken out of time and throughput.
    """

    kind: str
    id: str
    pairing: Pairing
    status_base: str | None
    status_new: str | None
    status_verdict: Verdict
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    control: float | None = None
    control_used: bool = False

    @property
    def worse(self) -> bool:
        """Whether anything about it became worse."""
        return self.status_verdict in BAD or any(change.verdict in BAD for change in self.changes)

    @property
    def better(self) -> bool:
        """Whether something became better and nothing worse."""
        good = self.status_verdict in GOOD or any(change.verdict in GOOD for change in self.changes)
        return good and not self.worse


@dataclass(frozen=True)
class Comparison:
    """A base and a new side, compared.

    Attributes:
        base, new: Run ids of each side.
        cases: Every case of either side, in the order of the new side.
        weights: Names of the weights that were compared.
        notes: Versions and flags that differ in any compared case.
        machine: How far the eager baselines moved as a whole; None without any.
        tests: How many changes were tested together.
        alpha: Chance of a false alarm among all of them (Holm).
        history_nights: Nights of history that were used for the spread between nights.
        one_process: Compared cases of which a side ran in one process, so that nothing of it tells how far processes
            lie apart.
    """

    base: tuple[str, ...]
    new: tuple[str, ...]
    cases: tuple[CaseComparison, ...]
    weights: tuple[str, ...]
    notes: tuple[str, ...]
    machine: Change | None
    tests: int
    alpha: float
    history_nights: int
    one_process: int = 0

    @property
    def compared(self) -> int:
        """Number of cases that were compared."""
        return sum(case.pairing is Pairing.COMPARED for case in self.cases)

    @property
    def worse(self) -> tuple[CaseComparison, ...]:
        """Cases that became worse in any way."""
        return tuple(case for case in self.cases if case.worse)

    @property
    def exit_code(self) -> int:
        """0 nothing worse, 1 something worse, 2 nothing could be compared."""
        if self.worse or (self.machine and self.machine.verdict in BAD):
            return 1
        return 0 if self.compared else 2
