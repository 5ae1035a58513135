"""BigVGAN, the vocoder of GPT-SoVITS v3.

Definition: Lee et al., "BigVGAN: A Universal Neural Vocoder with Large-Scale Training" (2023), and the
``config.json`` of NVIDIA's checkpoints. Parameter names are those of the checkpoints, weight norm folded.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import InputError, shown
from bench.spec import V3, MelSpec, VocoderSpec
from bench.vocoders.alias_free import AliasFreeActivation

# Samples that a mel frame may become, and the highest frequency and the longest list in config.json.
MAX_UPSAMPLE = 4096
MAX_HERTZ = 192_000
MAX_VALUES = 8
_MISSING: Any = object()


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
    def from_json(cls, data: Mapping[str, Any], name: str = "config.json") -> "BigVganConfig":
        """Reads a checkpoint's ``config.json``; every field is of its type and within its range.

        ``use_tanh_at_final`` and ``use_bias_at_final`` default to true, as in checkpoints older than v2.

        Args:
            data: The JSON object.
            name: The file, for the sentence.

        Raises:
            InputError: a field is missing, of another type or out of range, or the values fit no BigVGAN.
        """
        fields = _Fields(data, name)
        mel = MelSpec(
            sample_rate=fields.whole("sampling_rate", 1000, 192_000, V3.mel.sample_rate),
            n_fft=fields.whole("n_fft", 16, 16_384, V3.mel.n_fft),
            win_length=fields.whole("win_size", 16, 16_384, V3.mel.win_length),
            hop_length=fields.whole("hop_size", 1, 4096, V3.mel.hop_length),
            bands=fields.whole("num_mels", 1, 512),
            fmin=fields.hertz("fmin") or 0.0,
            fmax=fields.hertz("fmax"),
        )
        config = cls(
            num_mels=mel.bands,
            upsample_initial_channel=fields.whole("upsample_initial_channel", 1, 4096),
            upsample_rates=fields.wholes("upsample_rates", 1, 64),
            upsample_kernel_sizes=fields.wholes("upsample_kernel_sizes", 1, 256),
            resblock=fields.choice("resblock", ("1", "2")),
            resblock_kernel_sizes=fields.wholes("resblock_kernel_sizes", 1, 63),
            resblock_dilation_sizes=fields.lists("resblock_dilation_sizes", 1, 64),
            activation=fields.choice("activation", ("snake", "snakebeta")),
            snake_logscale=fields.flag("snake_logscale"),
            use_tanh_at_final=fields.flag("use_tanh_at_final", default=True),
            use_bias_at_final=fields.flag("use_bias_at_final", default=True),
            mel=mel,
        )
        config.check(name)
        return config

    def check(self, name: str = "config.json") -> None:
        """Raises :class:`InputError` when the values fit no network, each being within its range."""
        if len(self.upsample_rates) != len(self.upsample_kernel_sizes):
            raise InputError(f"{name}: upsample_rates and upsample_kernel_sizes differ in length")
        if len(self.resblock_kernel_sizes) != len(self.resblock_dilation_sizes):
            raise InputError(f"{name}: resblock_kernel_sizes and resblock_dilation_sizes differ in length")
        if math.prod(self.upsample_rates) > MAX_UPSAMPLE:
            raise InputError(f"{name}: the product of upsample_rates is at most {MAX_UPSAMPLE}")
        if self.upsample_initial_channel < 2 ** len(self.upsample_rates):
            raise InputError(f"{name}: upsample_initial_channel halves at each of upsample_rates and gets under 1")
        if any(k < r or (k - r) % 2 for k, r in zip(self.upsample_kernel_sizes, self.upsample_rates, strict=True)):
            raise InputError(f"{name}: a size in upsample_kernel_sizes is its rate plus an even number")
        if any(size % 2 == 0 for size in self.resblock_kernel_sizes):
            raise InputError(f"{name}: resblock_kernel_sizes are odd numbers")

    def check_mel(self, name: str) -> None:
        """Raises :class:`InputError` when the network's input is not the mel that GPT-SoVITS feeds a v3 vocoder."""
        fed, mel = V3.mel, self.mel
        for field, value, wanted in (
            ("sampling_rate", mel.sample_rate, fed.sample_rate),
            ("n_fft", mel.n_fft, fed.n_fft),
            ("win_size", mel.win_length, fed.win_length),
            ("hop_size", mel.hop_length, fed.hop_length),
            ("num_mels", mel.bands, fed.bands),
            ("fmin", mel.fmin, fed.fmin),
            ("fmax", mel.fmax or mel.sample_rate / 2, fed.fmax or fed.sample_rate / 2),
        ):
            if value != wanted:
                raise InputError(
                    f"{name}: {field} is {value:g}, and GPT-SoVITS feeds its v3 vocoder {wanted:g}; "
                    "give bigvgan_v2_24khz_100band_256x"
                )
        if math.prod(self.upsample_rates) != mel.hop_length:
            raise InputError(
                f"{name}: hop_size is {mel.hop_length}, and upsample_rates multiply to {math.prod(self.upsample_rates)}"
            )


