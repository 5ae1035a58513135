"""The table of every case, and the samples behind its figures."""

from collections.abc import Callable
from dataclasses import dataclass

from markupsafe import Markup

from bench.records.facts import facts_of, value_at
from bench.records.kind import KINDS
from bench.records.rows import Row
from bench.records.run import Run
from bench.records.schema import Build, Sound, Speed, Speedup
from bench.report.html import render
from bench.report.names import short_names
from bench.report.section import Section
from bench.report.text import cell, heading, interval, mebibytes, number

SAMPLE_BYTES = 2**18
_FIRST = ("Configuration", "Vocoder", "Batch", "Frames", "Backend", "Precision", "Outcome")
_LAST = ("Rounds", "Line")
_COUNTS = ("Batch", "Frames", *_LAST)


@dataclass(frozen=True)
class Column:
    """One column of the table.

    Attributes:
        name: Heading, with the unit.
        cell: Text of a row's cell; empty where it was not measured.
        numeric: Whether the cell starts with a number to sort by.
        help: What the figure is, for the heading's tooltip and the list under the table.
    """

    name: str
    cell: Callable[[Row], str]
    numeric: bool = True
    help: str = ""


def _figure(path: str, name: str = "") -> Column:
    """The column of a figure of the speed, as its facts have it."""
    facts = facts_of(Speed)[path]
    return Column(name or heading(facts), lambda row: cell(facts, value_at(row.speed, path)), help=facts.help)


def _sound(name: str) -> Column:
    facts = facts_of(Sound)[name]
    return Column(heading(facts), lambda row: cell(facts, row.judgement.value(name)), help=facts.help)


def _build(field: str, attribute: str = "") -> Column:
    facts = facts_of(Build)[field]
    return Column(
        heading(facts), lambda row: cell(facts, value_at(row.record.build, attribute or field)), help=facts.help
    )


def _median() -> Column:
    facts = facts_of(Speed)["timing.median_ms"]

    def text(row: Row) -> str:
        timing = row.speed and row.speed.timing
        return interval(timing.median_ms, timing.ci95_low_ms, timing.ci95_high_ms, facts.digits) if timing else ""

    return Column(heading(facts), text, help=facts.help)


def _speedup(speedup: Speedup | None) -> str:
    return interval(speedup.ratio, speedup.ci95_low, speedup.ci95_high, 3) if speedup else ""


def outcome(row: Row) -> str:
    """The status in words."""
    words = row.record.status.value.replace("_", " ")
    kind = row.record.kind
    return words if kind == Speed.kind else f"{words}, {KINDS[kind].title} only"


def fidelity(row: Row) -> str:
    """The verdict on the sound with its reason."""
    judgement = row.judgement
    return f"{judgement.verdict} ({judgement.reason})" if judgement.reason else judgement.verdict


def _throttle(row: Row) -> str:
    return ", ".join(row.speed.gpu_state.throttle_reasons) if row.speed and row.speed.gpu_state else ""


def _processes(row: Row) -> str:
    """How many processes share the rounds, and how far their medians lie apart."""
    medians = [process.median_ms for process in row.speed.processes] if row.speed else []
    if len(medians) < 2:
        return "1" if row.speed else ""
    return f"{len(medians)}, {100 * (max(medians) / min(medians) - 1):.1f} % apart"


_AUDIO = facts_of(Speed)["throughput.audio_s_per_s"]
COLUMNS: tuple[Column, ...] = (
    Column("Reason", lambda row: row.record.reason, False, "Why the case gave no figure."),
    Column("Fidelity", fidelity, False, "Verdict on the sound of this case against eager fp32."),
    _median(),
    Column("Processes", _processes, False, "Worker processes that share the rounds; from least to largest median."),
    _figure("timing.mad_ms"),
    _figure("timing.p90_ms"),
    _figure("timing.p99_ms"),
    _figure("timing.host_median_ms"),
    _figure("timing.launch_median_ms"),
    _figure("throughput.real_time_factor"),
    Column(
        "Audio s/s",
        lambda row: cell(_AUDIO, value_at(row.speed, "throughput.audio_s_per_s")),
        help="Seconds of audio per second, over the batch; Counted says whether calls ran back to back or in rounds.",
    ),
    Column(
        "Counted",
        lambda row: row.speed.throughput.method.replace("-", " ") if row.speed and row.speed.throughput else "",
        False,
        "How the audio per second was counted.",
    ),
    Column(
        "Speedup, fp32",
        lambda row: _speedup(row.speed.speedup_fp32 if row.speed else None),
        help="Over eager fp32 in turn, with its 95 % interval.",
    ),
    Column(
        "Speedup, same",
        lambda row: _speedup(row.speed.speedup_same_precision if row.speed else None),
        help="Over eager of the same precision in turn, with its 95 % interval.",
    ),
    Column(
        "Over its static baseline",
        lambda row: _speedup(row.speed.speedup_static if row.speed else None),
        help="Of an engine for a range of shapes over one for this shape alone, in turn.",
    ),
    _figure("memory.allocated_peak_bytes"),
    _figure("memory.process_gpu_bytes"),
    _figure("memory.rss_peak_bytes"),
    _build("build_s", "cost_s"),
    _build("load_s"),
    _build("engine_bytes"),
    Column(
        "Context, MiB",
        lambda row: mebibytes(row.record.build.details.get("context_bytes")) if row.record.build else "",
        help="Device memory of the engine's context: activations and workspace for the largest shape it takes.",
    ),
    _figure("timing.first_call_ms"),
    _sound("heard_db"),
    _sound("snr_db"),
    _sound("lsd_db"),
    _figure("roofline.percent_of_limit"),
    Column(
        "Bound by",
        lambda row: row.speed.roofline.bound_by if row.speed and row.speed.roofline else "",
        False,
        "What sets the limit, or launches where the GPU waited for its host.",
    ),
    _figure("new_shape.cost_ms"),
    _figure("energy.joules_per_audio_second"),
    Column(
        "Computed in",
        lambda row: row.record.precision.compute if row.record.precision else "",
        False,
        "Observed.",
    ),
    Column("Throttling", _throttle, False, "Reasons seen while it was timed."),
    Column(
        "Stopped",
        lambda row: row.speed.timing.stop_reason.replace("_", " ") if row.speed else "",
        False,
        "Why the rounds ended.",
    ),
    Column("Device", lambda row: row.record.device, False),
    Column("Weights", lambda row: row.record.weights.name if row.record.weights else "", False),
)


