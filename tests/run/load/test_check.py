"""Every answer against its own reference."""

import numpy as np
import pytest

from bench.errors import WrongOutputError
from bench.run.load.check import Checker, snr_db
from bench.serve.wav import encode, header


def wav(samples: np.ndarray, open_end: bool = False) -> bytes:
    """As the service sends it."""
    return header(24_000, "pcm16", None if open_end else len(samples)) + encode(samples, "pcm16")


def test_own_sound_and_no_other() -> None:
    """An answer with its own error passes, as a stream too; another's, a cut one, a shifted one and none do not."""
    generator = np.random.default_rng(0)
    sounds = [generator.normal(0, 0.2, 4000).astype(np.float32) for _ in range(3)]
    noisy = [sound + generator.normal(0, 0.002, 4000).astype(np.float32) for sound in sounds]
    checker = Checker(sounds)
    for item, sound in enumerate(noisy):
        checker.alone(item, wav(sound))
        assert 39 < checker.alone_db[item] < 41
    other = sounds[0] + generator.normal(0, 0.003, 4000).astype(np.float32)
    assert checker.right(0, wav(noisy[0]))
    assert checker.right(0, wav(other, open_end=True))
    assert not checker.right(0, wav(noisy[1]))
    assert not checker.right(0, wav(noisy[0][:-1]))
    assert not checker.right(0, wav(np.roll(noisy[0], 1)))
    assert not checker.right(0, b"")
    assert not checker.right(0, wav(sounds[0] + generator.normal(0, 0.02, 4000).astype(np.float32)))
    # The same bytes again are as right as they were, and only for their own utterance.
    assert checker.right(0, wav(noisy[0]))
    assert not checker.right(1, wav(noisy[0]))
    assert (checker.checked, checker.wrong) == (9, 6)


def test_an_answer_without_load_that_is_wrong() -> None:
    """There is nothing to hold load against."""
    checker = Checker([np.ones(100, np.float32)])
    with pytest.raises(WrongOutputError, match=r"-6\.0 dB"):
        checker.alone(0, wav(np.full(100, -1.0, np.float32)))


def test_snr() -> None:
    """Analytic values; silence and other lengths are no match."""
    one = np.ones(10, np.float32)
    assert snr_db(one, one) == np.inf
    assert snr_db(one, np.full(10, 1.1, np.float32)) == pytest.approx(20, abs=1e-3)
    assert snr_db(one, one[:9]) == snr_db(one * 0, one) == -np.inf
