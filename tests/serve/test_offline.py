"""A folder of mels to WAVs: which files, what is whole already, and a mel that fails costs itself alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from bench.errors import InputError
from bench.serve.engine import Output
from bench.serve.offline import FolderVocoder, find_mels, is_whole
from bench.serve.settings import BatchLimits, RequestLimits, ServeSettings
from bench.serve.wav import decode, encode, header
from tests.serve.running import ENGINE, FACTS, Samples, echo, mel, npy


class PlantedEngine:
    """Echoes mels; raises at those whose first value is 99, and where a batch holds one."""

    def __init__(self) -> None:
        self.facts = FACTS
        self.batches: list[list[int]] = []

    def run(self, mels: Sequence[Samples]) -> Output:
        """The echo of each."""
        self.batches.append([one.shape[1] for one in mels])
        if any(one[0, 0] == 40 for one in mels):
            raise RuntimeError("planted")
        return Output([echo(one) for one in mels], "eager", False, None)


def vocoder(engine: Any) -> FolderVocoder:
    """Batches of up to 400 frames."""
    settings = ServeSettings(ENGINE, batch=BatchLimits(frames=400, padding=0.5), limits=RequestLimits(frames=200))
    return FolderVocoder(settings, "float32", engine)


def write(file: Path, content: bytes) -> Path:
    """A file with its folders."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def test_each_file_becomes_its_own_sound(tmp_path: Path) -> None:
    """Npy and safetensors, in batches, in the folders that they were in; what fails says which file and why."""
    mels, out, engine = tmp_path / "mels", tmp_path / "out", PlantedEngine()
    good = {name: mel(60 + seed, seed) for seed, name in enumerate(("a.npy", "b/c.npy", "b/d.npy", "e.npy"))}
    for name, one in good.items():
        write(mels / name, npy(one))
    write(mels / "f.safetensors", safetensors.numpy.save({"mel": mel(70, 9)}))
    spoiled = mel(61, 5)
    spoiled[0, 0] = 40
    write(mels / "raises.npy", npy(spoiled))
    write(mels / "junk.npy", b"junk")
    write(mels / "long.npy", npy(mel(201)))
    write(mels / "notes.txt", b"no mel")
    outcomes = {Path(one.source).name: one for one in vocoder(engine).vocode(list(find_mels(mels, out).items()))}
    for name, one in (good | {"f.safetensors": mel(70, 9)}).items():
        target = (out / name).with_suffix(".wav")
        assert is_whole(target)
        assert np.array_equal(decode(target.read_bytes()[44:], "float32"), echo(one))
        assert outcomes[Path(name).name].audio_s == one.shape[1] * 256 / 24_000
    assert max(map(len, engine.batches)) > 1
    failed = {name: one.error for name, one in outcomes.items() if one.error}
    assert set(failed) == {"raises.npy", "junk.npy", "long.npy"}
    assert all(str(mels / name) in error for name, error in failed.items())
    assert sorted(path.name for path in out.rglob("*") if path.is_file()) == [
        "a.wav",
        "c.wav",
        "d.wav",
        "e.wav",
        "f.wav",
    ]


def test_a_cut_wav_is_not_whole(tmp_path: Path) -> None:
    """Only a file with all the samples of its header counts as done."""
    sound = header(24_000, "pcm16", 100) + encode(np.zeros(100, np.float32), "pcm16")
    assert is_whole(write(tmp_path / "a.wav", sound))
    for name, content in {"cut": sound[:-1], "head": sound[:20], "empty": b"", "open": header(24_000, "pcm16")}.items():
        assert not is_whole(write(tmp_path / name, content)), name
    assert not is_whole(tmp_path / "none.wav")


def test_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    """A sentence for a folder that is none, one without mels, and two mels of one name."""
    with pytest.raises(InputError, match="is no folder of mels"):
        find_mels(tmp_path / "none", tmp_path)
    with pytest.raises(InputError, match="holds no mel"):
        find_mels(tmp_path, tmp_path)
    write(tmp_path / "a.npy", b"")
    write(tmp_path / "a.safetensors", b"")
    with pytest.raises(InputError, match=r"would both become .*a\.wav"):
        find_mels(tmp_path, tmp_path)


def test_an_output_that_cannot_be_written(tmp_path: Path) -> None:
    """The mel's own line says so, and the next is done."""
    files = [(write(tmp_path / "a.npy", npy(mel(40))), write(tmp_path / "file", b"") / "a.wav")]
    files.append((files[0][0], tmp_path / "b.wav"))
    first, second = vocoder(PlantedEngine()).vocode(files)
    assert "a.wav cannot be written" in first.error
    assert not second.error