@dataclass(frozen=True)
class Line:
    """A row of the table as text.

    Attributes:
        name, case: Short name of the configuration, and the case's id.
        version, backend, precision, outcome: What the table filters by.
        batch, frames: The shape.
        cells: One text a column.
        samples: Anchor of its samples in this page, or empty.
        count: Number of samples.
        line: Line of its record in the records file.
    """

    name: str
    case: str
    version: str
    batch: int
    frames: int
    backend: str
    precision: str
    outcome: str
    cells: tuple[str, ...]
    samples: str
    count: int
    line: int


@dataclass(frozen=True)
class Samples:
    """The durations behind one row."""

    anchor: str
    case: str
    clock: str
    text: str


@dataclass(frozen=True)
class Table:
    """The table of every case.

    Attributes:
        columns: Those in which at least one row has something, and not every row the same words.
        same: Name and words of those in which every row has the same.
        blank: Names of those that are left out for being empty.
        lines: One a case.
        samples: Samples kept in the page.
        without: How many timed cases have their samples in the records file only.
    """

    columns: tuple[Column, ...]
    same: tuple[tuple[str, str], ...]
    blank: tuple[str, ...]
    lines: tuple[Line, ...]
    samples: tuple[Samples, ...]
    without: int

    @property
    def headings(self) -> tuple[str, ...]:
        """The names of all columns of the page."""
        return (*_FIRST, *(column.name for column in self.columns), *_LAST)

    @property
    def numeric(self) -> tuple[int, ...]:
        """Places, from 1, of the columns that hold numbers."""
        numbers = {column.name for column in self.columns if column.numeric}.union(_COUNTS)
        return tuple(place for place, name in enumerate(self.headings, 1) if name in numbers)


def table(run: Run) -> Table:
    """Every row of a run, with the samples of as many as 256 KiB hold, the shortest first."""
    texts = [tuple(column.cell(row) for column in COLUMNS) for row in run.rows]
    some = [index for index in range(len(COLUMNS)) if any(cells[index] for cells in texts)]
    one = [index for index in some if _is_one([cells[index] for cells in texts], COLUMNS[index])]
    kept = [index for index in some if index not in one]
    samples = _samples(run)
    names = short_names(row.case for row in run.rows)
    lines = []
    for row, cells in zip(run.rows, texts, strict=True):
        anchor = f"samples-{row.line}"
        lines.append(
            Line(
                name=names[row.configuration],
                case=row.case.id,
                version=row.case.version,
                batch=row.case.batch,
                frames=row.case.frames,
                backend=row.case.backend,
                precision=row.case.precision,
                outcome=outcome(row),
                cells=tuple(cells[index] for index in kept),
                samples=anchor if anchor in samples else "",
                count=len(row.speed.timing.samples_ms) if row.speed else 0,
                line=row.line,
            )
        )
    timed = sum(row.timed for row in run.rows)
    return Table(
        columns=tuple(COLUMNS[index] for index in kept),
        same=tuple((COLUMNS[index].name, texts[0][index]) for index in one),
        blank=tuple(COLUMNS[index].name for index in range(len(COLUMNS)) if index not in some),
        lines=tuple(lines),
        samples=tuple(samples.values()),
        without=timed - len(samples),
    )


def _is_one(texts: list[str], column: Column) -> bool:
    """Whether words are the same in every row, so that saying them once will do."""
    return len(texts) > 1 and not column.numeric and len(set(texts)) == 1


def _samples(run: Run) -> dict[str, Samples]:
    timed = [(row, row.speed.timing) for row in run.rows if row.speed]
    left = SAMPLE_BYTES
    chosen: dict[str, Samples] = {}
    for row, timing in sorted(timed, key=lambda pair: len(pair[1].samples_ms)):
        text = " ".join(number(sample, 5) for sample in timing.samples_ms)
        left -= len(text)
        if left < 0:
            break
        anchor = f"samples-{row.line}"
        chosen[anchor] = Samples(anchor, row.case.id, timing.clock, text)
    return chosen


class Cases(Section, anchor="cases", nav="Every case", order=60):
    """The table of every case."""

    def html(self) -> Markup:
        """The table and the samples."""
        run = self.page.run
        return render("sections/cases.html.j2", run=run, records_link=self.page.link(run.file), table=table(run))
