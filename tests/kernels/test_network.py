"""A network's launches, simulated on a CPU, compute the vocoder."""

import pytest
import torch
from torch import Tensor

from bench.kernels.network import Network, Send
from bench.kernels.plan import make_plan
from bench.vocoders import Vocoder
from bench.vocoders.bigvgan import BigVgan, BigVganConfig
from bench.vocoders.hifigan import HifiGan, HifiGanConfig
from bench.vocoders.synthetic import initialise
from tests.kernels.simulator import FakeModule, Simulator, install

CPU = torch.device("cpu")


def filled(model: Vocoder) -> Vocoder:
    """A network with synthetic weights and biases other than zero."""
    model.eval().requires_grad_(False)
    initialise(model, 0)
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if name.endswith("bias") and name != "conv_pre.bias":
            parameter.uniform_(-0.1, 0.1)
    return model


def bigvgan(**changes: object) -> Vocoder:
    """A BigVGAN of four widths: wide, 96, 48 and 24 channels."""
    fields = {
        "upsample_initial_channel": 384,
        "upsample_rates": (4, 2, 2, 2),
        "upsample_kernel_sizes": (8, 4, 4, 4),
        "resblock_kernel_sizes": (3, 11),
        "resblock_dilation_sizes": ((1, 3), (1, 5)),
    }
    return filled(BigVgan(BigVganConfig(**(fields | changes))))  # type: ignore[arg-type]


def hifigan(**changes: object) -> Vocoder:
    """A HiFi-GAN of four widths: 128, 64, 32 and 16 channels."""
    fields = {
        "upsample_initial_channel": 256,
        "upsample_rates": (5, 3, 2, 2),
        "upsample_kernel_sizes": (11, 9, 4, 4),
        "resblock_kernel_sizes": (3, 7),
        "resblock_dilation_sizes": ((1, 3), (1, 5)),
    }
    return filled(HifiGan(HifiGanConfig(**(fields | changes))))  # type: ignore[arg-type]


def simulate(network: Network, mel: Tensor) -> Tensor:
    """The audio of a network's schedule."""
    batch, _, frames = mel.shape
    network.modules = {kernel: FakeModule(kernel) for kernel in network.kernels}  # type: ignore[misc]
    schedule = network.schedule(batch, frames)
    schedule.memory.fill_(0xFF)  # NaN in every data type
    first = schedule.items[0]
    assert isinstance(first, Send)
    first.launch.take_arguments(network.input_launch(schedule, mel.data_ptr(), batch, frames))
    Simulator(network.plan.element).run(schedule.items)
    return schedule.audio


def snr_db(got: Tensor, expected: Tensor) -> float:
    """Signal to noise."""
    error = (got.double() - expected.double()).square().sum()
    return float(10 * torch.log10(expected.double().square().sum() / error))


MODELS = {
    "bigvgan": lambda: bigvgan(),
    "amp2-snake": lambda: bigvgan(resblock="2", activation="snake", snake_logscale=False, use_tanh_at_final=True),
    "odd-widths": lambda: bigvgan(
        upsample_initial_channel=320,
        upsample_rates=(3, 2),
        upsample_kernel_sizes=(9, 2),
        use_bias_at_final=True,
    ),
    "hifigan": lambda: hifigan(),
    "resblock2": lambda: hifigan(resblock="2"),
    "one-branch": lambda: hifigan(resblock_kernel_sizes=(5,), resblock_dilation_sizes=((1, 2, 4),)),
}


@pytest.mark.parametrize("path", ["hopper", "portable"])
@pytest.mark.parametrize("name", MODELS)
def test_launches_compute_the_vocoder(name: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every launch finds its weights, inputs and residual; the audio is PyTorch's beyond float16's rounding."""
    install(monkeypatch)
    model = MODELS[name]()
    network = Network(make_plan(model), path, CPU)
    for batch, frames in ((1, 1), (2, 5)):
        mel = 3 * torch.randn(batch, 100, frames) - 6
        assert snr_db(simulate(network, mel), model(mel)) > 54


def test_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same in bfloat16, whose unit roundoff is eight times as large."""
    install(monkeypatch)
    model = bigvgan()
    mel = 3 * torch.randn(1, 100, 3) - 6
    assert snr_db(simulate(Network(make_plan(model, torch.bfloat16), "hopper", CPU), mel), model(mel)) > 36
