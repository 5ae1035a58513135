"""The guide's keys are read where GPT-SoVITS leaves them, and what has no effect is said."""

from pathlib import Path

import pytest
import yaml

from bench.errors import InputError
from bench.integrations.guide_keys import GuideKeys, read_guide_keys

ALL = {
    "use_tensorrt": True,
    "tensorrt_precision": "fp16",
    "tensorrt_workspace_size": 4 << 30,
    "tensorrt_max_batch_size": 4,
}
OWN = ("bert_base_path", "cnhuhbert_base_path", "device", "is_half", "t2s_weights_path", "version", "vits_weights_path")


def written(folder: Path, data: object) -> Path:
    """A configuration file."""
    path = folder / "tts_infer.yaml"
    path.write_text(yaml.dump(data), encoding="utf-8")
    return path


def started(data: dict[str, object]) -> dict[str, object]:
    """What GPT-SoVITS leaves of a configuration at its start: ``custom`` has its own seven keys again."""
    custom = data.get("custom")
    assert isinstance(custom, dict)
    return {**data, "custom": {key: custom.get(key) for key in OWN}}


def test_the_section_survives_a_start(tmp_path: Path) -> None:
    """Keys in a section of their own are there after a start; under ``custom`` they are refused before one."""
    own = dict.fromkeys(OWN, "x")
    keys = read_guide_keys(written(tmp_path, started({"custom": own, "vocoder_bench": ALL})))
    assert (keys.use_tensorrt, keys.precision, keys.workspace_mib) == (True, "fp16", 4096)
    with pytest.raises(InputError, match=r"erases use_tensorrt, .* under custom at its next start; put them under a"):
        read_guide_keys(written(tmp_path, {"custom": {**own, **ALL}}))
    with pytest.raises(InputError, match="has no top-level section vocoder_bench"):
        read_guide_keys(written(tmp_path, started({"custom": {**own, **ALL}})))


def test_what_has_no_effect_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch size with any TensorRT, named with its version; everything where TensorRT is not wanted."""
    [note] = read_guide_keys(written(tmp_path, {"vocoder_bench": ALL})).notes
    assert note.startswith("tensorrt_max_batch_size has no effect: TensorRT since 8.6 takes the batch from")
    library = type("Library", (), {"name": "TensorRT", "version": "11.1.0"})()
    monkeypatch.setattr("bench.integrations.guide_keys.import_library", lambda: (library, ""))
    [note] = read_guide_keys(written(tmp_path, {"vocoder_bench": ALL})).notes
    assert "TensorRT 11.1.0" in note
    idle = read_guide_keys(written(tmp_path, {"vocoder_bench": {**ALL, "use_tensorrt": False}}))
    assert idle == GuideKeys(notes=idle.notes)
    assert [note.split()[0] for note in idle.notes] == list(ALL)[1:]
    assert read_guide_keys(written(tmp_path, {"vocoder_bench": {"use_tensorrt": True}})) == GuideKeys(True)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"use_tensorrt": "yes please"}, "use_tensorrt is true or false, not 'yes please'"),
        ({"use_tensorrt": True, "tensorrt_precision": "half"}, "tensorrt_precision is one of fp32, tf32, fp16"),
        ({"use_tensorrt": True, "tensorrt_workspace_size": 4}, "is a number of bytes from 1048576, not 4"),
        ({"use_tensorrt": True, "tensorrt_workspace_size": True}, "is a number of bytes from 1048576, not True"),
        ({"use_tensort": True}, "vocoder_bench has no key 'use_tensort'; it takes use_tensorrt,"),
        ("use_tensorrt", "has no top-level section vocoder_bench; it holds use_tensorrt"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path: Path, section: object, message: str) -> None:
    """It names the file, the key and what it takes."""
    path = written(tmp_path, {"vocoder_bench": section})
    with pytest.raises(InputError, match=message) as caught:
        read_guide_keys(path)
    assert str(path) in str(caught.value)


def test_what_is_no_configuration(tmp_path: Path) -> None:
    """A missing file, no YAML, tags that would make objects, and a list."""
    path = tmp_path / "tts_infer.yaml"
    with pytest.raises(InputError, match="does not exist"):
        read_guide_keys(path)
    for text, message in (
        ("a: [1", "cannot be read"),
        ("a: !!python/object/apply:os.getcwd []", "cannot be read"),
        ("[1, 2]", "holds no sections"),
        ("", "holds no sections"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=message):
            read_guide_keys(path)
