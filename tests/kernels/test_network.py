"""A network's launches, simulated on a CPU, compute the vocoder."""

import pytest
import torch
from torch import Tensor

from bench.errors import UnsupportedError
from bench.kernels import network as network_module
from bench.kernels.network import Network
from bench.kernels.plan import make_plan
from bench.kernels.schedule import Fork, Join, Send
from tests.kernels.networks import MODELS, bigvgan
from tests.kernels.simulator import FakeModule, Simulator, install

CPU = torch.device("cpu")


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


def test_a_shape_has_its_own_memory_and_no_launch_leaves_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shared memory is within the GPU's limit for every launch, on a small card too."""
    for path, capability, limit in (("hopper", (9, 0), 232448), ("portable", (8, 6), 101376)):
        install(monkeypatch, capability)
        network = Network(make_plan(MODELS["bigvgan"]()), path, CPU)
        network.modules = {kernel: FakeModule(kernel) for kernel in network.kernels}  # type: ignore[misc]
        for batch, frames in ((1, 1), (4, 300)):
            network.schedule(batch, frames)
        assert max(module.shared_bytes for module in network.modules.values()) <= limit  # type: ignore[attr-defined]


def test_the_longest_branch_runs_on_the_callers_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """Branches fork behind the upsampling, join in front of the sum, and the longest one is on lane 0."""
    install(monkeypatch)
    network = Network(make_plan(MODELS["hifigan"]()), "hopper", CPU)
    network.modules = {kernel: FakeModule(kernel) for kernel in network.kernels}  # type: ignore[misc]
    items = network.schedule(1, 4).items
    inside = False
    lanes: list[int] = []
    for item in items:
        if isinstance(item, Fork):
            inside, lanes = True, []
        elif isinstance(item, Join):
            assert set(lanes) == {0, 1}
            inside = False
        else:
            lanes.append(item.lane)
            assert inside or item.lane == 0
    # The branch with seven taps is the second in the plan and comes first.
    first_branch = items[items.index(next(i for i in items if isinstance(i, Fork))) + 1]
    assert isinstance(first_branch, Send)
    assert 7 in first_branch.launch.arguments


def test_a_wide_halo_is_unsupported_on_a_small_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """A convolution that fits no kernel is said to be unsupported, with what it needs."""
    install(monkeypatch, (8, 6))
    monkeypatch.setattr(network_module, "LEAST_SHARED_LIMIT", 20000)
    with pytest.raises(UnsupportedError, match="shared memory"):
        Network(make_plan(MODELS["bigvgan"]()), "portable", CPU)
