"""The rows of a run, one a case, and the groups of rows that may be compared with one another."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from bench.case import Case, configuration
from bench.records.facts import value_at
from bench.records.kind import KINDS
from bench.records.schema import AnyResult, Record, Sound, Speed, Status

PASS, WARN, FAIL, REFERENCE, NOT_JUDGED = "pass", "warn", "fail", "reference", "not judged"
# Backends that run PyTorch's own kernels on any machine that PyTorch runs on.
PLAIN_PYTORCH = ("eager", "torchscript", "cuda-graph", "compile")
# What PyTorch has instead of precisions that exist in engines only.
_PLAIN_PRECISION = {"int8": "fp16", "fp8": "fp16"}
_WORST_FIRST = (FAIL, WARN, PASS, REFERENCE, NOT_JUDGED)


@dataclass(frozen=True)
class Judgement:
    """What is known about a case's sound.

    Attributes:
        verdict: ``pass``, ``warn``, ``fail``, ``reference`` (eager fp32, what the others are judged against)
            or ``not judged``.
        reason: Why, in the judge's words or in one sentence of ours.
        sound: What was measured; None where nothing was.
    """

    verdict: str
    reason: str = ""
    sound: Sound | None = None

    def value(self, name: str) -> float | None:
        """A figure of the sound, or None where it was not measured."""
        return value_at(self.sound, name)

    @property
    def within_tier(self) -> bool:
        """Whether a configuration with this judgement may be recommended."""
        return self.verdict in (PASS, REFERENCE)


@dataclass(frozen=True)
class Row:
    """One case with its records of every kind.

    Attributes:
        record: The record that stands for the case: that of its speed where there is one, else of another kind.
        records: The last record of each kind, by its name; the sound may be that of another case that sounds the same.
        line: Line of ``record`` in the records file, from 1.
        judgement: Verdict on the sound.
    """

    record: Record
    records: Mapping[str, Record]
    line: int
    judgement: Judgement

    @cached_property
    def case(self) -> Case:
        """The case."""
        return self.record.case

    @cached_property
    def configuration(self) -> str:
        """The case without version and shape."""
        return configuration(self.record.case)

    def answer(self, kind: type[AnyResult]) -> AnyResult | None:
        """The case's result of a kind; None where there is none."""
        record = self.records.get(kind.kind)
        return None if record is None else record.answer(kind)

    @cached_property
    def speed(self) -> Speed | None:
        """The case's speed."""
        return self.answer(Speed)

    @property
    def quality(self) -> Record | None:
        """The record of the case's sound."""
        return self.records.get(Sound.kind)

    @property
    def timed(self) -> bool:
        """Whether this row holds a speed figure."""
        return self.speed is not None and self.record.status is Status.OK

    @property
    def measured(self) -> Speed:
        """The case's speed; only of a timed row."""
        assert self.speed is not None  # noqa: S101 - narrows the type
        return self.speed

    @property
    def median_ms(self) -> float:
        """Median latency; only of a timed row."""
        return self.measured.timing.median_ms


def first_kind(kinds: Iterable[str]) -> str:
    """The kind that stands for a case: speed, else the first that is known."""
    order = [Speed.kind, *KINDS]
    return min(kinds, key=order.index)


@dataclass(frozen=True)
class Group:
    """Rows that may be compared with one another: one vocoder, one device, one set of weights.

    Attributes:
        version, device, weights: What they share; ``weights`` is the text to show beside every figure.
        synthetic: Whether the weights are synthetic.
        rows: The timed rows.
        judged: Rows of cases that were judged but not timed.
    """

    version: str
    device: str
    weights: str
    synthetic: bool
    rows: tuple[Row, ...]
    judged: tuple[Row, ...] = ()

    @property
    def name(self) -> str:
        """Vocoder and device, such as ``v3 on cuda:0``."""
        return f"{self.version} on {self.device}"

    @property
    def label(self) -> str:
        """What a figure must carry: vocoder, device and weights."""
        return f"{self.name}, {self.weights}"

    def gate(self, name: str) -> Judgement:
        """The verdict on a configuration: the worst of its judged shapes."""
        return self._gates.get(name, Judgement(NOT_JUDGED))

    def best_plain(self, case: Case) -> Row | None:
        """The fastest plain-PyTorch row of a case's shape and precision whose sound does not fail.

        It is the baseline that eager, waiting for Python, is too weak for. None where no such row was timed.
        """
        precision = _PLAIN_PRECISION.get(case.precision, case.precision)
        rows = [
            row
            for row in self.rows
            if row.case.backend in PLAIN_PYTORCH
            and (row.case.precision, row.case.batch, row.case.frames) == (precision, case.batch, case.frames)
            and self.gate(row.configuration).verdict != FAIL
        ]
        return min(rows, key=lambda row: row.median_ms, default=None)

    @cached_property
    def _gates(self) -> dict[str, Judgement]:
        gates: dict[str, tuple[int, Judgement]] = {}
        for row in (*self.rows, *self.judged):
            judgement = row.judgement
            rank = _WORST_FIRST.index(judgement.verdict)
            if judgement.reason and judgement.verdict in (FAIL, WARN):
                judgement = Judgement(judgement.verdict, f"{row.case.id}: {judgement.reason}", judgement.sound)
            if row.configuration not in gates or rank < gates[row.configuration][0]:
                gates[row.configuration] = rank, judgement
        return {name: judgement for name, (_, judgement) in gates.items()}
