"""The request of docs/serve.md."""

from typing import Any

import numpy as np
import pytest

from tests.docs import ROOT, blocks
from tests.serve.running import UPSAMPLE, planted, running

__all__ = ["planted"]


@pytest.mark.usefixtures("planted")
def test_the_page_s_request_is_answered() -> None:
    """The block runs as it stands against a service on loopback."""
    [block] = blocks(ROOT / "docs" / "serve.md", "python")
    with running() as service:
        names: dict[str, Any] = {"URL": f"http://127.0.0.1:{service.port}"}
        exec(compile(block, "docs/serve.md", "exec"), names)  # noqa: S102 - the page's own code
    assert names["samples"].shape == (200 * UPSAMPLE,)
    assert np.allclose(names["samples"], -11.5 / 20)
