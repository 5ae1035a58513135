"""Which kernels ("tactics") a builder may choose, by what their names say of them."""

import re
from collections.abc import Mapping
from typing import Any

# f16f16_f16f32 is float16 inputs and float32 sums.
SUMS = re.compile(r"_f16f16_f16f(16|32)_")
# What a builder says at its most talkative of every kernel that it times.
_TIMED = re.compile(r"Tactic Name: (\S+) Tactic: 0x([0-9a-f]+)")
_NUMBER = (1 << 64) - 1


def listening_logger(trt: Any) -> tuple[Any, dict[int, str]]:
    """A logger that notes the names of the kernels that a builder times, and the table, by number, that it fills."""
    names: dict[int, str] = {}
    errors = trt.Logger(trt.Logger.ERROR)

    class Listener(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            errors.log(severity, message)
            if found := _TIMED.search(message):
                names[int(found[2], 16)] = found[1]

    return Listener(), names


def adds_in_float16(name: str) -> bool:
    """Whether a kernel of this name sums its products in float16."""
    found = SUMS.search(name)
    return found is not None and found[1] == "16"


def float32_sums(trt: Any, names: Mapping[int, str]) -> Any:
    """An algorithm selector that leaves out kernels that add in float16, for layers that have others.

    Args:
        trt: The library's module.
        names: Kernels' names by their numbers; one without a name stays.
    """

    class Selector(trt.IAlgorithmSelector):
        def __init__(self) -> None:
            trt.IAlgorithmSelector.__init__(self)

        def select_algorithms(self, _: Any, choices: list[Any]) -> list[int]:
            numbers = [choice.algorithm_variant.tactic & _NUMBER for choice in choices]
            kept = [index for index, number in enumerate(numbers) if not adds_in_float16(names.get(number, ""))]
            return kept or list(range(len(choices)))

        def report_algorithms(self, contexts: list[Any], choices: list[Any]) -> None:
            """Nothing to tell."""

    return Selector()
