import base64
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import bench.report.sections.sounds
from bench.case import Case
from bench.records.run import load_run
from bench.report.sections.sounds import level_db, spectrogram_db, triples
from tests.synthetic_records import quality_record, with_audio, write_run

CASE = Case("v3", "tensorrt", "fp16", 1, 468)


def same(items: Iterable[Any]) -> Iterable[Any]:
    return items


def link(path: Path) -> str:
    return f"linked/{path.name}"


@pytest.mark.parametrize("sample_rate", [24000, 48000])
def test_a_full_scale_sine_has_0_db(sample_rate: int) -> None:
    """The spectrogram's scale is dB of full scale, at the sine's frequency and nowhere far from it."""
    bin_hz = sample_rate / 1024
    time = np.arange(sample_rate) / sample_rate
    level_db = spectrogram_db(np.sin(2 * np.pi * 100 * bin_hz * time), sample_rate)
    middle = level_db[:, level_db.shape[1] // 2]
    assert middle.argmax() == 100
    assert middle.max() == pytest.approx(0.0, abs=0.01)
    assert middle[200] < -100


def test_the_files_play_from_the_page(tmp_path: Path) -> None:
    """Each role's bytes are in the page unchanged, in the order reference, test, difference."""
    record = with_audio(tmp_path, quality_record(CASE))
    run = load_run(write_run(tmp_path, [record]))
    (triple,), notes = triples(run, link, same)
    assert notes == []
    assert [sound.role for sound in triple.sounds] == ["reference", "test", "difference"]
    for sound in triple.sounds:
        content = base64.b64decode(sound.source.removeprefix("data:audio/wav;base64,"))
        assert content == (tmp_path / record.files[sound.role]).read_bytes()
    assert all(sound.picture.startswith("data:image/png;base64,") for sound in triple.sounds)
    assert triple.blind


def test_the_level_of_the_difference_is_said_as_it_really_is(tmp_path: Path) -> None:
    """A difference file 20 dB under the reference is 40 dB louder than the difference, which is 60 dB under it."""
    run = load_run(write_run(tmp_path, [with_audio(tmp_path, quality_record(CASE))]))
    (triple,), _ = triples(run, link, same)
    note = triple.sounds[2].note
    assert "played 40 dB louder than it is" in note
    assert "60.0 dB under the reference" in note
    assert level_db(np.full(9, 0.5)) == pytest.approx(-6.02, abs=0.01)


def test_past_the_size_limit_files_are_linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that would grow too large links to the file and says so."""
    monkeypatch.setattr(bench.report.sections.sounds, "SOUND_BYTES", 40_000)
    run = load_run(write_run(tmp_path, [with_audio(tmp_path, quality_record(CASE))]))
    (triple,), _ = triples(run, link, same)
    sources = [sound.source for sound in triple.sounds]
    assert sources[0].startswith("data:")
    assert sources[1:] == [f"linked/{CASE.id}-test.wav", f"linked/{CASE.id}-difference.wav"]
    assert "not in this page" in triple.sounds[1].note


def test_a_missing_a_broken_and_a_foreign_file_are_said(tmp_path: Path) -> None:
    """A file that is gone, is no sound, or lies outside the run is never shown and always named."""
    outside = tmp_path / "secret.wav"
    outside.write_bytes(b"RIFF")
    directory = tmp_path / "run"
    directory.mkdir()
    (directory / "noise.wav").write_text("not a sound")
    files = {"reference": "gone.wav", "test": "noise.wav", "difference": "../secret.wav"}
    run = load_run(write_run(directory, [replace(quality_record(CASE), files=files)]))
    found, notes = triples(run, link, same)
    assert found == []
    assert ["missing" in notes[0], "no sound file" in notes[1], "outside the run" in notes[2]] == [True] * 3


def test_a_pipe_and_a_sound_without_end_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe without a writer is not waited for, a sound that unfolds to more than a page needs is not decoded."""
    os.mkfifo(tmp_path / "pipe.wav")
    soundfile.write(tmp_path / "long.flac", np.zeros(100_000), 24_000)
    monkeypatch.setattr(bench.report.sections.sounds, "_MOST", 99_999)
    files = {"reference": "pipe.wav", "test": "long.flac", "difference": "nul\0.wav"}
    run = load_run(write_run(tmp_path, [replace(quality_record(CASE), files=files)]))
    found, notes = triples(run, link, same)
    assert found == []
    assert len(notes) == 3


def test_failures_come_first_and_every_configuration_once(tmp_path: Path) -> None:
    """Where not all fit, a failing sound and a second configuration go before another length of one."""
    cases = [CASE, replace(CASE, frames=23), replace(CASE, precision="bf16")]
    records = [with_audio(tmp_path, quality_record(case)) for case in cases[:2]]
    records.append(with_audio(tmp_path, quality_record(cases[2], "fail")))
    run = load_run(write_run(tmp_path, records))
    found, _ = triples(run, link, same)
    assert [triple.case for triple in found] == [cases[2].id, cases[0].id, cases[1].id]


def test_a_run_without_sounds_says_so(tmp_path: Path) -> None:
    """No files is a sentence, not an empty section."""
    found, notes = triples(load_run(write_run(tmp_path, [quality_record(CASE)])), link, same)
    assert found == []
    assert "nothing to listen to" in notes[0]
