"""The arithmetic of docs/scale.md."""

from typing import Any

import pytest

from tests.docs import ROOT, blocks


def test_the_page_s_block_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """Capacities by the page's own formula, and a number of workers that carries the rate."""
    [block] = blocks(ROOT / "docs" / "scale.md", "python")
    names: dict[str, Any] = {}
    exec(compile(block, "docs/scale.md", "exec"), names)  # noqa: S102 - the page's own code
    assert names["alone"] == pytest.approx(1 / 0.010)
    assert names["batched"] == pytest.approx(8 / 0.052)
    assert names["needed"] * names["batched"] > 3000 / 6.57
    assert "requests/s" in capsys.readouterr().out
