"""The first screen: for each vocoder what to run, in one sentence, and the lines that run it."""

from dataclasses import dataclass
from pathlib import Path

from bench.recommend import OBJECTIVES, Pick, Recommendation, code
from bench.recommend.choice import rank
from bench.records.rows import FAIL, NOT_JUDGED, REFERENCE, Group, Judgement, Row
from bench.records.run import Run
from bench.report.ladder import Ladder, ladder
from bench.report.names import short_names
from bench.report.pairs import Ratio, over_eager, over_plain
from bench.report.shapes import at_shape, reference_frames
from bench.report.text import number, ratio
from bench.spec import SPECS


@dataclass(frozen=True)
class Headline:
    """What the first screen says of a vocoder on a device with one set of weights.

    Attributes:
        group: Whose rows it is about.
        row: The winner, or where nothing may be recommended the fastest measured.
        recommended: Whether it may be shipped.
        start: What to do, such as ``Run v3 with``.
        name: The configuration in a few words.
        figure: Milliseconds for seconds of speech.
        rest: How much faster than PyTorch, and what is heard.
        ladder: The bars.
        code: The lines that run it, or the command that settles whether it may be run.
    """

    group: Group
    row: Row
    recommended: bool
    start: str
    name: str
    figure: str
    rest: str
    ladder: Ladder
    code: str

    @property
    def sentence(self) -> str:
        """All of it as one text."""
        return f"{self.start} {self.name}: {self.figure}{self.rest}"


def headlines(run: Run) -> list[Headline]:
    """One for each vocoder, device and set of weights."""
    return [_headline(run, group) for group in run.groups]


def _headline(run: Run, group: Group) -> Headline:
    ranking = rank(run, group, OBJECTIVES["latency"])
    recommended = bool(ranking.rows)
    measured = ranking.rows or rank(run, group, OBJECTIVES["latency"], judged=False).rows
    row = measured[0] if measured else _fastest(group)
    judgement = group.gate(row.configuration)
    case = row.case
    seconds = SPECS[group.version].audio_s(case.frames) * case.batch
    start = (
        f"Run {group.version} with" if recommended else f"Nothing to ship yet for {group.version}. Fastest measured:"
    )
    why = "" if recommended else ranking.ruled_out.get(row.configuration, "")
    return Headline(
        group=group,
        row=row,
        recommended=recommended,
        start=start,
        name=short_names(other.case for other in group.rows)[row.configuration],
        figure=f"{number(row.median_ms)} ms for {seconds:.2g} s of speech",
        rest=f"{_compared(group, row)}; {_heard(judgement, why)}.",
        ladder=ladder(group, row),
        code=_lines(run, group, row) if recommended else _settling(row, judgement),
    )


def _fastest(group: Group) -> Row:
    rows = sorted(at_shape(group.rows, reference_frames(group.version)), key=lambda row: row.median_ms)
    return next((row for row in rows if group.gate(row.configuration).verdict != FAIL), rows[0])


def _compared(group: Group, row: Row) -> str:
    eager, plain = over_eager(row, "fp32"), over_plain(group, row)
    words = []
    if eager is not None and row.configuration != "eager fp32":
        words.append(f", {_times(eager)} PyTorch eager fp32")
    if isinstance(plain, Ratio) and plain != eager:
        words.append(f", {_times(plain)} the best plain PyTorch")
    return "".join(words)


def _times(found: Ratio) -> str:
    """A ratio; its interval where that shows at three digits."""
    same = len({number(value) for value in (found.low, found.value, found.high)}) == 1
    return ratio(found.value, *((None, None) if same else (found.low, found.high)))


def _heard(judgement: Judgement, why: str) -> str:
    """What is heard of it, in the words of the verdict."""
    if judgement.verdict == NOT_JUDGED:
        return "its sound was not judged in this run"
    if judgement.verdict == REFERENCE:
        return "it is the reference for the sound"
    if judgement.verdict == FAIL:
        return f"its sound fails ({judgement.reason})"
    if why:
        return why
    heard = judgement.sound.heard if judgement.sound else ""
    snr_db = judgement.value("snr_db")
    return heard or "its sound passes its tier" + (f" (SNR {number(snr_db)} dB)" if snr_db is not None else "")


def _settling(row: Row, judgement: Judgement) -> str:
    """The command that judges the row's sound; where that passes already, the one that times it again."""
    return judging(row, "test_speed.py" if judgement.within_tier else "test_quality.py")


def _lines(run: Run, group: Group, row: Row) -> str:
    """The lines of Python that run a row."""
    chosen = Pick(row.case, row.median_ms, group.gate(row.configuration).verdict)
    answer = Recommendation(
        group.version,
        group.device,
        group.weights,
        group.synthetic,
        "latency",
        "timing.median_ms",
        "ms",
        chosen,
        None,
        (),
    )
    return code(answer, shown(run.directory), "GPT-SoVITS").replace("\n\n", "\n")


def judging(row: Row, suite: str = "test_quality.py") -> str:
    """The command that judges the sound of a row, or puts it through another suite."""
    case = row.case
    options = "".join(f":{key}={value}" for key, value in case.options)
    return (
        f"pytest suites/{suite} --versions {case.version} --backends {case.backend}{options} "
        f"--precisions {case.precision}"
    )


def shown(directory: Path) -> str:
    """A run's directory as a command takes it: relative to the working directory where it lies under it."""
    try:
        return directory.resolve().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return str(directory)
