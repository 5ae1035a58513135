"""Kernels are compiled once, checked before they are kept, and held to their limits; none of it needs a GPU."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from bench.engine_cache import EngineCache
from bench.errors import UnsupportedError, WrongOutputError
from bench.kernels import compile as compiling
from bench.kernels import driver, resources
from bench.kernels.network import Network
from bench.kernels.plan import make_plan
from bench.kernels.sources import Kernel, hopper_kernel, kernel, source
from bench.vocoders import load_vocoder
from tests.kernels.simulator import install

CPU = torch.device("cpu")
REASON = compiling.unavailable_reason()
needs_nvrtc = pytest.mark.skipif(REASON is not None, reason=str(REASON))
SUM = kernel("branch_sum", torch.float16, LEAKY_IN=0, BRANCHES=3)
WIDE = hopper_kernel("wide_convolution", torch.float16, COLUMNS=96)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """A GPU and a compiler that do nothing but count."""
    log = SimpleNamespace(compiled=[], loaded=[], driver=13000)

    def compile_kernel(wanted: Kernel, arch: str) -> tuple[bytes, str]:
        log.compiled.append((wanted.name, arch))
        return f"{wanted.label} {arch}".encode(), ""

    def module(code: bytes, name: str) -> SimpleNamespace:
        log.loaded.append(name)
        return SimpleNamespace(code=code)

    monkeypatch.setattr(compiling, "compile_kernel", compile_kernel)
    monkeypatch.setattr(compiling, "compiler_version", lambda: "a compiler")
    monkeypatch.setattr(driver, "Module", module)
    monkeypatch.setattr(driver, "version", lambda: log.driver)
    monkeypatch.setattr(driver, "current_context", lambda: None)
    monkeypatch.setattr(driver, "call", lambda *_: None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "a card")
    return log


def test_a_second_start_neither_compiles_nor_checks(machine: SimpleNamespace, tmp_path: Path) -> None:
    """What is kept has passed its check; another driver is another machine."""
    store, checked = EngineCache(tmp_path, 1 << 30), []
    for expected in (2, 2):
        compiled = compiling.load([SUM, WIDE], CPU, store, lambda wanted, _: checked.append(wanted))
        assert len(machine.compiled) == len(checked) == expected
    assert compiled.from_cache
    assert set(machine.compiled) == {("branch_sum", "sm_90"), ("wide_convolution", "sm_90a")}
    machine.driver = 13010
    assert not compiling.load([SUM], CPU, store, lambda wanted, _: checked.append(wanted)).from_cache
    assert len(checked) == 3


def test_a_kernel_that_fails_its_check_is_not_kept(machine: SimpleNamespace, tmp_path: Path) -> None:
    """The failure reaches the caller, and the next start compiles and checks again."""
    store = EngineCache(tmp_path, 1 << 30)

    def fail(_: Kernel, __: object) -> None:
        raise WrongOutputError("off")

    for attempt in (1, 2):
        with pytest.raises(WrongOutputError):
            compiling.load([SUM], CPU, store, fail)
        assert len(machine.compiled) == attempt
    assert not store.entries()


def test_without_a_cache_every_start_checks(machine: SimpleNamespace) -> None:
    """Nothing is kept, so nothing is taken on trust."""
    checked: list[Kernel] = []
    for _ in range(2):
        assert not compiling.load([SUM], CPU, None, lambda wanted, _: checked.append(wanted)).from_cache
    assert len(checked) == len(machine.compiled) == 2


@needs_nvrtc
def test_a_source_that_does_not_compile_is_unsupported(
    machine: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason names the kernel, the GPU and what the compiler said."""

    def broken(*_: object) -> tuple[bytes, str]:
        raise RuntimeError("expected a semicolon")

    monkeypatch.setattr(compiling, "compile_kernel", broken)
    with pytest.raises(UnsupportedError, match=r"branch_sum.*sm_90: expected a semicolon"):
        compiling.load([SUM], CPU, None, lambda *_: None)
    assert not machine.loaded


@pytest.mark.parametrize("wanted", resources.read_limits(), ids=lambda wanted: wanted.name)
def test_a_source_needs_no_headers(wanted: Kernel) -> None:
    """Includes are written into the text once, constants stand in front."""
    text = source(wanted)
    assert "#include" not in text
    assert text.count("typedef unsigned int u32;") == 1
    assert all(f"constexpr int {name} = {value};" in text for name, value in wanted.constants)


@needs_nvrtc
@pytest.mark.parametrize("arch", [*resources.ARCHITECTURES, *resources.HOPPER_ARCHITECTURES])
def test_kernels_keep_their_limits(arch: str) -> None:
    """Every kernel of both vocoders compiles for every GPU within its registers, spills and shared memory."""
    limits = {
        wanted: limit for wanted, limit in resources.read_limits().items() if arch in resources.architectures(wanted)
    }
    compiling.compiler_version()
    with ThreadPoolExecutor(2) as pool:
        measured = dict(zip(limits, pool.map(lambda wanted: resources.measure(wanted, arch), limits), strict=True))
    above = {wanted.label: measured[wanted].exceeds(limit) for wanted, limit in limits.items()}
    assert not {label: found for label, found in above.items() if found}


@needs_nvrtc
@pytest.mark.parametrize("name", ["activation", "tile_convolution", "snake_step", "leaky_step", "wide_convolution"])
def test_kernels_compile_in_bfloat16(name: str) -> None:
    """The same sources serve both elements."""
    wanted = next(wanted for wanted in resources.read_limits() if wanted.name == name)
    bfloat16 = Kernel(wanted.name, wanted.constants, "bfloat16", wanted.hopper)
    assert resources.measure(bfloat16, resources.architectures(wanted)[0]).registers


@pytest.mark.parametrize("version", ["v3", "v4"])
def test_the_table_of_limits_is_complete(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every kernel that a vocoder may use, on a Hopper, a large and a small card, has limits."""
    limits, plan = resources.read_limits(), make_plan(load_vocoder(version))
    for path, capability in (("hopper", (9, 0)), ("portable", (9, 0)), ("portable", (8, 6))):
        install(monkeypatch, capability)
        assert Network(plan, path, CPU).kernels <= set(limits)


def test_limits_are_limits() -> None:
    """Each resource above its limit is named."""
    limit = resources.Resources(64, 0, 128, serialised=False)
    assert not limit.exceeds(limit)
    found = resources.Resources(65, 4, 129, serialised=True).exceeds(limit)
    assert found == ["registers 65 > 64", "spill_bytes 4 > 0", "shared_bytes 129 > 128", "products are serialised"]
