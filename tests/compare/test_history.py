import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.cli import main
from bench.compare.history import append_history, read_history, trend
from bench.compare.sources import observe_all
from bench.compare.thresholds import DEFAULT_FILE, load_thresholds
from bench.errors import InputError
from bench.records.jsonl import append_record
from bench.records.schema import Record
from tests.comparing import ENVIRONMENT, failed, quality, record


def store(tmp_path: Path, night: int, *records: Record) -> Path:
    run = tmp_path / "results" / f"run-{night}"
    for item in records or (record(night=night),):
        append_record(run, item)
    append_history(run, tmp_path / "history")
    return run


def test_a_night_comes_back_as_it_went_in(tmp_path: Path) -> None:
    """History keeps what an observation holds, to the last digit."""
    records = [record(1), record(2), failed(3), quality(snr_db=61.5)]
    store(tmp_path, 0, *records)
    expected = observe_all(records, load_thresholds().metrics)
    assert sorted(read_history(tmp_path / "history"), key=str) == sorted(expected, key=str)


def test_history_is_one_line_a_case_and_night(tmp_path: Path) -> None:
    """Two cases on two nights are four lines."""
    for night in range(2):
        store(tmp_path, night, record(1, night=night), record(2, night=night))
    files = list((tmp_path / "history").iterdir())
    assert sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files) == 4


def test_a_night_appended_twice_is_kept_once(tmp_path: Path) -> None:
    """Appending again replaces the night, also when its first record is another now."""
    run = store(tmp_path, 0, record(2))
    append_record(run, record(1, recorded_at="2025-12-31T23:00:00+00:00"))
    append_history(run, tmp_path / "history")
    append_history(run, tmp_path / "history")
    assert len(read_history(tmp_path / "history")) == 2
    assert len(list((tmp_path / "history").iterdir())) == 1


def test_a_torn_line_is_left_out_with_a_warning(tmp_path: Path) -> None:
    """A last line that was cut off costs that case of that night only."""
    store(tmp_path, 0, record(1), record(2))
    file = next((tmp_path / "history").iterdir())
    file.write_text(file.read_text(encoding="utf-8")[:-30], encoding="utf-8")
    with pytest.warns(UserWarning, match="line 2 cannot be read"):
        nights = read_history(tmp_path / "history")
    assert [item.id for item in nights] == [record(1).id]


def test_a_newer_history_is_refused_and_an_unknown_field_ignored(tmp_path: Path) -> None:
    """What a newer version wrote is not guessed at; a field more does no harm."""
    store(tmp_path, 0)
    file = next((tmp_path / "history").iterdir())
    data = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**data, "colour": "blue"}), encoding="utf-8")
    assert len(read_history(tmp_path / "history")) == 1
    file.write_text(json.dumps({**data, "history_version": 99}), encoding="utf-8")
    with pytest.raises(InputError, match="newer version"):
        read_history(tmp_path / "history")


def test_hostile_run_ids_stay_inside_the_folder(tmp_path: Path) -> None:
    """A run id is not a path."""
    run = tmp_path / "results" / "evil"
    append_record(run, record(run_id="../../../escape/<b>"))
    (written,) = append_history(run, tmp_path / "history")
    assert written.parent == tmp_path / "history"
    assert read_history(tmp_path / "history")[0].run_id == "../../../escape/<b>"


def test_last_keeps_the_newest_nights(tmp_path: Path) -> None:
    """Only as many nights are read as were asked for."""
    for night in range(5):
        store(tmp_path, night)
    found = {item.run_id for item in read_history(tmp_path / "history", last=2)}
    assert found == {"run-3", "run-4"}


def _spoil(change: Callable[[dict[str, Any]], object]) -> Callable[[str], str]:
    def spoil(line: str) -> str:
        data = json.loads(line)
        change(data)
        return json.dumps(data)

    return spoil


@pytest.mark.parametrize(
    "spoil",
    [
        _spoil(lambda data: data["rounds"].update(control=[1.0])),
        _spoil(lambda data: data["rounds"].update(case=[])),
        _spoil(lambda data: data["rounds"].update(case=[0.0] * 1000)),
        _spoil(lambda data: data["rounds"].update(quantiles=[1.0])),
        _spoil(lambda data: data["values"].update(time=float("nan"))),
        _spoil(lambda data: data.update(throughput_variance=float("inf"))),
        _spoil(lambda data: data.update(values=7)),
        _spoil(lambda data: data.update(history_version="one")),
        lambda _: "[" * 100_000,
        lambda _: "9" * 10_000,
    ],
)
def test_a_line_that_no_night_wrote_is_left_out(tmp_path: Path, spoil: Callable[[str], str]) -> None:
    """Rounds of unlike lengths, numbers that are none and nesting without end cost their own line only."""
    store(tmp_path, 0, record(1), record(2))
    [file] = (tmp_path / "history").iterdir()
    lines = file.read_text(encoding="utf-8").splitlines()
    file.write_text("\n".join([spoil(lines[0]), lines[1]]), encoding="utf-8")
    with pytest.warns(UserWarning, match="line 1 cannot be read"):
        nights = read_history(tmp_path / "history")
    assert [item.id for item in nights] == [record(2).id]
    assert trend(nights)


