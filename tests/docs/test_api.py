"""The examples of docs/api.md."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.docs import ROOT, blocks


def test_the_examples_run_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every block runs as it stands, on a processor, and the values that the page speaks of come out."""
    monkeypatch.chdir(ROOT)
    names: dict[str, Any] = {}
    page = ROOT / "docs" / "api.md"
    for number, block in enumerate(blocks(page, "python")):
        exec(compile(block, f"{page.name}, block {number}", "exec"), names)  # noqa: S102 - the page's own code
    printed = capsys.readouterr().out
    assert names["mel"].shape[1] == 100
    assert names["audio"].shape[-1] == names["mel"].shape[-1] * names["vocoder"].spec.upsample
    assert 12 < names["fidelity"].snr_db < 60
    assert torch.allclose(names["again"], names["audio"], atol=1e-5)
    assert "SNR" in printed
    assert "v3-tensorrt-onnx-fp16-b1-t468" in printed


def test_every_stable_name_is_in_an_example() -> None:
    """The table's names are those that the examples import."""
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    code = "\n".join(blocks(ROOT / "docs" / "api.md", "python"))
    for module, wanted in {
        "bench.vocoders": "load_vocoder",
        "bench.audio": "log_mel",
        "bench.quality": "compare",
        "bench.records": "read_records, records_frame",
        "bench.backends": "find_backend",
    }.items():
        assert f"from {module} import {wanted}" in code
        assert f"{module}.{wanted.split(',')[0]}" in text


def test_the_page_is_where_readers_look() -> None:
    """README links to it."""
    assert "docs/api.md" in Path(ROOT / "README.md").read_text(encoding="utf-8")
