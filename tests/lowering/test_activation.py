"""The activation's forms for engines equal the original, and keep a steady sound's frames short."""

import pytest

from bench.errors import InputError
from bench.lowering.activation import DEFAULT_FORM, Ends, ends, fewest_frames, known_form
from bench.vocoders.alias_free import AliasFreeActivation


@pytest.mark.parametrize("size", [16, 32, 64])
def test_the_fewest_frames_are_enough_at_every_rate(size: int) -> None:
    """In a graph of open length both ends and two frames between them fit, or the form chooses edges by position."""
    original = AliasFreeActivation(2, beta=True, logscale=True)
    chosen = {rate: ends(size)(original, rate) for rate in range(1, 257)}
    with_ends = {rate: made for rate, made in chosen.items() if isinstance(made, Ends)}
    # A divisor of 16 and the rate of at least four.
    assert set(with_ends) == {rate for rate in chosen if rate % 4 == 0}
    for rate, made in with_ends.items():
        assert rate % made.size == 0
        assert (2 * made.ends + 2) * made.size <= fewest_frames(DEFAULT_FORM) * rate


def test_an_unknown_form_is_named() -> None:
    """A form that does not exist is the user's mistake."""
    with pytest.raises(InputError, match=r"option activation is one of ends-64, frames-16, not 'fast'"):
        known_form("fast")
