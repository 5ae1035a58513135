"""Shapes at run time: plain launches first, then a graph, within a bounded number of shapes; simulated."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch

from bench.errors import InputError
from bench.kernels import driver, runtime
from bench.kernels.network import Network
from bench.kernels.plan import make_plan
from bench.kernels.runtime import Runtime
from tests.kernels.networks import hifigan
from tests.kernels.simulator import FakeModule, Simulator, install
from tests.kernels.test_network import snr_db

CPU = torch.device("cpu")


class FakeGraph:
    """Sends what it captured."""

    made: list["FakeGraph"]

    def __init__(self, _: int, send: Callable[[], None]) -> None:
        self.send, self.roots, self.closed = send, 0, False
        FakeGraph.made.append(self)

    def run(self, _: int) -> None:
        """A launch."""
        self.send()

    def set_root(self, _: object) -> None:
        """Another input."""
        self.roots += 1

    def close(self) -> None:
        """Memory given back."""
        self.closed = True


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    """A small network whose launches are simulated."""
    install(monkeypatch)
    FakeGraph.made = []
    simulator = Simulator(torch.float16)
    stream = SimpleNamespace(cuda_stream=0)
    monkeypatch.setattr(driver.Launch, "run", lambda launch, _: simulator.launch(launch))
    monkeypatch.setattr(driver, "Graph", FakeGraph)
    monkeypatch.setattr(driver, "call", lambda *_: None)
    for name in ("Stream", "current_stream"):
        monkeypatch.setattr(torch.cuda, name, lambda _: stream)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _: None)
    model = hifigan(resblock_kernel_sizes=(3,), resblock_dilation_sizes=((1,),), upsample_initial_channel=128)
    made = Network(make_plan(model), "hopper", CPU)
    made.modules = {kernel: FakeModule(kernel) for kernel in made.kernels}  # type: ignore[misc]
    made.model = model  # type: ignore[attr-defined] # for the tests
    return made


def test_the_first_call_needs_no_graph_and_the_second_captures_one(network: Network) -> None:
    """All calls give the same bits; graphs exist for shapes that came again."""
    running = Runtime(network, 4)
    mel = 3 * torch.randn(2, 100, 3) - 6
    first = running.run(mel).clone()
    assert not FakeGraph.made
    assert torch.equal(running.run(mel), first)
    assert torch.equal(running.run(mel), first)
    assert len(FakeGraph.made) == 1
    assert snr_db(first, network.model(mel)) > 54  # type: ignore[attr-defined]


def test_another_mel_is_read_where_it_lies(network: Network) -> None:
    """A mel at another address becomes the graph's input; one in another layout is copied first."""
    running = Runtime(network, 4)
    mel, other = (3 * torch.randn(1, 100, 4) - 6 for _ in range(2))
    for _ in range(2):
        running.run(mel)
    expected = network.model(other)  # type: ignore[attr-defined]
    assert snr_db(running.run(other), expected) > 54
    turned = other.transpose(1, 2).contiguous().transpose(1, 2)
    assert snr_db(running.run(turned), expected) > 54
    assert FakeGraph.made[0].roots >= 1


def test_shapes_are_bounded(network: Network) -> None:
    """The least recently used shape goes with its graph; memory does not grow beyond the bound."""
    running = Runtime(network, 2)
    for frames in (1, 2, 1, 3):
        for _ in range(2):
            running.run(torch.zeros(1, 100, frames))
    assert [graph.closed for graph in FakeGraph.made] == [False, True, False]
    assert set(running._shapes) == {(1, 1), (1, 3)}
    held = running.memory_bytes
    running.close()
    assert running.memory_bytes == 0 < held
    assert all(graph.closed for graph in FakeGraph.made)


@pytest.mark.parametrize("mel", [torch.zeros(1, 100, 2, dtype=torch.float16), torch.zeros(1, 80, 2)])
def test_a_mel_that_would_be_misread_is_an_input_error(network: Network, mel: torch.Tensor) -> None:
    """Kernels see addresses only, so type and bands are looked at before."""
    with pytest.raises(InputError, match="float32 mel of 100 bands"):
        Runtime(network, 1).run(mel)


def test_shapes_share_memory_where_they_fit(network: Network) -> None:
    """Shorter shapes lie in the longest one's block, and still give their own audio."""
    running = Runtime(network, 4)
    mels = [3 * torch.randn(1, 100, frames) - 6 for frames in (6, 2, 5)]
    first = [running.run(mel).clone() for mel in mels]
    assert running.memory_bytes == running._shapes[1, 6].schedule.memory.numel()
    again = [running.run(mel).clone() for mel in mels]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_counts_name_kernels(network: Network) -> None:
    """The launches of a shape by kernel, for the record."""
    running = Runtime(network, 1)
    running.run(torch.zeros(1, 100, 2))
    counts = running.counts(1, 2)
    assert counts["mel_rows float16"] == 1
    assert sum(counts.values()) == sum(hasattr(item, "launch") for item in runtime_items(running))


def runtime_items(running: Runtime) -> tuple[object, ...]:
    """The schedule of the only shape."""
    (shape,) = running._shapes.values()
    assert isinstance(shape, runtime._Shape)
    return shape.schedule.items
