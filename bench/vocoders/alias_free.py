"""The alias-free periodic activation of BigVGAN: twice up, snake, twice down.

Definition: Lee et al., "BigVGAN: A Universal Neural Vocoder with Large-Scale Training" (2023), with the
windowed-sinc filters of Karras et al., "Alias-Free Generative Adversarial Networks" (2021). The operations
are the ones that NVIDIA's PyTorch code runs, in its order: the baseline that others are compared with.
"""

import torch
import torch.nn.functional as F
from scipy.signal import kaiser_atten, kaiser_beta
from torch import Tensor, nn

RATIO = 2
TAPS = 12
# Keeps the division by alpha or beta finite; vanishes in float16, as it does in the original.
EPSILON = 1e-9


def kaiser_sinc_filter(cutoff: float, half_width: float, taps: int = TAPS) -> Tensor:
    """A low-pass filter of unit gain, an ideal sinc under a Kaiser window.

    Args:
        cutoff: Cut-off frequency in cycles per sample.
        half_width: Half the transition band, in cycles per sample.
        taps: Length; even.

    Returns:
        float32 tensor ``(1, 1, taps)`` on the CPU.
    """
    attenuation_db = kaiser_atten(taps // 2, 4 * half_width)
    window = torch.kaiser_window(taps, periodic=False, beta=float(kaiser_beta(attenuation_db)), device="cpu")
    time = torch.arange(-(taps // 2), taps // 2, device="cpu") + 0.5
    kernel = 2 * cutoff * window * torch.sinc(2 * cutoff * time)
    return (kernel / kernel.sum()).view(1, 1, taps)


class Snake(nn.Module):
    """``x + sin(alpha x)^2 / alpha`` per channel, or ``/ beta`` in the two-parameter form.

    Args:
        channels: Channels of the ``(batch, channels, samples)`` input.
        beta: Whether the magnitude has a parameter of its own ("snakebeta").
        logscale: Whether the parameters are stored as logarithms.
    """

    def __init__(self, channels: int, beta: bool, logscale: bool) -> None:
        super().__init__()
        start = torch.zeros(channels) if logscale else torch.ones(channels)
        self.logscale = logscale
        self.alpha = nn.Parameter(start)
        self.beta = nn.Parameter(start.clone()) if beta else None

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(batch, channels, samples)`` to the same shape."""
        alpha = self.alpha.unsqueeze(0).unsqueeze(-1)
        beta = alpha if self.beta is None else self.beta.unsqueeze(0).unsqueeze(-1)
        if self.logscale:
            alpha = torch.exp(alpha)
            beta = alpha if self.beta is None else torch.exp(beta)
        return x + (1.0 / (beta + EPSILON)) * torch.pow(torch.sin(x * alpha), 2)


class _HalfBand(nn.Module):
    """The filter between a rate and its double, the same for every channel."""

    filter: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        kernel = kaiser_sinc_filter(0.5 / RATIO, 0.6 / RATIO)
        self.register_buffer("filter", kernel, persistent=False)


class Upsample(_HalfBand):
    """Doubles the rate of every channel, continuing the signal at its edges by repetition."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(batch, channels, samples)`` to ``(batch, channels, 2 * samples)``."""
        pad = TAPS // RATIO - 1
        x = F.pad(x, (pad, pad), mode="replicate")
        # A constant channel count keeps the expanded filter a constant for tracers and exporters.
        kernel = self.filter.expand(self.channels, -1, -1)
        x = RATIO * F.conv_transpose1d(x, kernel, stride=RATIO, groups=self.channels)
        cut = pad * RATIO + (TAPS - RATIO) // 2
        return x[..., cut:-cut]


class Downsample(nn.Module):
    """Halves the rate of every channel behind a low-pass filter."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.lowpass = LowPass(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(batch, channels, 2 * samples)`` to ``(batch, channels, samples)``."""
        y: Tensor = self.lowpass(x)
        return y


class LowPass(_HalfBand):
    """The filter of :class:`Downsample`; a module of its own because checkpoints name it."""

    def forward(self, x: Tensor) -> Tensor:
        """Filters and keeps every second sample of ``(batch, channels, samples)``."""
        x = F.pad(x, (TAPS // 2 - 1, TAPS // 2), mode="replicate")
        return F.conv1d(x, self.filter.expand(self.channels, -1, -1), stride=RATIO, groups=self.channels)


class AliasFreeActivation(nn.Module):
    """Snake at twice the rate, so that the harmonics it makes do not fold back.

    Args:
        channels: Channels of the ``(batch, channels, samples)`` input.
        beta: See :class:`Snake`.
        logscale: See :class:`Snake`.
    """

    def __init__(self, channels: int, beta: bool, logscale: bool) -> None:
        super().__init__()
        self.act = Snake(channels, beta, logscale)
        self.upsample = Upsample(channels)
        self.downsample = Downsample(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(batch, channels, samples)`` to the same shape."""
        y: Tensor = self.downsample(self.act(self.upsample(x)))
        return y
