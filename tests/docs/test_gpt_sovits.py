"""The lines of docs/gpt-sovits.md."""

from typing import Any

import pytest
import yaml

from bench.integrations import choice
from bench.integrations.gpt_sovits import Accelerated
from bench.integrations.guide_keys import KEYS, SECTION
from tests.docs import ROOT, blocks
from tests.integrations.stand_in_tts import TTS, BigVGAN, Generator, heard

PAGE = ROOT / "docs" / "gpt-sovits.md"


@pytest.mark.parametrize("version", ["v3", "v4"])
def test_the_lines_run_behind_the_object(
    version: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Four lines accelerate, the next four say what was answered and take it out again."""
    monkeypatch.setattr(choice, "QUICK", ("fused", "eager"))
    put_in, take_out, _ = blocks(PAGE, "python")
    assert max(len(block.splitlines()) for block in blocks(PAGE, "python")) == 4
    names: dict[str, Any] = {"tts_pipeline": TTS(version)}
    own = names["tts_pipeline"].vocoder
    exec(compile(put_in, PAGE.name, "exec"), names)  # noqa: S102 - the page's own code
    assert isinstance(names["tts_pipeline"].vocoder, Accelerated)
    heard(names["tts_pipeline"], [20])
    exec(compile(take_out, PAGE.name, "exec"), names)  # noqa: S102 - the page's own code
    assert names["tts_pipeline"].vocoder is own
    printed = capsys.readouterr().out
    assert "fp16" in printed
    assert "Statistics(calls=1" in printed


def test_the_lines_of_the_plain_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """The vocoder that is there is replaced, the other variable stays empty."""
    monkeypatch.setattr(choice, "QUICK", ("fused", "eager"))
    lines = blocks(PAGE, "python")[2]
    for made in (BigVGAN, Generator):
        names: dict[str, Any] = {"bigvgan_model": None, "hifigan_model": None}
        name = "bigvgan_model" if made is BigVGAN else "hifigan_model"
        names[name] = made().eval()
        exec(compile(lines, PAGE.name, "exec"), names)  # noqa: S102 - the page's own code
        assert isinstance(names.pop(name), Accelerated)
        assert [value for key, value in names.items() if key.endswith("_model")] == [None]


def test_the_keys_are_those_that_are_read() -> None:
    """The page's section has the name and every key, and each has its line in the table."""
    text = PAGE.read_text(encoding="utf-8")
    start = text.index(f"    {SECTION}:")
    section = yaml.safe_load(text[start : text.index("\n\n", start)])
    assert tuple(section[SECTION]) == KEYS
    for key in KEYS:
        assert f"| `{key}` |" in text
