"""A case: one point of a sweep, and the name it goes by everywhere."""

import re
from dataclasses import dataclass, replace

from bench.errors import InputError

VERSIONS = ("v3", "v4")


@dataclass(frozen=True, order=True)
class Case:
    """One way of running one vocoder on one input shape.

    Attributes:
        version: Vocoder, ``"v3"`` or ``"v4"``.
        backend: Name of a registered backend.
        precision: Name from :mod:`bench.precision`.
        batch: Mels in one inference.
        frames: Mel frames of each.
        options: Backend options as sorted ``(name, value)`` pairs; empty for the backend's defaults.

    >>> Case("v3", "tensorrt", "fp16", batch=4, frames=468).id
    'v3-tensorrt-fp16-b4-t468'
    """

    version: str
    backend: str
    precision: str
    batch: int
    frames: int
    options: tuple[tuple[str, str], ...] = ()

    @property
    def id(self) -> str:
        """The pytest id, the key in files and the row label."""
        name = f"{self.version}-{self.backend}-{self.precision}-b{self.batch}-t{self.frames}"
        return "-".join([name, *(f"{key}={value}" for key, value in self.options)])

    def without(self, option: str) -> "Case":
        """The case without one of its options."""
        return replace(self, options=tuple(pair for pair in self.options if pair[0] != option))

    def baseline(self, precision: str) -> "Case":
        """The eager case of the same shape that this one is compared with."""
        return replace(self, backend="eager", precision=precision, options=())


def configuration(case: Case) -> str:
    """A case without its shape: backend, precision and options, such as ``tensorrt fp16``.

    >>> configuration(Case("v3", "tensorrt", "fp16", 4, 468, (("level", "5"),)))
    'tensorrt fp16 level=5'
    """
    return " ".join([case.backend, case.precision, *(f"{key}={value}" for key, value in case.options)])


_ID = re.compile(r"(v\d+)-(.+?)-([a-z0-9]+)-b(\d+)-t(\d+)(?:-(.+))?")


def parse_case(text: str) -> Case:
    """The case of an id.

    Raises:
        InputError: it is none.

    >>> parse_case("v3-tensorrt-onnx-fp16-b1-t468-activation=ends-64-level=1").options
    (('activation', 'ends-64'), ('level', '1'))
    """
    found = _ID.fullmatch(text)
    pairs = [pair.partition("=") for pair in re.split(r"-(?=\w+=)", found[6] or "") if pair] if found else []
    if found is None or not all(name and value for name, _, value in pairs):
        raise InputError(f"{text!r} is no case; an id reads like {Case('v3', 'eager', 'fp16', 1, 468).id}")
    options = tuple((name, value) for name, _, value in pairs)
    return Case(found[1], found[2], found[3], int(found[4]), int(found[5]), options)
