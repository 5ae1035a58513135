from dataclasses import replace
from pathlib import Path

from bench.case import Case
from bench.records.run import load_run
from bench.records.schema import Record, Status
from bench.report.sections.answer import Choice, answers, figures, lead
from tests.synthetic_records import changed, failed_record, given, quality_record, speed_of, speed_record, write_run

EAGER = Case("v3", "eager", "fp32", 1, 468)
SCRIPT = Case("v3", "torchscript", "fp16", 1, 468)
FAST = Case("v3", "tensorrt", "fp16", 1, 468)


def choices(directory: Path, records: list[Record]) -> list[Choice]:
    run = load_run(write_run(directory, records))
    return answers(run.groups[0])


def timed(*cases: Case) -> list[Record]:
    return [speed_record(case) for case in cases]


def test_the_fastest_within_the_tier_is_chosen_and_the_faster_one_named(tmp_path: Path) -> None:
    """A faster configuration whose sound fails is passed over, with its reason."""
    records = [*timed(EAGER, SCRIPT, FAST), quality_record(SCRIPT), quality_record(FAST, "fail")]
    choice = choices(tmp_path, records)[0]
    assert choice.row.case == SCRIPT
    assert choice.within_tier
    assert [(row.case, judgement.verdict) for row, judgement in choice.passed_over] == [(FAST, "fail")]


def test_an_unjudged_configuration_is_not_taken_for_passing(tmp_path: Path) -> None:
    """Where others were judged, one without a verdict is not recommended."""
    choice = choices(tmp_path, [*timed(EAGER, SCRIPT, FAST), quality_record(SCRIPT)])[0]
    assert choice.row.case == SCRIPT
    assert [judgement.verdict for _, judgement in choice.passed_over] == ["not judged"]


def test_without_any_verdict_the_fastest_is_shown_as_not_judged(tmp_path: Path) -> None:
    """The answer is then the fastest measured, said not to be fit to ship."""
    choice = choices(tmp_path, timed(EAGER, SCRIPT, FAST))[0]
    assert choice.row.case == FAST
    assert not choice.within_tier
    assert "nothing to ship yet" in lead([choice])
    assert "not judged" in lead([choice])


def test_a_pass_with_synthetic_weights_says_so(tmp_path: Path) -> None:
    """A verdict on synthetic weights is not taken for one on the real model."""
    records = [*timed(EAGER, FAST), quality_record(FAST)]
    assert "with synthetic weights only" in lead(choices(tmp_path / "synthetic", records))
    trained = replace(given(records[0].weights), synthetic=False, name="trained")
    records = [replace(record, weights=trained) for record in records]
    sentence = lead(choices(tmp_path / "trained", records))
    assert "passes its fidelity tier" in sentence
    assert "synthetic" not in sentence


def test_a_failed_sound_is_never_shipped_for_want_of_others(tmp_path: Path) -> None:
    """When all fail, the sentence says not to ship."""
    sentence = lead(choices(tmp_path, [*timed(FAST), quality_record(FAST, "fail")]))
    assert "do not ship" in sentence


def test_a_warning_is_not_within_the_tier(tmp_path: Path) -> None:
    """A configuration that only warns gives way to the reference."""
    choice = choices(tmp_path, [*timed(EAGER, FAST), quality_record(FAST, "warn")])[0]
    assert choice.row.case == EAGER
    assert choice.passed_over[0][1].verdict == "warn"


def test_the_three_questions_are_asked_at_their_shapes(tmp_path: Path) -> None:
    """Fastest near T_ref, streaming near a quarter of a second, throughput anywhere."""
    shapes = [(1, 9), (1, 23), (1, 128), (1, 500), (8, 500)]
    cases = [replace(case, batch=batch, frames=frames) for case in (EAGER, SCRIPT) for batch, frames in shapes]
    records = timed(*cases)
    boosted = replace(SCRIPT, batch=8, frames=500)
    index = cases.index(boosted)
    throughput = replace(given(speed_of(records[index]).throughput), audio_s_per_s=1e6)
    records[index] = changed(records[index], throughput=throughput)
    fastest, streaming, throughput_choice = choices(tmp_path, records)
    assert (fastest.row.case.batch, fastest.row.case.frames) == (1, 500)
    assert (streaming.row.case.batch, streaming.row.case.frames) == (1, 23)
    assert throughput_choice.row.case == boosted


def test_a_shape_that_only_one_configuration_ended_is_no_place_to_compare(tmp_path: Path) -> None:
    """The nearest length that two configurations share is preferred to a nearer one that only one ended."""
    records = timed(EAGER, replace(EAGER, frames=128), replace(FAST, frames=128))
    records.append(failed_record(FAST, Status.OUT_OF_MEMORY, "16 GiB were not enough"))
    assert choices(tmp_path, records)[0].row.case.frames == 128


def test_configurations_that_cannot_be_told_apart_are_named(tmp_path: Path) -> None:
    """Where the latency intervals of two passing configurations overlap, the answer says so."""
    twin = replace(SCRIPT, options=(("level", "5"),))
    one = speed_record(SCRIPT)
    other = changed(speed_record(twin), timing=speed_of(one).timing)
    records = [*timed(EAGER), one, other, quality_record(SCRIPT), quality_record(twin)]
    choice = choices(tmp_path, records)[0]
    assert {choice.row.configuration, *choice.tied} == {"torchscript fp16", "torchscript fp16 level=5"}


def test_what_was_not_measured_is_said(tmp_path: Path) -> None:
    """A figure without a measurement is words, never a number."""
    record = changed(speed_record(EAGER), memory=None, build=None, speedup_fp32=None)
    lines = dict(figures(choices(tmp_path, [record])[0]))
    assert lines["Memory, process on GPU"] == lines["Build"] == lines["Over eager fp32"] == "not measured"
