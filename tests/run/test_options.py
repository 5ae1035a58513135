"""The table of options: defaults, old spellings, and one sentence for a wrong value, for pytest and the CLI alike."""

import pytest

from bench.errors import InputError
from bench.measure.sampling import StopRule
from bench.run.options import OPTIONS, SweepOptions, read_options
from bench.run.settings import Settings


def test_nothing_typed_is_the_default() -> None:
    """Options that are absent or None leave every default, and the settings have theirs."""
    assert read_options({}) == read_options(dict.fromkeys(option.key for option in OPTIONS)) == SweepOptions()
    assert SweepOptions().settings("run", "cpu", 3, StopRule()) == Settings("run", threads=3)


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
        "seed": "-5",
    }
    assert {option.key for option in OPTIONS} == set(values)
    options = read_options(values)
    assert (options.profile, options.device, options.notes) == ("smoke", "cpu", ())
    assert options.axes == {
        "versions": ["v3", "v4"],
        "backends": ["eager"],
        "precisions": ["fp16"],
        "batches": ["1", "4"],
        "frames": ["t_ref"],
    }
    stop = StopRule(max_rounds=17)
    assert options.settings("id", "cuda:1", 8, stop) == Settings(
        run_id="id",
        results="elsewhere",
        device="cuda:1",
        weights=("a", "b"),
        seed=-5,
        audio="voice.wav",
        threads=2,
        engine_cache="off",
        static_baseline="best",
        stop=stop,
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
        ({"threads": "0"}, "--threads is a whole number from 1, not 0"),
        ({"threads": "many"}, "--threads is a whole number from 1, not 'many'"),
        ({"seed": "1.5"}, "--seed is a whole number, not '1.5'"),
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
