"""The table of every case, and the samples behind its figures."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.records.run import Row, Run
from bench.records.schema import Memory, Record, Speedup, Status, Timing
from bench.report.text import interval, mebibytes, number

SAMPLE_BYTES = 3 * 2**19


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


def _of_timing(text: Callable[[Timing], str]) -> Callable[[Row], str]:
    return lambda row: text(row.record.timing) if row.record.timing else ""


def _of_memory(text: Callable[[Memory], str]) -> Callable[[Row], str]:
    return lambda row: text(row.record.memory) if row.record.memory else ""


def _speedup(speedup: Speedup | None) -> str:
    return interval(speedup.ratio, speedup.ci95_low, speedup.ci95_high, 3) if speedup else ""


def _throughput(row: Row) -> str:
    return number(row.record.throughput.audio_s_per_s) if row.record.throughput else ""


def _real_time_factor(row: Row) -> str:
    return number(row.record.throughput.real_time_factor) if row.record.throughput else ""


def outcome(row: Row) -> str:
    """The status in words."""
    words = row.record.status.value.replace("_", " ")
    return f"{words}, sound only" if row.record.kind == "quality" else words


def fidelity(row: Row) -> str:
    """The verdict on the sound with its reason."""
    judgement = row.judgement
    return f"{judgement.verdict} ({judgement.reason})" if judgement.reason else judgement.verdict


def _throttle(record: Record) -> str:
    return ", ".join(record.gpu_state.throttle_reasons) if record.gpu_state else ""


COLUMNS: tuple[Column, ...] = (
    Column("Reason", lambda row: row.record.reason, False, "Why the case gave no figure."),
    Column("Fidelity", fidelity, False, "Verdict on the sound of this case against eager fp32."),
    Column(
        "Median, ms",
        _of_timing(lambda t: interval(t.median_ms, t.ci95_low_ms, t.ci95_high_ms)),
        help="Median duration with its 95 % interval.",
    ),
    Column("MAD, ms", _of_timing(lambda t: number(t.mad_ms)), help="Median absolute deviation."),
    Column("p90, ms", _of_timing(lambda t: number(t.p90_ms)), help="Blank under 64 rounds."),
    Column("p99, ms", _of_timing(lambda t: number(t.p99_ms)), help="Blank under 662 rounds."),
    Column("Host median, ms", _of_timing(lambda t: number(t.host_median_ms, 4)), help="By the host's clock."),
    Column(
        "Launch, ms",
        _of_timing(lambda t: number(t.launch_median_ms)),
        help="Host's time until the call returned; where it is nearly the median, the device waited for the host.",
    ),
    Column("RTF", _real_time_factor, help="Seconds of compute per second of audio."),
    Column("Audio s/s", _throughput, help="Seconds of audio per second, over the batch."),
    Column(
        "Speedup, fp32",
        lambda row: _speedup(row.record.speedup_fp32),
        help="Over eager fp32 in turn, with its 95 % interval.",
    ),
    Column(
        "Speedup, same",
        lambda row: _speedup(row.record.speedup_same_precision),
        help="Over eager of the same precision in turn, with its 95 % interval.",
    ),
    Column(
        "Speedup, static",
        lambda row: _speedup(row.record.speedup_static),
        help="Of an engine for a range of shapes over one for this shape alone, in turn.",
    ),
    Column("Allocator, MiB", _of_memory(lambda m: mebibytes(m.allocated_peak_bytes)), help="Torch's peak."),
    Column("GPU process, MiB", _of_memory(lambda m: mebibytes(m.process_gpu_bytes)), help="By NVML."),
    Column("RSS peak, MiB", _of_memory(lambda m: mebibytes(m.rss_peak_bytes)), help="Of the process, host."),
    Column(
        "Build, s",
        lambda row: number(row.record.build.cost_s) if row.record.build else "",
        help="To a callable; when it was built, if it came from the cache.",
    ),
    Column(
        "Load, s",
        lambda row: number(row.record.build.load_s) if row.record.build else "",
        help="A built engine to a callable.",
    ),
    Column(
        "Engine, MiB",
        lambda row: mebibytes(row.record.build.engine_bytes) if row.record.build else "",
        help="Serialised.",
    ),
    Column(
        "Context, MiB",
        lambda row: mebibytes(row.record.build.details.get("context_bytes")) if row.record.build else "",
        help="Device memory of the engine's context: activations and workspace for the largest shape it takes.",
    ),
    Column("First call, ms", _of_timing(lambda t: number(t.first_call_ms)), help="After the build."),
    Column("SNR, dB", lambda row: number(row.judgement.value("snr_db")), help="Against eager fp32."),
    Column("LSD, dB", lambda row: number(row.judgement.value("lsd_db")), help="Log-spectral distance."),
    Column(
        "Computed in",
        lambda row: row.record.precision.compute if row.record.precision else "",
        False,
        "Observed.",
    ),
    Column("Throttling", lambda row: _throttle(row.record), False, "Reasons seen while it was timed."),
    Column("Stopped", _of_timing(lambda t: t.stop_reason.replace("_", " ")), False, "Why the rounds ended."),
    Column("Device", lambda row: row.record.device, False),
    Column("Weights", lambda row: row.record.weights.name if row.record.weights else "", False),
)


@dataclass(frozen=True)
class Line:
    """A row of the table as text.

    Attributes:
        case: The row's label.
        version, backend, precision, outcome: What the table filters by.
        cells: One text a column.
        samples: Anchor of its samples in this page, or empty.
        count: Number of samples.
        line: Line of its record in the records file.
    """

    case: str
    version: str
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
        columns: Those in which at least one row has something.
        blank: Names of those that are left out for being empty.
        lines: One a case.
        samples: Samples kept in the page.
        without: How many timed cases have their samples in the records file only.
    """

    columns: tuple[Column, ...]
    blank: tuple[str, ...]
    lines: tuple[Line, ...]
    samples: tuple[Samples, ...]
    without: int


