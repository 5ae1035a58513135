"""Graphs by shape: captured once each, the oldest dropped, and a replay that is wrong is noticed."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from bench.errors import WrongOutputError
from bench.lowering.graphs import Capture, Captured, CudaCapture, ShapeGraphs


class FakeCapture(Capture):
    """Records what a replay does instead of a GPU: it computes from the graph's memory into the graph's memory."""

    def __init__(self, fault: Callable[[Tensor], Tensor] = lambda audio: audio) -> None:
        self.captures: list[tuple[int, ...]] = []
        self.fault = fault

    def capture(self, function: Callable[[Tensor], Tensor], mel: Tensor) -> Captured:
        """A call and its memory."""
        self.captures.append(tuple(mel.shape))
        audio = function(mel).clone()

        def replay() -> None:
            audio.copy_(self.fault(function(mel)))

        return Captured(mel, audio, replay)

    def pool_bytes(self) -> int:
        """Of no meaning here."""
        return 7


def _double(mel: Tensor) -> Tensor:
    return 2 * mel


def test_each_shape_is_captured_once_and_every_call_has_its_own_input() -> None:
    """The second call of a shape replays; its output is that of its input and not of the first call's."""
    capture = FakeCapture()
    graphs = ShapeGraphs(_double, capture)
    first, second, longer = torch.ones(1, 2, 3), torch.full((1, 2, 3), 5.0), torch.ones(1, 2, 4)
    assert torch.equal(graphs(first), _double(first))
    assert torch.equal(graphs(second), _double(second))
    assert torch.equal(graphs(longer), _double(longer))
    assert capture.captures == [(1, 2, 3), (1, 2, 4)]
    assert graphs.pool_bytes() == 7


def test_the_least_recently_used_graph_goes() -> None:
    """With room for two, a third shape drops the one not called last, which is captured again when it comes."""
    capture = FakeCapture()
    graphs = ShapeGraphs(_double, capture, most=2)
    for frames in (3, 4, 3, 5):
        graphs(torch.ones(1, 2, frames))
    assert graphs.shapes == ((1, 2, 3), (1, 2, 5))
    graphs(torch.ones(1, 2, 4))
    assert [shape[2] for shape in capture.captures] == [3, 4, 5, 4]
    graphs.close()
    assert not graphs.shapes


@pytest.mark.parametrize(
    "fault",
    [lambda audio: audio * 0, lambda audio: audio * 1.02, lambda audio: audio.roll(1, -1)],
    ids=["does nothing", "louder", "shifted"],
)
def test_a_replay_that_differs_from_its_call_is_refused(fault: Callable[[Tensor], Tensor]) -> None:
    """A graph that leaves out or changes something is a wrong output, and is not kept."""
    graphs = ShapeGraphs(_double, FakeCapture(fault))
    with pytest.raises(WrongOutputError, match="replay differs from its call"):
        graphs(torch.randn(1, 2, 50))
    assert not graphs.shapes


def test_rounding_is_no_difference() -> None:
    """What two algorithms of float16 differ by passes."""
    graphs = ShapeGraphs(_double, FakeCapture(lambda audio: audio * (1 + 2**-10)))
    graphs(torch.randn(1, 2, 50))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_a_real_graph_replays_what_was_captured() -> None:
    """On a GPU, two shapes in turn have the outputs of their own inputs, and the pool's memory is known."""
    device = torch.device("cuda:0")
    conv = torch.nn.Conv1d(8, 1, 5, padding=2, device=device).requires_grad_(False)
    graphs = ShapeGraphs(conv, CudaCapture(device))
    with torch.inference_mode():
        for frames in (100, 64, 100, 64):
            mel = torch.randn(2, 8, frames, device=device)
            assert torch.allclose(graphs(mel), conv(mel), atol=1e-5)
    assert graphs.pool_bytes() > 0
