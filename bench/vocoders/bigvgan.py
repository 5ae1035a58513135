"""BigVGAN, the vocoder of GPT-SoVITS v3.

Definition: Lee et al., "BigVGAN: A Universal Neural Vocoder with Large-Scale Training" (2023), and the
``config.json`` of NVIDIA's checkpoints. Parameter names are those of the checkpoints, weight norm folded.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import InputError
from bench.spec import V3, MelSpec, VocoderSpec
from bench.vocoders.alias_free import AliasFreeActivation


@dataclass(frozen=True)
class BigVganConfig:
    """The fields of ``config.json`` that shape the network; the defaults are bigvgan_v2_24khz_100band_256x.

    Attributes:
        resblock: ``"1"`` (two convolutions a dilation) or ``"2"`` (one).
        activation: ``"snake"`` or ``"snakebeta"``.
        mel: Definition of the input, for the spec.
    """

    num_mels: int = 100
    upsample_initial_channel: int = 1536
    upsample_rates: tuple[int, ...] = (4, 4, 2, 2, 2, 2)
    upsample_kernel_sizes: tuple[int, ...] = (8, 8, 4, 4, 4, 4)
    resblock: str = "1"
    resblock_kernel_sizes: tuple[int, ...] = (3, 7, 11)
    resblock_dilation_sizes: tuple[tuple[int, ...], ...] = ((1, 3, 5), (1, 3, 5), (1, 3, 5))
    activation: str = "snakebeta"
    snake_logscale: bool = True
    use_tanh_at_final: bool = False
    use_bias_at_final: bool = False
    mel: MelSpec = V3.mel

    @property
    def spec(self) -> VocoderSpec:
        """The outside of a vocoder with this configuration."""
        return replace(V3, sample_rate=self.mel.sample_rate, upsample=math.prod(self.upsample_rates), mel=self.mel)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "BigVganConfig":
        """Reads a checkpoint's ``config.json``.

        ``use_tanh_at_final`` and ``use_bias_at_final`` default to true, as in checkpoints older than v2.

        Raises:
            InputError: a field is missing or has a value that names no BigVGAN.
        """
        try:
            mel = MelSpec(
                sample_rate=int(data.get("sampling_rate", V3.mel.sample_rate)),
                n_fft=int(data.get("n_fft", V3.mel.n_fft)),
                win_length=int(data.get("win_size", V3.mel.win_length)),
                hop_length=int(data.get("hop_size", V3.mel.hop_length)),
                bands=int(data["num_mels"]),
                fmin=float(data.get("fmin") or 0.0),
                fmax=None if data.get("fmax") is None else float(data["fmax"]),
            )
            config = cls(
                num_mels=int(data["num_mels"]),
                upsample_initial_channel=int(data["upsample_initial_channel"]),
                upsample_rates=tuple(int(rate) for rate in data["upsample_rates"]),
                upsample_kernel_sizes=tuple(int(size) for size in data["upsample_kernel_sizes"]),
                resblock=str(data["resblock"]),
                resblock_kernel_sizes=tuple(int(size) for size in data["resblock_kernel_sizes"]),
                resblock_dilation_sizes=tuple(
                    tuple(int(step) for step in steps) for steps in data["resblock_dilation_sizes"]
                ),
                activation=str(data["activation"]),
                snake_logscale=bool(data["snake_logscale"]),
                use_tanh_at_final=bool(data.get("use_tanh_at_final", True)),
                use_bias_at_final=bool(data.get("use_bias_at_final", True)),
                mel=mel,
            )
        except KeyError as error:
            raise InputError(f"config.json has no field {error}") from error
        except (TypeError, ValueError) as error:
            raise InputError(f"config.json has a field of the wrong type: {error}") from error
        config.check()
        return config

    def check(self) -> None:
        """Raises :class:`InputError` when the values fit no network."""
        if self.resblock not in ("1", "2"):
            raise InputError(f'config.json: resblock is "1" or "2", not {self.resblock!r}')
        if self.activation not in ("snake", "snakebeta"):
            raise InputError(f'config.json: activation is "snake" or "snakebeta", not {self.activation!r}')
        if len(self.upsample_rates) != len(self.upsample_kernel_sizes) or not self.upsample_rates:
            raise InputError("config.json: upsample_rates and upsample_kernel_sizes differ in length")
        if len(self.resblock_kernel_sizes) != len(self.resblock_dilation_sizes):
            raise InputError("config.json: resblock_kernel_sizes and resblock_dilation_sizes differ in length")
        sizes = (
            self.num_mels,
            *self.upsample_rates,
            *self.upsample_kernel_sizes,
            *self.resblock_kernel_sizes,
        )
        steps = [step for dilations in self.resblock_dilation_sizes for step in dilations]
        if min((*sizes, *steps)) < 1 or self.upsample_initial_channel < 2 ** len(self.upsample_rates):
            raise InputError("config.json: sizes, rates and channels are positive and channels halve at each rate")
        if any(k < r or (k - r) % 2 for k, r in zip(self.upsample_kernel_sizes, self.upsample_rates, strict=True)):
            raise InputError("config.json: an upsample kernel is its rate plus an even number")


def same_padding(kernel_size: int, dilation: int) -> int:
    """Padding that keeps the length of a stride-1 convolution with an odd kernel."""
    return (kernel_size - 1) * dilation // 2


class AmpBlock(nn.Module):
    """Residual convolutions behind alias-free activations: AMP block 1 or 2 of the paper's code.

    Args:
        config: Network configuration.
        channels: Channels in and out.
        kernel_size: Kernel of every convolution.
        dilations: One residual step each.
    """

    def __init__(self, config: BigVganConfig, channels: int, kernel_size: int, dilations: tuple[int, ...]) -> None:
        super().__init__()

        def conv(dilation: int) -> nn.Conv1d:
            padding = same_padding(kernel_size, dilation)
            return nn.Conv1d(channels, channels, kernel_size, dilation=dilation, padding=padding)

        self.two = config.resblock == "1"
        if self.two:
            self.convs1 = nn.ModuleList(conv(dilation) for dilation in dilations)
            self.convs2 = nn.ModuleList(conv(1) for _ in dilations)
        else:
            self.convs = nn.ModuleList(conv(dilation) for dilation in dilations)
        self.activations = nn.ModuleList(
            AliasFreeActivation(channels, config.activation == "snakebeta", config.snake_logscale)
            for _ in range(len(dilations) * (2 if self.two else 1))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(batch, channels, samples)`` to the same shape."""
        if self.two:
            acts = zip(self.activations[::2], self.activations[1::2], strict=True)
            for conv1, conv2, (act1, act2) in zip(self.convs1, self.convs2, acts, strict=True):
                x = conv2(act2(conv1(act1(x)))) + x
        else:
            for conv, act in zip(self.convs, self.activations, strict=True):
                x = conv(act(x)) + x
        return x


