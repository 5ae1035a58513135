"""The options of the native backends, as ``--backends name:option=value`` gives them."""

from dataclasses import dataclass, fields, replace

from bench.case import Case
from bench.errors import InputError
from bench.lowering.activation import DEFAULT_FORM, SHORT_FORM, fewest_frames, known_form
from bench.lowering.mixed_precision import layer_pattern
from bench.trt.shapes import Shape, Shapes, parse_shapes

_MOST_MIB = 1 << 20
# Options that no engine depends on: they say how it is run, and how long its build takes.
RUN_TIME = ("cuda_graph", "timing_cache")


@dataclass(frozen=True)
class Options:
    """What to build and how to run it; :meth:`key` is what the engine cache tells engines apart by.

    Attributes:
        shapes: Which shapes the engine takes.
        level: Builder optimisation level, 0 to 5; None for the library's own.
        workspace_mib: Most memory that a kernel may use beside its tensors; None for the library's own.
        memory_mib: Device memory that the engine may take, weights and context; None for all there is.
        tactics: Names of ``TacticSource``; empty for the library's own.
        streams: Auxiliary streams; None for the library's own.
        cuda_graph: Whether inferences replay a CUDA graph.
        timing_cache: Whether builds start from the kernels' times that earlier builds found; None where the library
            keeps them safely, see :func:`bench.trt.build.keeps_timing`.
        activation: Form of the alias-free activation, one of :data:`bench.lowering.activation.FORMS`.
        float32: Regular expressions of module names that stay in float32 in a lower precision, joined by ``|``; empty
            for none, None where the library decides, see :func:`bench.trt.float32.kept_layers`.
    """

    shapes: Shapes
    level: int | None = None
    workspace_mib: int | None = None
    memory_mib: int | None = None
    tactics: tuple[str, ...] = ()
    streams: int | None = None
    cuda_graph: bool = False
    timing_cache: bool | None = None
    float32: str | None = None
    activation: str = DEFAULT_FORM

    def key(self) -> dict[str, str]:
        """What an engine depends on, by name: every option but ``RUN_TIME``.

        The option ``float32`` switched off is the same as none: :mod:`bench.trt.key` adds the layers that are kept.
        """
        wanted = replace(self, float32=self.float32 or None)
        return {
            option.name: str(getattr(wanted, option.name)) for option in fields(self) if option.name not in RUN_TIME
        }


NAMES = tuple(option.name for option in fields(Options))


def options_of(case: Case) -> Options:
    """The options of a case.

    Raises:
        InputError: a value that its option does not have.
    """
    return parse_options(dict(case.options), (case.batch, case.frames))


def parse_options(given: dict[str, str], case: Shape) -> Options:
    """Reads the options of a case of shape ``(batch, frames)``.

    Raises:
        InputError: a value that its option does not have.
    """

    def whole(name: str, most: int) -> int | None:
        return whole_option(name, given[name], most) if name in given else None

    shapes = parse_shapes(given.get("shapes", "static"), case)
    return Options(
        shapes=shapes,
        level=whole("level", 5),
        workspace_mib=whole("workspace_mib", _MOST_MIB),
        memory_mib=whole("memory_mib", _MOST_MIB),
        tactics=tuple(given["tactics"].upper().split("+")) if "tactics" in given else (),
        streams=whole("streams", 16),
        cuda_graph=switch_option("cuda_graph", given.get("cuda_graph", "off")),
        timing_cache=switch_option("timing_cache", given["timing_cache"]) if "timing_cache" in given else None,
        float32=_layers(given.get("float32")),
        activation=_form(given.get("activation"), shapes),
    )


def _form(given: str | None, shapes: Shapes) -> str:
    shortest = min(profile.smallest[1] for profile in shapes.profiles)
    if given is None:
        return DEFAULT_FORM if shortest >= fewest_frames(DEFAULT_FORM) else SHORT_FORM
    fewest = fewest_frames(known_form(given))
    if shortest < fewest:
        raise InputError(f"option activation: {given} takes {fewest} frames or more, not {shortest}")
    return given


def _layers(given: str | None) -> str | None:
    return given if given is None else "" if given == "off" else layer_pattern(given).pattern


def whole_option(name: str, text: str, most: int) -> int:
    """The value of an option that is a whole number from 0 to ``most``.

    Raises:
        InputError: it is not.
    """
    if not text.isdecimal() or int(text) > most:
        raise InputError(f"option {name} is a whole number from 0 to {most}, not {text!r}")
    return int(text)


def switch_option(name: str, text: str) -> bool:
    """The value of an option that is on or off.

    Raises:
        InputError: it is neither.
    """
    if text not in ("on", "off"):
        raise InputError(f"option {name} is on or off, not {text!r}")
    return text == "on"
