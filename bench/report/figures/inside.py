"""What one inference of a case is made of: its time by stage of the network, or by kernel."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from bench.records.kinds.profile import Profile, ProfiledKernel, ProfiledLayer
from bench.records.rows import Row
from bench.report.figures.bars import Bar, stacked
from bench.report.figures.plot import Drawing, Key
from bench.report.figures.vega import MUTED
from bench.report.text import number

COMPUTE, MEMORY, LAUNCHES = "compute", "memory", "launches"
_COLOURS = {COMPUTE: "var(--series-0, #0072b2)", MEMORY: "var(--series-4, #b87800)"}
_KINDS = {"conv": "convolutions", "transposed conv": "upsampling", "activation": "activations"}
_SHOWN, _NAME = 16, 42
REST = "between the layers"


@dataclass(frozen=True)
class Part:
    """A stage's layers of one kind, or kernels of one name.

    Attributes:
        name: In words.
        ms: Of one inference.
        share: Of all kernels' time, in per cent.
        compute_ms, memory_ms: What the machine allows for it, by what sets that; 0 where that is not known.
        bound_by: What sets the greater part of that; empty where it is not known.
        calls: How often a kernel ran; None of layers.
    """

    name: str
    ms: float
    share: float
    compute_ms: float = 0.0
    memory_ms: float = 0.0
    bound_by: str = ""
    calls: float | None = None


def parts(profile: Profile) -> list[Part]:
    """Time by stage and kind of layer, in the order that they run in; by kernel where layers have no times."""
    timed = [layer for layer in profile.layers if layer.ms is not None]
    if not timed:
        return _kernels(profile.kernels, profile.kernels_ms)
    # Marks on a CPU hold what Python does between operators, too.
    total = max(profile.kernels_ms, sum(layer.ms or 0.0 for layer in timed))
    found = [_part(name, layers, total) for name, layers in _stages(timed).items()]
    rest = total - sum(part.ms for part in found)
    return [*found, Part(REST, rest, 100 * rest / total)] if rest > 0 else found


def inside(row: Row, profile: Profile) -> Drawing | str:
    """The parts of a case as bars, those of layers split at their floors."""
    found = parts(profile)
    if not found:
        return "Not drawn: PyTorch's profiler saw no kernel of this case."
    layered = any(part.bound_by for part in found)
    shown = found if layered else _most(found)
    titles = (
        (
            ("what arithmetic takes at least", _COLOURS[COMPUTE]),
            ("what memory takes at least", _COLOURS[MEMORY]),
            ("what comes on top", MUTED),
        )
        if layered
        else (("time in kernels of this name", _COLOURS[COMPUTE]),)
    )
    bars = [
        Bar(row, Key(part.name, part.name, "", ""), part.ms, _split(part) if layered else (part.ms,), _note(part))
        for part in shown
    ]
    spec = stacked(bars, "ms of one inference", titles, "layers" if layered else "kernel")
    return Drawing(spec, _caption(row, profile, layered=layered), parts=titles)


def _split(part: Part) -> tuple[float, float, float]:
    """Floors and the rest; signals that stay in the cache let a part undercut its floor."""
    floor = part.compute_ms + part.memory_ms
    scale = min(1.0, part.ms / floor) if floor else 0.0
    return scale * part.compute_ms, scale * part.memory_ms, max(0.0, part.ms - floor)


def _note(part: Part) -> str:
    calls = f", {part.calls:g} calls" if part.calls is not None else ""
    return f"{number(part.share, 2)} %{f', {part.bound_by}' if part.bound_by else ''}{calls}"


def _caption(row: Row, profile: Profile, *, layered: bool) -> str:
    what = "operators" if row.record.device == "cpu" else "kernels"
    words = f"{row.case.id}: {profile.kernel_count:g} {what}, {number(profile.kernels_ms)} ms together"
    if row.timed:
        words += f"; the median of the timed rounds is {number(row.median_ms)} ms"
    words += "."
    if profile.busy_percent is not None:
        words += (
            f" The GPU was busy for {number(profile.busy_percent, 2)} % of the time between the first and the last."
        )
    limit = row.measured.roofline if row.timed else None
    if limit is not None and limit.bound_by == LAUNCHES:
        words += " As a whole this case is bound by launches: the GPU waits for its host."
    elif limit is not None:
        words += f" As a whole this case is bound by {limit.bound_by}."
    words += (
        " A stage begins with its upsampling; compute or memory is what sets most of its floor."
        if layered
        else " This backend does not tell its layers apart."
    )
    return f"{words} A pass of its own by PyTorch's profiler, which slows the host down: no measurement of speed."


def _stages(layers: Iterable[ProfiledLayer]) -> dict[str, list[ProfiledLayer]]:
    """Layers by the stage that they run in, and their kind."""
    found: defaultdict[str, list[ProfiledLayer]] = defaultdict(list)
    stage = 0
    for layer in layers:
        stage += layer.kind == "transposed conv"
        inner = layer.name.startswith(("ups.", "resblocks."))
        where = f"stage {stage}" if inner else "output" if stage else "input"
        found[f"{where}, {_KINDS.get(layer.kind, layer.kind)}"].append(layer)
    return dict(found)


def _part(name: str, layers: Iterable[ProfiledLayer], total: float) -> Part:
    floors = {COMPUTE: 0.0, MEMORY: 0.0}
    ms = 0.0
    for layer in layers:
        ms += layer.ms or 0.0
        floors[layer.bound_by] = floors.get(layer.bound_by, 0.0) + layer.floor_ms
    bound_by = max(floors, key=lambda resource: floors[resource])
    return Part(name, ms, 100 * ms / total if total else 0.0, floors[COMPUTE], floors[MEMORY], bound_by)


def _kernels(kernels: Iterable[ProfiledKernel], total: float) -> list[Part]:
    """Kernels by the name that they have without types and tiles, the longest first."""
    found: defaultdict[str, list[ProfiledKernel]] = defaultdict(list)
    for kernel in kernels:
        found[short(kernel.name)].append(kernel)
    made = [
        Part(
            name,
            ms := sum(one.ms for one in mine),
            100 * ms / total if total else 0.0,
            calls=sum(one.calls for one in mine),
        )
        for name, mine in found.items()
    ]
    return sorted(made, key=lambda part: -part.ms)


def _most(found: list[Part]) -> list[Part]:
    """The longest, and the others in one."""
    if len(found) <= _SHOWN:
        return found
    first, rest = found[: _SHOWN - 1], found[_SHOWN - 1 :]
    sums = [sum(getattr(part, name) or 0.0 for part in rest) for name in ("ms", "share", "calls")]
    return [*first, Part(f"{len(rest)} others", sums[0], sums[1], calls=sums[2])]


def short(name: str) -> str:
    """A kernel's name without its return type, namespaces, types and arguments, at most 42 characters.

    >>> short("void at::native::vectorized_elementwise_kernel<4, at::native::Add>(int, float*)")
    'vectorized_elementwise_kernel'
    >>> short("sm90_xmma_fprop_implicit_gemm_f16f16_f16f32_f32_nhwckrsc_nhwc_tilesize128x128x64")
    'sm90_xmma_fprop_implici\u2026tilesize128x128x64'
    """
    bare = re.sub(r"\(anonymous namespace\)::", "", name).removeprefix("void ")
    plain = re.split(r"[<(]", bare)[0].rpartition("::")[2] if not bare.startswith("aten::") else bare
    plain = plain.strip() or name
    return plain if len(plain) <= _NAME else f"{plain[:23]}\N{HORIZONTAL ELLIPSIS}{plain[-18:]}"
