# ruff: noqa: D102 - the faulty kernels are named after what they replace
"""The self-check lets right kernels pass and stops wrong ones; kernels are simulated."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from bench.errors import WrongOutputError
from bench.kernels import driver, selfcheck
from bench.kernels.driver import Launch
from bench.kernels.resources import read_limits
from bench.kernels.sources import Kernel
from tests.kernels.simulator import FakeModule, Simulator, install

CPU = torch.device("cpu")
KERNELS = sorted(read_limits())


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> Callable[[Simulator], None]:
    """Runs the self-check's launches on a simulator."""
    install(monkeypatch)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "a card")

    def use(simulator: Simulator) -> None:
        def run(_: object, launch: Launch, out: Tensor) -> Tensor:
            simulator.launch(launch)
            return out.float()

        monkeypatch.setattr(selfcheck._Bench, "run", run)

    return use


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.label.replace(" ", "-"))
def test_every_kernel_has_a_check_that_its_meaning_passes(
    kernel: Kernel, simulated: Callable[[Simulator], None]
) -> None:
    """The check builds layers for the kernel's constants, and the meaning on packed weights passes it."""
    simulated(Simulator(torch.float16))
    selfcheck.check(kernel, FakeModule(kernel), CPU)  # type: ignore[arg-type]


class Faulty(Simulator):
    """Leaves the residual out, and stores one sample later than it should."""

    def finish(self, sums: Tensor, residual: int, out: int, leaky: int) -> None:
        super().finish(sums.roll(1, dims=1), 0, out, leaky)
        del residual

    def activated(self, x: Tensor, snake: Tensor) -> Tensor:
        y = super().activated(x, snake)
        y[:, -1] *= 1.1
        return y

    def write(self, pointer: int, values: Tensor) -> None:
        flat = values.clone().flatten()
        flat[-1] += 0.3
        super().write(pointer, flat.view(values.shape))


ONE_EACH = list({kernel.name: kernel for kernel in KERNELS}.values())


@pytest.mark.parametrize("kernel", ONE_EACH, ids=lambda kernel: kernel.name)
def test_a_wrong_kernel_is_wrong_output(kernel: Kernel, simulated: Callable[[Simulator], None]) -> None:
    """Faults of one element, an edge or a residual raise, and the message names kernel and card."""
    if kernel.name == "last_layer" and not kernel.values["SNAKE"]:
        pytest.skip("without an activation this stand-in has no fault in it")
    simulated(Faulty(torch.float16))
    with pytest.raises(WrongOutputError, match=f"{kernel.name}.*a card"):
        selfcheck.check(kernel, FakeModule(kernel), CPU)  # type: ignore[arg-type]


def test_nothing_written_is_wrong_output(simulated: Callable[[Simulator], None]) -> None:
    """NaN in the output fails the comparison."""

    class Idle(Simulator):
        def write(self, pointer: int, values: Tensor) -> None:
            """Writes nothing."""

    simulated(Idle(torch.float16))
    kernel = next(kernel for kernel in KERNELS if kernel.name == "mel_rows")
    with pytest.raises(WrongOutputError):
        selfcheck.check(kernel, FakeModule(kernel), CPU)  # type: ignore[arg-type]


def test_arguments_lie_where_c_puts_them() -> None:
    """Pointers are aligned behind a float, and every argument is found at its own address."""
    assert driver._layout("128s4P8i")[1][:6] == (0, 128, 136, 144, 152, 160)
    assert driver._layout("2Pf3P2i")[1] == (0, 8, 16, 24, 32, 40, 48, 52)
