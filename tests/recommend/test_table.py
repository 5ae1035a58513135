"""A sweep ends with its answer."""

from pathlib import Path

from bench.case import Case
from bench.recommend.table import answers
from bench.records.schema import FILE_NAME
from tests.recommend.test_choice import _judged, _run, _timed


def test_every_vocoder_has_a_line(tmp_path: Path) -> None:
    """The fastest that passes is named with its time; where nothing was judged, that is the line."""
    slow, fast = (Case("v3", backend, "fp16", 1, 468) for backend in ("eager", "torchscript"))
    unheard = Case("v4", "eager", "fp16", 1, 500)
    records = [*_judged(slow, fast), _timed(unheard)]
    lines = answers(_run(tmp_path, records), 200)
    [v3] = [line for line in lines if line.startswith("v3 on ")]
    [v4] = [line for line in lines if line.startswith("v4 on ")]
    assert fast.id in v3
    assert " ms " in v3
    assert "none: nothing in the run may be recommended for v4" in v4
    assert "its sound was not judged" in "".join(lines)
    assert lines[-1].startswith("all of it: vocoder-bench report ")


def test_a_run_without_times_says_nothing(tmp_path: Path) -> None:
    """Records that are none, and none at all, add no line."""
    assert answers(tmp_path) == []
    (tmp_path / FILE_NAME).write_text("no record\n", encoding="utf-8")
    assert answers(tmp_path) == []
