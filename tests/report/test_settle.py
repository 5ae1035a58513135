"""What settles an UNCLEAR answer: a sentence for its reason, and a command that the suite takes."""

import shlex
from importlib.resources import files

import pytest

from bench.case import Case
from bench.report.settle import REMEDIES, settling
from bench.run.options import OPTIONS

CASE = Case("v3", "tensorrt-onnx", "fp16", 4, 468, (("level", "1"),))


@pytest.mark.parametrize(("reason", "words", "processes"), REMEDIES)
def test_every_remedy_answers_a_reason_that_comparisons_give(reason: str, words: str, processes: int) -> None:
    """The reason stands in the comparison's own words, and gets its sentence and as many processes."""
    assert reason in (files("bench") / "compare" / "judging.py").read_text(encoding="utf-8")
    found = settling(CASE.id, f"a change: {reason} and more")
    assert found.words == words
    assert found.command.endswith(f" --repeats {processes}") == (processes > 1)


def test_the_command_times_that_case_alone() -> None:
    """Every option is one of the suite's, and the backend has the case's own options."""
    words = shlex.split(settling(CASE.id, "").command)
    assert words[:2] == ["pytest", "suites/test_speed.py"]
    given = dict(zip(words[2::2], words[3::2], strict=True))
    assert set(given) <= {option.name for option in OPTIONS}
    assert given["--backends"] == "tensorrt-onnx:level=1"
    assert (given["--versions"], given["--precisions"], given["--batches"], given["--frames"]) == (
        "v3",
        "fp16",
        "4",
        "468",
    )


def test_what_is_no_case_has_words_only() -> None:
    """A record of another version may have an id that this one does not know."""
    assert settling("nonsense", "").command == ""
