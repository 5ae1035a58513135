"""Text from elsewhere is shown by Markdown, HTML and terminals, and never obeyed."""

from pathlib import Path

import pytest

from bench.case import Case
from bench.compare.markdown import escape, plain
from bench.records.schema import Status
from bench.report.render import write_report
from tests.synthetic_records import failed_record, write_run

TURNED = "safe \N{RIGHT-TO-LEFT OVERRIDE}fp32 \N{LEFT-TO-RIGHT ISOLATE}\x1b[31m\N{LINE SEPARATOR}|"


@pytest.mark.parametrize("mark", list("\\`*_{}[]#|~@"))
def test_every_mark_of_markdown_is_a_character(mark: str) -> None:
    """A mark comes out behind a backslash."""
    assert escape(f"a{mark}b") == f"a\\{mark}b"


def test_addresses_and_emoji_are_no_markup_and_plain_colons_stay() -> None:
    """An address is no link, an emoji's name no picture, and cuda:0 reads as it is written."""
    assert escape("http://e.example") == "http\\://e.example"
    assert escape(":rocket:") == "\\:rocket:"
    assert escape("v3 on cuda:0") == "v3 on cuda:0"


def test_tags_and_line_breaks_are_text_on_one_line() -> None:
    """HTML is shown, and a line break ends no table row."""
    assert escape("<b> & <script>\n# big\r\n") == "&lt;b&gt; &amp; &lt;script&gt; \\# big"


def test_what_turns_text_around_is_left_out() -> None:
    """Direction and control characters become spaces."""
    assert plain(TURNED) == "safe  fp32   [31m |"
    assert escape(TURNED) == "safe fp32 \\[31m \\|"


def test_the_summary_of_a_report_cannot_be_turned_around(tmp_path: Path) -> None:
    """The report's Markdown goes through the same escaper."""
    case = Case("v3", "tensorrt", "fp16", 1, 468)
    records = [failed_record(case, Status.CRASHED, TURNED, run_id=TURNED)]
    text = write_report(write_run(tmp_path, records)).summary.read_text(encoding="utf-8")
    assert "safe fp32" in text
    assert not set(text) & set("\N{RIGHT-TO-LEFT OVERRIDE}\N{LEFT-TO-RIGHT ISOLATE}\x1b\N{LINE SEPARATOR}")
