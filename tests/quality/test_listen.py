"""Sound files: right samples, right names, no wrap at full scale."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from bench.errors import InputError
from bench.quality import write_listening_files
from bench.quality.listen import to_pcm16


def test_full_scale_does_not_wrap() -> None:
    """+1.0 becomes 32767, -1.0 becomes -32768, and what lies beyond is clipped to them."""
    samples = to_pcm16(np.array([1.0, -1.0, 2.0, -2.0, 0.0, 1.4 / 32768, 1.6 / 32768]))
    assert samples.tolist() == [32767, -32768, 32767, -32768, 0, 1, 2]


def test_the_three_files_hold_reference_test_and_difference(tmp_path: Path) -> None:
    """Files are mono PCM 16 at the rate; the difference is 40 dB louder than it was."""
    generator = np.random.default_rng(0)
    reference = generator.uniform(-0.9, 0.9, 2400)
    test = reference + generator.uniform(-0.005, 0.005, 2400)
    names = write_listening_files(reference, test, 24000, tmp_path / "audio", "v3-eager-fp16")
    assert names == {role: f"v3-eager-fp16.{role}.wav" for role in ("reference", "test", "difference")}
    for role, expected in (("reference", reference), ("test", test), ("difference", 100 * (test - reference))):
        info = soundfile.info(tmp_path / "audio" / names[role])
        assert (info.subtype, info.channels, info.samplerate) == ("PCM_16", 1, 24000)
        assert soundfile.read(tmp_path / "audio" / names[role])[0] == pytest.approx(expected, abs=0.5 / 32768)


@pytest.mark.parametrize(
    ("test", "message"),
    [
        (np.zeros(9), "two signals"),
        (np.full(10, np.nan), "the test of case holds NaN or infinity"),
    ],
)
def test_what_cannot_be_heard_is_an_error(tmp_path: Path, test: np.ndarray, message: str) -> None:
    """Other lengths and signals that are not finite raise one sentence and write nothing."""
    with pytest.raises(InputError, match=message):
        write_listening_files(np.zeros(10), test, 24000, tmp_path, "case")
    assert list(tmp_path.iterdir()) == []


def test_any_case_has_a_file_name(tmp_path: Path) -> None:
    """An option's value with slashes, control characters or hundreds of letters leads nowhere else."""
    names = set()
    for stem in (
        "v4-x-level=../../1",
        "v4-x-level=.._.._1",
        "x" * 300,
        "x" * 301,
        "\x1b[31m",
        "\udcc3",
        "..",
        "/etc/x",
    ):
        written = write_listening_files(np.zeros(9), np.zeros(9), 24000, tmp_path, stem)
        assert all((tmp_path / name).is_file() for name in written.values())
        names |= set(written.values())
    assert len(names) == 8 * 3
    assert {file.name for file in tmp_path.iterdir()} == names
