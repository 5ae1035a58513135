"""The first screen's sentence, and the lines under it."""

from dataclasses import replace
from pathlib import Path

from bench.case import Case
from bench.recommend import recommend
from bench.records.run import load_run
from bench.records.schema import Record, Status
from bench.report.headline import Headline, headlines, judging
from tests.synthetic_records import failed_record, quality_record, speed_record, write_run

EAGER = Case("v3", "eager", "fp32", 1, 468)
SCRIPT = Case("v3", "torchscript", "fp16", 1, 468)
FAST = Case("v3", "tensorrt", "fp16", 1, 468)


def headline(folder: Path, *records: Record) -> Headline:
    [found] = headlines(load_run(write_run(folder, list(records))))
    return found


def timed(*cases: Case) -> list[Record]:
    return [speed_record(case) for case in cases]


def test_one_sentence_says_what_to_run_how_fast_and_what_is_heard(tmp_path: Path) -> None:
    """Winner, milliseconds for seconds of speech, times PyTorch, and the listener's sentence, all from the records."""
    heard = quality_record(FAST, heard="no audible change expected: 0.04 dB")
    found = headline(tmp_path, *timed(EAGER, SCRIPT, FAST), heard, quality_record(SCRIPT))
    assert found.recommended
    assert found.sentence.startswith("Run v3 with Torch-TensorRT fp16: 5.6")
    assert "ms for 5 s of speech, 6.5" in found.sentence
    assert "PyTorch eager fp32" in found.sentence
    assert found.sentence.endswith("no audible change expected: 0.04 dB.")


def test_the_lines_run_what_the_command_recommends(tmp_path: Path) -> None:
    """The page and ``vocoder-bench recommend`` never disagree, and the lines are Python."""
    records = [*timed(EAGER, SCRIPT, FAST), quality_record(SCRIPT), quality_record(FAST, "fail")]
    found = headline(tmp_path, *records)
    assert found.row.case == recommend(tmp_path, "v3").chosen.case == SCRIPT
    assert len(found.code.splitlines()) == 3
    compile(found.code, "page", "exec")
    assert "weights='GPT-SoVITS'" in found.code


def test_nothing_that_was_not_judged_is_recommended(tmp_path: Path) -> None:
    """The fastest measured stands there with the command that judges it."""
    graphed = replace(FAST, options=(("cuda_graph", "on"),))
    found = headline(tmp_path, *timed(graphed))
    assert not found.recommended
    assert found.sentence.startswith("Nothing to ship yet for v3. Fastest measured: Torch-TensorRT fp16, CUDA graph")
    assert found.sentence.endswith("its sound was not judged in this run.")
    assert found.code == judging(found.row)
    assert "--backends tensorrt:cuda_graph=on --precisions fp16" in found.code


def test_a_failed_sound_is_said_and_never_shipped(tmp_path: Path) -> None:
    """Where all fail, the sentence has the reason; where one was not judged, that one stands first."""
    found = headline(tmp_path / "all", *timed(FAST), quality_record(FAST, "fail"))
    assert not found.recommended
    assert "its sound fails (" in found.sentence
    one = headline(tmp_path / "one", *timed(FAST, SCRIPT), quality_record(FAST, "fail"))
    assert one.row.case == SCRIPT


def test_a_run_of_failures_has_no_headline(tmp_path: Path) -> None:
    """Nothing timed, nothing said."""
    failed = failed_record(FAST, Status.TIMEOUT, "60 s")
    assert headlines(load_run(write_run(tmp_path, [failed]))) == []
