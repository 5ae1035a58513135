"""What the machine reaches at best: bytes copied a second, and operations a second of a matrix product.

Measured once for a machine and precision, in a second or two, and kept in the user's cache folder under the device's
name, the driver, PyTorch's version and, on a processor, the number of threads.
"""

import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.files import cache_folder
from bench.measure.clock import clock_for
from bench.measure.environment import capture
from bench.precision import Precision, autocast_dtype, flags
from bench.records.limits import Ceilings

FOLDER_VARIABLE = "VOCODER_BENCH_CEILINGS"
# Far larger than caches: 1 GiB from and to on a GPU, 128 MiB on a processor.
COPY_BYTES = {"cuda": 1 << 30, "cpu": 1 << 27}
# Sides of the square matrices.
SIDE = {"cuda": 8192, "cpu": 1024}
CALLS = 10
LIMIT_S = 2.0


def ceilings(
    device: torch.device, precision: Precision, folder: Path | None = None, *, again: bool = False
) -> Ceilings:
    """The ceilings of ``device`` for ``precision``: the kept ones, else measured now and kept.

    Args:
        device: Where cases run; nothing else may run there meanwhile.
        precision: Whose matrix product counts.
        folder: Where they are kept; None for the user's cache folder.
        again: Whether to measure anew; what is kept is then replaced where the machine reached more.
    """
    folder = folder or default_folder()
    identity = _identity(device)
    file = folder and folder / f"{hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]}.json"
    kept = _read(file, identity) if file else {}
    product = _product_of(precision, device)
    measures: dict[str, Callable[[], float]] = {
        "copy": lambda: copy_bytes_per_s(device),
        product: lambda: product_flops_per_s(device, precision),
    }
    for name, measure in measures.items():
        if again or name not in kept:
            before = kept.get(name, (0.0, ""))
            kept[name] = max(before, (measure(), datetime.now(UTC).isoformat(timespec="seconds")))
            if file:
                _write(file, {"identity": identity, "figures": kept})
    return Ceilings(
        copy_bytes_per_s=kept["copy"][0],
        flops_per_s=kept[product][0],
        product=product,
        measured_at=min(kept["copy"][1], kept[product][1]),
    )


def default_folder() -> Path | None:
    """Where ceilings are kept: ``VOCODER_BENCH_CEILINGS``, or a folder in the user's cache; None for nowhere."""
    given = os.environ.get(FOLDER_VARIABLE)
    return Path(given) if given else cache_folder("ceilings")


def copy_bytes_per_s(device: torch.device) -> float:
    """Bytes read and written a second by the fastest of a few copies within the device's memory."""
    size = COPY_BYTES[device.type]
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * size / _fastest_s(device, lambda: target.copy_(source))


def product_flops_per_s(device: torch.device, precision: Precision) -> float:
    """Operations a second of the fastest of a few matrix products, a multiply-add being two."""
    side = SIDE[device.type]
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(side, side, generator=generator).to(device)
    call = _product(values, precision)
    with flags(precision), torch.inference_mode():
        return 2 * side**3 / _fastest_s(device, call)


def _product(values: Tensor, precision: Precision) -> Callable[[], Tensor]:
    """A square matrix product as ``precision`` labels it; random values, because zeros draw less power."""
    if precision.quantised == "int8":
        whole = (40 * values).round().clamp(-127, 127).to(torch.int8)
        other = whole.t().contiguous().t()
        return lambda: torch._int_mm(whole, other)
    if precision.quantised:
        eight = values.to(torch.float8_e4m3fn)
        turned, one = eight.t().contiguous().t(), torch.ones((), device=values.device)
        return lambda: torch._scaled_mm(eight, turned, scale_a=one, scale_b=one, out_dtype=torch.float16)
    factors = values.to(precision.compute or autocast_dtype(values.device))
    return lambda: factors @ factors


def _product_of(precision: Precision, device: torch.device) -> str:
    """The name of the precision whose matrix product a case is held against."""
    if precision.autocast:
        return "bf16" if autocast_dtype(device) is torch.bfloat16 else "fp16"
    return precision.name


def _fastest_s(device: torch.device, call: Callable[[], Tensor]) -> float:
    """Seconds of the fastest of ten calls after two, or of as many as two seconds hold."""
    clock = clock_for(device)
    call()
    call()
    started, fastest = time.perf_counter(), float("inf")
    for _ in range(CALLS):
        fastest = min(fastest, clock.time_ms(call).device_ms)
        if time.perf_counter() - started > LIMIT_S:
            break
    return fastest / 1000


def _identity(device: torch.device) -> dict[str, Any]:
    found = capture(device)
    gpu = found["gpu"]
    if gpu is not None:
        named = {name: gpu[name] for name in ("name", "driver", "power_limit_w", "multiprocessors", "memory_bytes")}
    else:
        named = {**found["cpu"], "threads": found["threads"]}
    return {"device": named, "torch": torch.__version__}


def _read(file: Path, identity: dict[str, Any]) -> dict[str, tuple[float, str]]:
    """Figures with their times; nothing where the file cannot be read, is of another machine, or holds no speeds."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        figures = {str(name): (float(value), str(when)) for name, (value, when) in found["figures"].items()}
        usable = found["identity"] == identity and all(0 < value < float("inf") for value, _ in figures.values())
        return figures if usable else {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _write(file: Path, content: dict[str, Any]) -> None:
    """Replaces the file whole; where that cannot be done the next run measures again."""
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=file.parent, suffix=".tmp")
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(content, stream)
        Path(name).replace(file)
