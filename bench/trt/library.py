"""The two libraries that share one interface, imported only where they are asked for."""

import importlib
from dataclasses import dataclass
from typing import Any

DISTRIBUTIONS = {"tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT-RTX"}


@dataclass(frozen=True)
class Library:
    """An imported library.

    Attributes:
        trt: The module; ``tensorrt`` or ``tensorrt_rtx``.
        name: What people call it.
    """

    trt: Any
    name: str

    @property
    def version(self) -> str:
        """Such as ``"10.15.1.29"``."""
        return str(self.trt.__version__)

    @property
    def rtx(self) -> bool:
        """Whether this is TensorRT-RTX, which numbers its versions by itself."""
        return bool(self.trt.__name__ == "tensorrt_rtx")

    @property
    def strongly_typed(self) -> bool:
        """Whether data types come from the graph; 8.6 only has flags that permit lower ones."""
        return hasattr(self.trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED")

    @property
    def has_bfloat16(self) -> bool:
        """Whether every layer can be bfloat16."""
        return hasattr(self.trt.DataType, "BF16")

    def logger(self) -> Any:
        """A logger for errors; it must outlive what is made with it."""
        return self.trt.Logger(self.trt.Logger.ERROR)


def import_library(module: str = "tensorrt") -> tuple[Library | None, str]:
    """The library, or None and the reason in one sentence.

    Args:
        module: ``"tensorrt"`` or ``"tensorrt_rtx"``.
    """
    try:
        trt = importlib.import_module(module)
    except ModuleNotFoundError:
        return None, f"{module} is not installed."
    except Exception as error:  # noqa: BLE001 - a broken installation raises whatever its loader raises
        lines = str(error).splitlines() or [type(error).__name__]
        return None, f"{module} cannot be imported: {lines[0]}"
    if not hasattr(trt, "Builder"):
        return None, f"{module} is installed without its libraries."
    return Library(trt, DISTRIBUTIONS[module]), ""