class _Fields:
    """The fields of ``config.json``, checked before anything is built from them.

    Args:
        data: The JSON object.
        name: The file, for sentences.
    """

    def __init__(self, data: Mapping[str, Any], name: str) -> None:
        self._data, self._name = data, name

    def whole(self, field: str, low: int, high: int, default: int = _MISSING) -> int:
        """A whole number within a range."""
        return self._within(field, self._get(field, default), low, high)

    def hertz(self, field: str) -> float | None:
        """A frequency in Hz; None where there is none or null."""
        value = self._get(field, None)
        if value is None:
            return None
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self._wrong_type(field, value, "a number of Hz or null")
        if not 0 <= value <= MAX_HERTZ:
            raise InputError(f"{self._name}: {field} lies between 0 and {MAX_HERTZ} Hz, not {_brief(value)}")
        return float(value)

    def flag(self, field: str, default: bool = _MISSING) -> bool:
        """True or false; the text ``"false"`` is neither."""
        value = self._get(field, default)
        if not isinstance(value, bool):
            raise self._wrong_type(field, value, "true or false")
        return value

    def choice(self, field: str, choices: tuple[str, ...]) -> str:
        """One of several texts; a number counts as its digits."""
        value = self._get(field, _MISSING)
        text = str(value) if type(value) is int and 0 <= value <= 9 else value
        if not isinstance(text, str) or text not in choices:
            raise InputError(f"{self._name}: {field} is {' or '.join(map(json.dumps, choices))}, not {_brief(value)}")
        return text

    def wholes(self, field: str, low: int, high: int) -> tuple[int, ...]:
        """A list of whole numbers within a range."""
        return tuple(self._within(field, value, low, high) for value in self._list(field, self._get(field, _MISSING)))

    def lists(self, field: str, low: int, high: int) -> tuple[tuple[int, ...], ...]:
        """A list of lists of whole numbers within a range."""
        return tuple(
            tuple(self._within(field, value, low, high) for value in self._list(field, inner))
            for inner in self._list(field, self._get(field, _MISSING))
        )

    def _get(self, field: str, default: Any) -> Any:
        value = self._data.get(field, default)
        if value is _MISSING:
            raise InputError(f"{self._name} has no field {field!r}")
        return value

    def _list(self, field: str, value: Any) -> Sequence[Any]:
        if not isinstance(value, list | tuple):
            raise self._wrong_type(field, value, "a list")
        if not 1 <= len(value) <= MAX_VALUES:
            raise InputError(f"{self._name}: {field} has 1 to {MAX_VALUES} values, not {len(value)}")
        return value

    def _within(self, field: str, value: Any, low: int, high: int) -> int:
        if type(value) is not int:
            raise self._wrong_type(field, value, "whole numbers")
        if not low <= value <= high:
            raise InputError(f"{self._name}: {field} lies between {low} and {high}, not {_brief(value)}")
        return value

    def _wrong_type(self, field: str, value: Any, wanted: str) -> InputError:
        return InputError(f"{self._name} has a field of the wrong type: {field} is {_brief(value)}, not {wanted}")


def _brief(value: Any) -> str:
    """A value of any size in a sentence."""
    return shown(repr(value) if not isinstance(value, int) or value.bit_length() < 128 else "a huge number", 60)


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
