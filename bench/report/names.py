"""What pages call a configuration, and the one colour and marker that each has in every figure.

A name is for reading: ``TensorRT fp16, level 1, CUDA graph``. The full id stands in tooltips, in the section on the
method, and wherever it is copied from.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from bench.case import Case, configuration


@dataclass(frozen=True)
class Style:
    """How a configuration is drawn.

    Attributes:
        family: What its backend is called.
        colour: Of its backend, a CSS colour that follows the page's light or dark mode.
        shape: Of its precision, a point shape of Vega.
    """

    family: str
    colour: str
    shape: str


_INK, _MUTED = "var(--ink, #1a1c1f)", "var(--muted, #5b626b)"
# Okabe and Ito's palette (Color Universal Design, 2008).
_SERIES = tuple(
    f"var(--series-{index}, {colour})"
    for index, colour in enumerate(("#0072b2", "#d55e00", "#009e73", "#b3568c", "#b87800", "#2b8fc4"))
)
_FAMILIES = {
    "eager": ("PyTorch eager", _INK),
    "torchscript": ("TorchScript", _SERIES[5]),
    "cuda-graph": ("PyTorch CUDA graph", _SERIES[3]),
    "compile": ("torch.compile", _SERIES[4]),
    "onnxruntime": ("ONNX Runtime", _SERIES[2]),
    "tensorrt": ("Torch-TensorRT", _SERIES[0]),
    "tensorrt-onnx": ("TensorRT", _SERIES[0]),
    "tensorrt-rtx": ("TensorRT-RTX", _SERIES[0]),
    "fused": ("fused", _SERIES[1]),
}
_OURS = {"fused": "our kernels"}
_SHAPES = {
    "fp32": "circle",
    "tf32": "square",
    "fp16": "diamond",
    "bf16": "triangle-up",
    "autocast": "cross",
    "int8": "triangle-down",
    "fp8": "triangle-right",
}
# Options in the order in which a reader asks for them; those in _HIDDEN are said only to tell two names apart.
_ORDER = ("level", "cuda_graph", "graphs", "shapes", "dynamic", "streams", "path", "float32", "activation")
_HIDDEN = frozenset({"tactics", "workspace_mib"})
_WORDS: Mapping[str, Callable[[str], str]] = {
    "level": lambda value: f"level {value}",
    "cuda_graph": lambda value: "CUDA graph" if value == "on" else "no CUDA graph",
    "graphs": lambda value: "CUDA graph" if value == "on" else "no CUDA graph",
    "shapes": lambda value: {"dynamic": "any length", "static": "one length"}.get(value, f"lengths {_range(value)}"),
    "dynamic": lambda value: "any length" if value == "on" else "one length",
    "streams": lambda value: "1 stream" if value == "1" else f"{value} streams",
    "path": lambda value: f"{value} path",
    "float32": lambda value: "no float32 layers" if value == "off" else f"float32 {value}",
}


def style(case: Case) -> Style:
    """Colour and marker of a case, the same in every run, page and figure."""
    family, colour = _FAMILIES.get(case.backend, (case.backend, _MUTED))
    return Style(family, colour, _SHAPES.get(case.precision, "stroke"))


def short_name(case: Case) -> str:
    """A case's configuration in a few words.

    >>> options = (("cuda_graph", "on"), ("level", "1"), ("tactics", "jit_convolutions"))
    >>> short_name(Case("v3", "tensorrt-onnx", "fp16", 1, 468, options))
    'TensorRT fp16, level 1, CUDA graph'
    >>> short_name(Case("v3", "fused", "fp16", 1, 468))
    'fused fp16 (our kernels)'
    """
    return _name(case, frozenset(_HIDDEN))


def short_names(cases: Iterable[Case]) -> dict[str, str]:
    """Short names by configuration; names that would meet get the options that :func:`short_name` leaves out.

    >>> one, two = (Case("v3", "tensorrt-onnx", "fp16", 1, 468, (("tactics", value),)) for value in ("a", "b"))
    >>> list(short_names([one, two]).values())
    ['TensorRT fp16, tactics a', 'TensorRT fp16, tactics b']
    """
    distinct = {configuration(case): case for case in cases}
    names = {key: short_name(case) for key, case in distinct.items()}
    for again in (lambda case: _name(case, frozenset()), configuration):
        times = Counter(names.values())
        names = {key: again(distinct[key]) if times[name] > 1 else name for key, name in names.items()}
    return names


def _name(case: Case, hidden: frozenset[str]) -> str:
    family, _ = _FAMILIES.get(case.backend, (case.backend, ""))
    ours = f" ({_OURS[case.backend]})" if case.backend in _OURS else ""
    options = sorted(
        (pair for pair in case.options if pair[0] not in hidden),
        key=lambda pair: (_ORDER.index(pair[0]) if pair[0] in _ORDER else len(_ORDER), pair[0]),
    )
    words = [_WORDS.get(key, lambda value, key=key: f"{key} {value}")(value) for key, value in options]
    return ", ".join([f"{family} {case.precision}{ours}", *words])


def _range(shapes: str) -> str:
    """The lengths of a profile such as ``1x100_1x468_4x2000``, or the text where it is none."""
    lengths = [part.rpartition("x")[2] for part in shapes.replace("+", "_").split("_")]
    if not all(length.isdigit() for length in lengths):
        return shapes
    return f"{min(lengths, key=int)} to {max(lengths, key=int)}"