def test_a_night_that_is_no_file_is_named(tmp_path: Path) -> None:
    """A pipe in the place of a night would be waited for."""
    store(tmp_path, 0)
    os.mkfifo(tmp_path / "history" / "x.jsonl")
    with pytest.raises(InputError, match="is a pipe"):
        read_history(tmp_path / "history")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("alpha = 0.004", "alpha = nan"), "alpha must be a finite number"),
        (("machine_sd = 0.01", "machine_sd = inf"), "machine_sd must be a finite number"),
        (("floor = 0.03", "floor = nan"), "metrics.time.floor must be a finite number"),
        (("alpha = 0.004", "alpha = '\\u001b[31m'"), "does not hold thresholds"),
        (("alpha = 0.004", "alpha = " + "[" * 5000), "is not TOML"),
    ],
)
def test_thresholds_that_no_test_can_use(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    """Numbers that are not finite and text in their place are one sentence."""
    file = tmp_path / "mine.toml"
    file.write_text(DEFAULT_FILE.read_text(encoding="utf-8").replace(*change, 1), encoding="utf-8")
    with pytest.raises(InputError, match=said):
        load_thresholds(file)
    with pytest.raises(InputError, match="is a device"):
        load_thresholds(Path("/dev/zero"))


@pytest.mark.parametrize(("folder", "last"), [("nowhere", None), (".", 0)])
def test_no_history_is_one_clear_error(tmp_path: Path, folder: str, last: int | None) -> None:
    """A folder that is not there and a number of nights that is none are errors."""
    with pytest.raises(InputError, match=r"no history|1 or more"):
        read_history(tmp_path / folder, last)


def test_trend_finds_the_night_that_became_slower_and_what_changed_with_it() -> None:
    """A step is named with its night, its levels and the versions that changed."""
    updated = {**ENVIRONMENT, "versions": {"torch": "2.14.0"}}
    nights = [
        record(night=night, factor=1.0 if night < 12 else 1.1, environment=ENVIRONMENT if night < 12 else updated)
        for night in range(20)
    ]
    trends = trend(observe_all(nights, load_thresholds().metrics))
    time = next(item for item in trends if item.metric == "time")
    (step,) = time.steps
    assert (step.index, step.run_id, step.worse) == (12, "run-12", True)
    assert step.after / step.before == pytest.approx(1.1, abs=0.02)
    assert step.versions == ("torch 2.13.0 -> 2.14.0",)
    assert not next(item for item in trends if item.metric == "memory_allocated").steps


def test_trend_takes_the_machines_drift_out() -> None:
    """A machine that was slower for a week is no change point of a case with a baseline."""
    machine = np.where((np.arange(24) > 8) & (np.arange(24) < 16), 1.1, 1.0)
    nights = [record(night=night, machine=float(machine[night])) for night in range(24)]
    trends = trend(observe_all(nights, load_thresholds().metrics))
    assert not next(item for item in trends if item.metric == "time").steps


def test_trend_keeps_failed_nights_as_gaps_and_leaves_other_machines_out() -> None:
    """A night without a figure is a gap; another GPU is not on the same line."""
    other = {**ENVIRONMENT, "gpu": {**ENVIRONMENT["gpu"], "name": "GPU B"}}
    nights = [record(night=0, environment=other), record(night=1), failed(night=2), record(night=3)]
    time = next(item for item in trend(observe_all(nights, load_thresholds().metrics)) if item.metric == "time")
    assert time.left_out == 1
    assert time.run_ids == ("run-1", "run-2", "run-3")
    assert time.values[1] is None
    assert time.values[0] == pytest.approx(10, rel=0.02)


def test_nightly_compares_appends_and_ends_with_the_worst_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first night starts the history, a good night is 0, a slow one 1, and each is kept."""
    history = str(tmp_path / "history")
    codes = []
    for night, factor in enumerate([1.0, 1.0, 1.0, 1.2]):
        run = tmp_path / f"run-{night}"
        append_record(run, record(night=night, factor=factor))
        codes.append(main(["nightly", str(run), "--history", history]))
    assert codes == [0, 0, 0, 1]
    out = capsys.readouterr().out
    assert "first night" in out
    assert "SLOW" in out
    assert len(read_history(Path(history))) == 4
    # Judged again, the night is not compared with itself.
    assert main(["nightly", str(tmp_path / "run-3"), "--history", history]) == 1


def test_nightly_takes_the_newest_run_of_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder of runs stands for the run that was started last."""
    for night in range(2):
        append_record(tmp_path / "nights" / f"2026010{night}", record(night=night))
    assert main(["nightly", str(tmp_path / "nights"), "--history", str(tmp_path / "history")]) == 0
    assert {item.run_id for item in read_history(tmp_path / "history")} == {"run-1"}
    assert "first night" in capsys.readouterr().out
    (tmp_path / "empty").mkdir()
    assert main(["nightly", str(tmp_path / "empty"), "--history", str(tmp_path / "history")]) == 2


def test_nightly_with_a_baseline_reports_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A slow creep that no single night shows is worse than the stored baseline."""
    history = str(tmp_path / "history")
    baseline = tmp_path / "baseline"
    append_record(baseline, replace(record(night=0), run_id="stored"))
    for night in range(1, 4):
        append_record(tmp_path / f"run-{night}", record(night=night, factor=1.2))
    assert main(["nightly", str(tmp_path / "run-1"), "--history", history]) == 0
    arguments = ["nightly", str(tmp_path / "run-2"), "--history", history, "--baseline", str(baseline)]
    assert main([*arguments, "--json", "-"]) == 1
    against_base, against_history = json.loads(capsys.readouterr().out.split("\n", 1)[1])
    assert (against_base["exit_code"], against_history["exit_code"]) == (1, 0)


def test_nightly_takes_the_stored_baseline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run stored as results/baseline is compared with unless another is named."""
    monkeypatch.chdir(tmp_path)
    store(tmp_path, 0, record(night=0, factor=0.5))
    (tmp_path / "results" / "run-0").rename(tmp_path / "results" / "baseline")
    run = tmp_path / "run-1"
    append_record(run, record(night=1))
    assert main(["nightly", str(run), "--history", str(tmp_path / "none")]) == 1
    assert "SLOW" in capsys.readouterr().out
