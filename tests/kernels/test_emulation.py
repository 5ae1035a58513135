"""The activation kernel's arithmetic, emulated, is the alias-free activation to rounding."""

import pytest
import torch

from bench.kernels import emulation, filters, packing, reference
from bench.vocoders.alias_free import AliasFreeActivation


def drawn(channels: int) -> AliasFreeActivation:
    """An activation with parameters as in trained networks."""
    torch.manual_seed(0)
    activation = AliasFreeActivation(channels, beta=True, logscale=True).requires_grad_(False)
    activation.act.alpha.uniform_(-0.7, 1.0)
    assert activation.act.beta is not None
    activation.act.beta.uniform_(0.0, 1.0)
    return activation


@pytest.mark.parametrize(("element", "limit"), [(torch.float16, 4e-4), (torch.bfloat16, 4e-3)])
@pytest.mark.parametrize("samples", [1, 2, 3, 7, 8, 9, 40, 333])
def test_tiles_compute_the_activation(samples: int, element: torch.dtype, limit: float) -> None:
    """Any length, edges included: within a rounding of the module that BigVGAN runs."""
    module = drawn(24)
    x = (2 * torch.randn(2, samples, 24)).to(element).float()
    snake = packing.snake_parameters(module.act, element)
    expected = module(x.transpose(1, 2)).transpose(1, 2)
    got = emulation.activation(x, snake, element) / filters.gain(element)
    assert (got - expected).norm() / expected.norm() < limit


def test_meaning_is_the_module() -> None:
    """The meaning that kernels are checked against is the module's, scaled."""
    module = drawn(8)
    x = torch.randn(1, 50, 8)
    snake = packing.snake_parameters(module.act, torch.float16)
    got = reference.activation(x, snake, torch.float16) / filters.gain(torch.float16)
    torch.testing.assert_close(got, module(x.transpose(1, 2)).transpose(1, 2), rtol=1e-4, atol=1e-5)


def test_edges_are_seen() -> None:
    """With the edges left to the clamped samples alone, the result is another one: the test of lengths has teeth."""
    module = drawn(8)
    x = torch.randn(1, 16, 8)
    padded = torch.cat([x[:, :1].expand(-1, 8, -1), x, x[:, -1:].expand(-1, 8, -1)], dim=1)
    snake = packing.snake_parameters(module.act, torch.float16)
    inside = emulation.activation(padded.half().float(), snake, torch.float16)[:, 8:-8]
    right = emulation.activation(x.half().float(), snake, torch.float16)
    assert (inside - right).norm() / right.norm() > 1.5e-3
