"""BigVGAN's activation computes what its definition says."""

import numpy as np
import pytest
import torch

from bench.vocoders.alias_free import AliasFreeActivation, kaiser_sinc_filter


def slow_activation(x: np.ndarray, alpha: np.ndarray, beta: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """The alias-free activation of one channel by zero-stuffing and full convolution, in float64."""
    pad = 5
    padded = np.pad(x, pad, mode="edge")
    stuffed = np.zeros(2 * len(padded))
    stuffed[::2] = padded
    up = 2 * np.convolve(stuffed, taps)
    up = up[2 * pad + 5 : 2 * pad + 5 + 2 * len(x)]
    wave = up + np.sin(alpha * up) ** 2 / (beta + 1e-9)
    padded = np.concatenate([np.full(5, wave[0]), wave, np.full(6, wave[-1])])
    return np.array([padded[2 * t : 2 * t + 12] @ taps for t in range(len(x))])


@pytest.mark.parametrize("beta", [True, False])
@pytest.mark.parametrize("logscale", [True, False])
@pytest.mark.parametrize("samples", [1, 2, 37])
def test_activation_is_up_snake_down(beta: bool, logscale: bool, samples: int) -> None:
    """The activation equals zero-stuffing, filtering, snake, filtering and decimating, edges included."""
    torch.manual_seed(samples)
    activation = AliasFreeActivation(3, beta, logscale).double()
    for parameter in activation.parameters():
        parameter.data.uniform_(0.2, 1.2)
    x = torch.randn(2, 3, samples, dtype=torch.float64)
    alpha = activation.act.alpha.detach().numpy()
    magnitude = alpha if activation.act.beta is None else activation.act.beta.detach().numpy()
    if logscale:
        alpha, magnitude = np.exp(alpha), np.exp(magnitude)
    taps = activation.upsample.filter.flatten().numpy()
    expected = [[slow_activation(x[b, c].numpy(), alpha[c], magnitude[c], taps) for c in range(3)] for b in range(2)]
    assert np.allclose(activation(x).detach().numpy(), expected, atol=1e-12)


def test_filter_is_a_half_band_low_pass() -> None:
    """The filter is symmetric, passes a constant unchanged and stops the upper quarter of its band."""
    taps = kaiser_sinc_filter(0.25, 0.3).flatten().double()
    assert torch.allclose(taps, taps.flip(0), atol=1e-7)
    assert float(taps.sum()) == pytest.approx(1, abs=1e-6)
    response = torch.fft.rfft(taps, 512).abs()
    assert float(response[240:].max()) < 0.02
