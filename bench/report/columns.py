"""The columns of the table of every case."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.records.facts import facts_of, value_at
from bench.records.kind import KINDS
from bench.records.rows import Row
from bench.records.schema import Build, Sound, Speed, Speedup
from bench.report.text import cell, heading, interval, mebibytes


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
