"""HiFi-GAN's generator as GPT-SoVITS v4 builds it.

Definition: Kong et al., "HiFi-GAN: Generative Adversarial Networks for Efficient and High Fidelity Speech
Synthesis" (2020), and the sizes in GPT-SoVITS's ``init_vocoder``. Parameter names are those of
``vocoder.pth``, weight norm folded.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.spec import V4, MelSpec, VocoderSpec
from bench.vocoders.bigvgan import same_padding

SLOPE = 0.1
# The last activation of the original takes PyTorch's default slope.
LAST_SLOPE = 0.01


@dataclass(frozen=True)
class HifiGanConfig:
    """Shape of the network; the defaults are GPT-SoVITS v4.

    Attributes:
        resblock: ``"1"`` (two convolutions a dilation, three dilations) or ``"2"`` (one, the first two).
        gin_channels: Channels of the optional conditioning input; 0 for none.
        is_bias: Whether the last convolution has a bias.
        sample_rate: Of the waveform in Hz.
        mel: Definition of the input; its bands are ``initial_channel``.
    """

    initial_channel: int = 100
    resblock: str = "1"
    resblock_kernel_sizes: tuple[int, ...] = (3, 7, 11)
    resblock_dilation_sizes: tuple[tuple[int, ...], ...] = ((1, 3, 5), (1, 3, 5), (1, 3, 5))
    upsample_rates: tuple[int, ...] = (10, 6, 2, 2, 2)
    upsample_initial_channel: int = 512
    upsample_kernel_sizes: tuple[int, ...] = (20, 12, 4, 4, 4)
    gin_channels: int = 0
    is_bias: bool = True
    sample_rate: int = V4.sample_rate
    mel: MelSpec = V4.mel

    @property
    def spec(self) -> VocoderSpec:
        """The outside of a vocoder with this configuration."""
        mel = replace(self.mel, bands=self.initial_channel)
        return replace(V4, sample_rate=self.sample_rate, upsample=math.prod(self.upsample_rates), mel=mel)

    @classmethod
    def from_state(cls, shapes: Mapping[str, torch.Size]) -> "HifiGanConfig":
        """The v4 configuration with the options that a checkpoint's keys show: block, conditioning, bias."""
        return cls(
            resblock="2" if "resblocks.0.convs.0.weight" in shapes else "1",
            gin_channels=shapes["cond.weight"][1] if len(shapes.get("cond.weight", ())) == 3 else 0,
            is_bias="conv_post.bias" in shapes,
        )


class ResBlock(nn.Module):
    """Residual dilated convolutions: ResBlock 1 or 2 of the paper.

    Args:
        channels: Channels in and out.
        kernel_size: Kernel of every convolution.
        dilations: One residual step each; block 2 takes the first two.
        two: Whether a step has a second, undilated convolution (block 1).
    """

    def __init__(self, channels: int, kernel_size: int, dilations: tuple[int, ...], two: bool) -> None:
        super().__init__()

        def conv(dilation: int) -> nn.Conv1d:
            padding = same_padding(kernel_size, dilation)
            return nn.Conv1d(channels, channels, kernel_size, dilation=dilation, padding=padding)

        self.two = two
        if two:
            self.convs1 = nn.ModuleList(conv(dilation) for dilation in dilations)
            self.convs2 = nn.ModuleList(conv(1) for _ in dilations)
        else:
            self.convs = nn.ModuleList(conv(dilation) for dilation in dilations[:2])

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(batch, channels, samples)`` to the same shape."""
        if self.two:
            for conv1, conv2 in zip(self.convs1, self.convs2, strict=True):
                x = conv2(F.leaky_relu(conv1(F.leaky_relu(x, SLOPE)), SLOPE)) + x
        else:
            for conv in self.convs:
                x = conv(F.leaky_relu(x, SLOPE)) + x
        return x


class HifiGan(nn.Module):
    """The generator: ``(batch, bands, frames)`` log-mel to ``(batch, 1, frames * upsample)`` waveform.

    Args:
        config: Network configuration.
    """

    def __init__(self, config: HifiGanConfig) -> None:
        super().__init__()
        self.config = config
        self.spec = config.spec
        channels = config.upsample_initial_channel
        self.conv_pre = nn.Conv1d(config.initial_channel, channels, 7, padding=3)
        self.cond = nn.Conv1d(config.gin_channels, channels, 1) if config.gin_channels else None
        self.ups = nn.ModuleList()
        self.resblocks = nn.ModuleList()
        for rate, size in zip(config.upsample_rates, config.upsample_kernel_sizes, strict=True):
            up = nn.ConvTranspose1d(channels, channels // 2, size, rate, padding=(size - rate) // 2)
            self.ups.append(up)
            channels //= 2
            for kernel, dilations in zip(config.resblock_kernel_sizes, config.resblock_dilation_sizes, strict=True):
                self.resblocks.append(ResBlock(channels, kernel, dilations, config.resblock == "1"))
        self.conv_post = nn.Conv1d(channels, 1, 7, padding=3, bias=config.is_bias)

    def forward(self, mel: Tensor, g: Tensor | None = None) -> Tensor:
        """Vocodes a log-mel; the waveform lies in (-1, 1).

        Args:
            mel: ``(batch, bands, frames)``.
            g: Conditioning ``(batch, gin_channels, 1)``, where the network has it.
        """
        kernels = len(self.config.resblock_kernel_sizes)
        x = self.conv_pre(mel)
        if g is not None and self.cond is not None:
            x = x + self.cond(g)
        for stage, up in enumerate(self.ups):
            x = up(F.leaky_relu(x, SLOPE))
            blocks = self.resblocks[stage * kernels : (stage + 1) * kernels]
            total = blocks[0](x)
            for block in blocks[1:]:
                total += block(x)
            x = total / kernels
        return torch.tanh(self.conv_post(F.leaky_relu(x, LAST_SLOPE)))
