"""Which worker gets an item."""

import pytest

from bench.serve.routing import choose


@pytest.mark.parametrize(
    ("policy", "loads", "expected"),
    [
        ("round-robin", [9, 0, 0], [0, 1, 2, 0]),
        ("round-robin", [0, None, 0], [0, 2, 2, 0]),
        ("least-loaded", [5, 3, 4], [1, 1, 1, 1]),
        # Equal loads take turns.
        ("least-loaded", [3, 3, None], [0, 1, 0, 0]),
        ("least-loaded", [None, None, None], [None] * 4),
    ],
)
def test_turns(policy: str, loads: list[int | None], expected: list[int | None]) -> None:
    """Round robin skips workers that take nothing, and the least loaded one is taken whatever the turn."""
    assert [choose(loads, policy, turn) for turn in range(4)] == expected
