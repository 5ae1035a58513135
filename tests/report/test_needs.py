"""The table of needs answers what was measured and says how to measure the rest."""

from dataclasses import replace
from pathlib import Path

from bench.case import Case
from bench.records.limits import Energy
from bench.records.run import load_run
from bench.records.schema import Build, Record, Status
from bench.report.needs import Need, needs
from tests.synthetic_records import changed, failed_record, given, quality_record, speed_of, speed_record, write_run

EAGER = Case("v3", "eager", "fp32", 1, 468)
SCRIPT = Case("v3", "torchscript", "fp16", 1, 468)
FAST = Case("v3", "tensorrt", "fp16", 1, 468)
STREAM, READY = "First 0.25 s of a stream", "No build (ready in 5 s)"


def asked(folder: Path, *records: Record) -> dict[str, Need]:
    run = load_run(write_run(folder, list(records)))
    return {need.question: need for need in needs(run, run.groups[0])}


def judged(*cases: Case) -> list[Record]:
    return [record for case in cases for record in (speed_record(case), quality_record(case))]


def test_a_stream_is_not_answered_with_long_frames(tmp_path: Path) -> None:
    """468 frames say nothing of a quarter of a second; 23 do, and the winner there may be another."""
    without = asked(tmp_path / "without", *judged(EAGER, FAST))[STREAM]
    assert (without.winner, without.figure) == ("", "")
    assert "not measured: run pytest suites/test_speed.py --versions v3 --frames 23 --batches 1" in without.missing
    short = [replace(case, frames=23) for case in (EAGER, SCRIPT)]
    found = asked(tmp_path / "with", *judged(EAGER, FAST, *short))[STREAM]
    assert found.winner == "TorchScript fp16"
    assert "23 frames" in found.figure


def test_the_winner_the_runner_up_and_why_others_lost(tmp_path: Path) -> None:
    """The runner-up lost by the ratio of medians; what failed is named with its reason."""
    failed = failed_record(replace(FAST, backend="tensorrt-onnx"), Status.UNAVAILABLE, "not installed")
    bad = quality_record(replace(FAST, precision="bf16"), "fail")
    records = [*judged(EAGER, SCRIPT, FAST), speed_record(replace(FAST, precision="bf16")), bad, failed]
    need = asked(tmp_path, *records)["One utterance, least wait"]
    ratio = speed_of(records[2]).timing.median_ms / speed_of(records[4]).timing.median_ms
    assert need.winner == "Torch-TensorRT fp16"
    assert need.runner_up == f"TorchScript fp16: {ratio:#.3g}\N{MULTIPLICATION SIGN} the winner's"
    assert "unavailable: TensorRT fp16" in need.others
    assert "its sound fails: Torch-TensorRT bf16" in need.others
    assert "1 more behind the runner-up" in need.others


def test_a_tie_is_said(tmp_path: Path) -> None:
    """Two whose intervals overlap are not told apart."""
    twin = changed(
        speed_record(replace(SCRIPT, options=(("level", "5"),))), timing=speed_of(speed_record(SCRIPT)).timing
    )
    records = [*judged(SCRIPT), twin, quality_record(twin.case)]
    assert "not told apart" in asked(tmp_path, *records)["One utterance, least wait"].runner_up


def test_energy_and_what_needs_no_build(tmp_path: Path) -> None:
    """Joules where they were counted, a command where not; a build of 90 s is no answer to someone without time."""
    fast, script = speed_record(FAST), changed(speed_record(SCRIPT), build=Build(0.5))
    judgements = [quality_record(FAST), quality_record(SCRIPT)]
    found = asked(tmp_path / "without", fast, script, *judgements)
    assert found["Least energy"].missing == "not measured: run pytest suites/test_speed.py --versions v3"
    assert found[READY].winner == "TorchScript fp16"
    assert "its build takes 90 s: Torch-TensorRT fp16" in found[READY].others
    fast = changed(fast, energy=Energy(0.25, 300.0, 2.0, 20))
    assert asked(tmp_path / "with", fast, *judgements)["Least energy"].figure == "0.250 J/audio s, 468 frames"


def test_the_best_throughput_is_labelled_by_how_it_was_counted(tmp_path: Path) -> None:
    """Calls back to back are no rounds, and the figure says which it is."""
    batched = speed_record(replace(FAST, batch=4))
    throughput = replace(given(speed_of(batched).throughput), audio_s_per_s=1e6, method="back-to-back")
    records = [*judged(FAST), changed(batched, throughput=throughput)]
    figure = asked(tmp_path, *records)["Most audio per second"].figure
    assert figure == "1000000 audio s/s, back to back, batch 4, 468 frames"


def test_without_a_verdict_the_best_is_marked(tmp_path: Path) -> None:
    """Where no sound was judged the table still has figures, and says that nothing of it may be shipped."""
    need = asked(tmp_path, speed_record(FAST))["One utterance, least wait"]
    assert need.winner == "Torch-TensorRT fp16 (sound not judged)"
    assert need.others == ("its sound was not judged: Torch-TensorRT fp16",) or need.others == ()
