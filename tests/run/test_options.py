"""The table of options: defaults, old spellings, and one sentence for a wrong value, for pytest and the CLI alike."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from bench.errors import InputError
from bench.measure.sampling import StopRule
from bench.run.load.plan import PLANS
from bench.run.options import OPTIONS, SweepOptions, read_options
from bench.run.settings import Settings
from bench.spec import TRAINED_DEMO


def test_nothing_typed_is_the_default() -> None:
    """Options that are absent or None leave every default, and the settings have theirs."""
    assert read_options({}) == read_options(dict.fromkeys(option.key for option in OPTIONS)) == SweepOptions()
    assert SweepOptions().settings("run", "cpu", 3, StopRule()) == Settings(
        "run", results=str(Path("results").absolute()), threads=3, load=PLANS["smoke"]
    )


def test_every_option_arrives() -> None:
    """Each option of the table changes what it names."""
    values = {
        "profile": "smoke",
        "versions": "v3, v4",
        "backends": "eager",
        "precisions": "fp16",
        "batches": "1,4",
        "frames": "t_ref",
        "device": "cpu",
        "weights": "a,b",
        "audio": "voice.wav",
        "results": "elsewhere",
        "engine_cache": "off",
        "static_baseline": "best",
        "threads": "2",
        "seed": "5",
        "repeats": "4",
        "rebuilds": "2",
        "in_process": "yes",
        "ray": "yes",
        "case_limit_s": "7.5",
        "build_limit_s": "60",
        "memory_limit_gib": "2",
        "sweep_limit_s": "1e4",
        "load": "smoke",
        "load_clients": "1,8",
        "load_point_s": "3",
        "soak_s": "60",
    }
    assert {option.key for option in OPTIONS} == {*values, "resume"}
    options = read_options(values)
    assert (options.profile, options.device, options.notes) == ("smoke", "cpu", ())
    assert options.axes == {
        "versions": ["v3", "v4"],
        "backends": ["eager"],
        "precisions": ["fp16"],
        "batches": ["1", "4"],
        "frames": ["t_ref"],
    }
    assert (options.in_process, options.ray, options.case_limit_s, options.build_limit_s) == (True, True, 7.5, 60.0)
    assert (options.memory_limit_gib, options.sweep_limit_s) == (2.0, 1e4)
    stop = StopRule(max_rounds=17)
    assert replace(options, in_process=False).settings("id", "cuda:1", 8, stop) == Settings(
        run_id="id",
        results=str(Path("elsewhere").absolute()),
        device="cuda:1",
        weights=(str(Path("a").absolute()), str(Path("b").absolute())),
        seed=5,
        audio=str(Path("voice.wav").absolute()),
        threads=2,
        engine_cache="off",
        static_baseline="best",
        stop=stop,
        repeats=4,
        rebuilds=2,
        load=replace(PLANS["smoke"], clients=(1, 8), point_s=3.0, soak_s=60.0),
    )


@pytest.mark.parametrize(
    ("old", "value", "new"), [("engines", "off", "engine_cache"), ("twins", "best", "static_baseline")]
)
def test_old_spellings_work_and_say_so_once(old: str, value: str, new: str) -> None:
    """The value arrives under the present name, with one sentence; both spellings at once are an error."""
    options = read_options({old: value})
    assert getattr(options, new) == value
    [note] = options.notes
    assert note == f"--{old} is now spelled --{new.replace('_', '-')}; the old spelling still works"
    assert read_options({new: value}).notes == ()
    with pytest.raises(InputError, match=f"--{old} is an old spelling of --{new.replace('_', '-')}; give one"):
        read_options({old: value, new: value})


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"threads": "0"}, f"--threads is a whole number from 1 to {os.cpu_count()}, not 0"),
        ({"threads": "100000"}, f"--threads is a whole number from 1 to {os.cpu_count()}, not 100000"),
        ({"threads": "many"}, f"--threads is a whole number from 1 to {os.cpu_count()}, not 'many'"),
        ({"seed": "1.5"}, "--seed is a whole number from 0 to 9223372036854775807, not '1.5'"),
        ({"seed": "-1"}, "--seed is a whole number from 0 to 9223372036854775807, not -1"),
        ({"case_limit_s": "nan"}, "--case-limit-s is a number over 0 and up to 1e+09, not 'nan'"),
        ({"memory_limit_gib": "0"}, "--memory-limit-gib is a number over 0 and up to 1e+09, not '0'"),
        ({"results": ""}, "--results is empty; give the path of a file"),
        (
            {"audio": "~nobody-of-that-name/a.wav"},
            "--audio ~nobody-of-that-name/a.wav: there is no such home folder; give the whole path, or set HOME",
        ),
        (
            {"resume": "results/x", "frames": "9"},
            "--resume goes on with the options that the run had; leave out --frames",
        ),
        ({"static_baseline": "some"}, "--static-baseline is all, best or off, not 'some'"),
        ({"twins": "some"}, "--static-baseline is all, best or off, not 'some'"),
        ({"weights": " , "}, "--weights is an empty list; give one path or several with commas between them"),
        ({"frames": ""}, "--frames is an empty list"),
    ],
)
def test_a_wrong_value_is_one_sentence(values: dict[str, str | None], sentence: str) -> None:
    """The sentence names the option and the value."""
    with pytest.raises(InputError) as caught:
        read_options(values)
    assert str(caught.value) == sentence


def test_the_home_folder_is_known_everywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """``~`` is the home folder in every path."""
    monkeypatch.setenv("HOME", str(tmp_path))
    paths = {"weights": "~/a,~/b", "audio": "~/c", "results": "~/d", "profile": "~/e.toml", "resume": None}
    options = read_options(paths)
    assert options.weights == (f"{tmp_path}/a", f"{tmp_path}/b")
    assert (options.audio, options.results) == (f"{tmp_path}/c", f"{tmp_path}/d")
    assert options.profile == f"{tmp_path}/e.toml"
    assert read_options({"resume": "~/run"}).resume == tmp_path / "run"


def test_a_path_with_a_comma_is_one_path(tmp_path: Path) -> None:
    """A value that exists as it stands is no list."""
    folder = tmp_path / "a,b"
    folder.mkdir()
    assert read_options({"weights": str(folder)}).weights == (str(folder),)
    assert read_options({"weights": f"{folder}x,c"}).weights == (f"{tmp_path}/a", "bx", "c")


def test_the_demo_weights_are_no_path(tmp_path: Path) -> None:
    """``trained-demo`` names weights of a package; made absolute like a path, it would be a file that is not there."""
    options = read_options({"weights": f"{TRAINED_DEMO},{tmp_path}", "results": str(tmp_path)})
    settings = options.settings("run", "cpu", 1, StopRule())
    assert settings.weights == (TRAINED_DEMO, str(tmp_path))