class BigVgan(nn.Module):
    """The generator: ``(batch, bands, frames)`` log-mel to ``(batch, 1, frames * upsample)`` waveform.

    Args:
        config: Network configuration.
    """

    def __init__(self, config: BigVganConfig) -> None:
        super().__init__()
        self.config = config
        self.spec = config.spec
        channels = config.upsample_initial_channel
        self.conv_pre = nn.Conv1d(config.num_mels, channels, 7, padding=3)
        self.ups = nn.ModuleList()
        self.resblocks = nn.ModuleList()
        for rate, size in zip(config.upsample_rates, config.upsample_kernel_sizes, strict=True):
            up = nn.ConvTranspose1d(channels, channels // 2, size, rate, padding=(size - rate) // 2)
            self.ups.append(nn.ModuleList([up]))
            channels //= 2
            for kernel, dilations in zip(config.resblock_kernel_sizes, config.resblock_dilation_sizes, strict=True):
                self.resblocks.append(AmpBlock(config, channels, kernel, dilations))
        self.activation_post = AliasFreeActivation(channels, config.activation == "snakebeta", config.snake_logscale)
        self.conv_post = nn.Conv1d(channels, 1, 7, padding=3, bias=config.use_bias_at_final)

    def forward(self, mel: Tensor) -> Tensor:
        """Vocodes a log-mel; the waveform lies in [-1, 1]."""
        kernels = len(self.config.resblock_kernel_sizes)
        x = self.conv_pre(mel)
        for stage in range(len(self.ups)):
            x = self.ups[stage][0](x)  # type: ignore[index] # a list of one, as checkpoints name it
            blocks = self.resblocks[stage * kernels : (stage + 1) * kernels]
            total = blocks[0](x)
            for block in blocks[1:]:
                total += block(x)
            x = total / kernels
        x = self.conv_post(self.activation_post(x))
        return torch.tanh(x) if self.config.use_tanh_at_final else torch.clamp(x, min=-1.0, max=1.0)