def table(run: Run) -> Table:
    """Every row of a run, with the samples of as many as 1.5 MiB hold, the shortest first."""
    texts = [tuple(column.cell(row) for column in COLUMNS) for row in run.rows]
    kept = [index for index in range(len(COLUMNS)) if any(cells[index] for cells in texts)]
    samples = _samples(run)
    lines = []
    for row, cells in zip(run.rows, texts, strict=True):
        anchor = f"samples-{row.line}"
        lines.append(
            Line(
                case=row.case.id,
                version=row.case.version,
                backend=row.case.backend,
                precision=row.case.precision,
                outcome=outcome(row),
                cells=tuple(cells[index] for index in kept),
                samples=anchor if anchor in samples else "",
                count=len(row.record.timing.samples_ms) if row.record.timing else 0,
                line=row.line,
            )
        )
    timed = sum(row.record.status is Status.OK and row.record.timing is not None for row in run.rows)
    return Table(
        columns=tuple(COLUMNS[index] for index in kept),
        blank=tuple(COLUMNS[index].name for index in range(len(COLUMNS)) if index not in kept),
        lines=tuple(lines),
        samples=tuple(samples.values()),
        without=timed - len(samples),
    )


def _samples(run: Run) -> dict[str, Samples]:
    timed = [row for row in run.rows if row.record.timing]
    left = SAMPLE_BYTES
    chosen: dict[str, Samples] = {}
    for row in sorted(timed, key=lambda row: len(row.record.timing.samples_ms) if row.record.timing else 0):
        assert row.record.timing is not None  # noqa: S101 - narrows the type
        text = " ".join(number(sample, 5) for sample in row.record.timing.samples_ms)
        left -= len(text)
        if left < 0:
            break
        anchor = f"samples-{row.line}"
        chosen[anchor] = Samples(anchor, row.case.id, row.record.timing.clock, text)
    return chosen
