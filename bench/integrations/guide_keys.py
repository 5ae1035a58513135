"""The guide's keys in ``tts_infer.yaml``: where they have to stand, what they ask for, and which do nothing.

GPT-SoVITS writes its own seven keys over the section ``custom`` whenever it loads weights, so at every start
(``TTS_Config.save_configs``); a top-level section of another name stays.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import InputError, not_installed
from bench.files import MIB, read_text, user_path
from bench.precision import PRECISIONS
from bench.trt.library import import_library

SECTION = "vocoder_bench"
KEYS = ("use_tensorrt", "tensorrt_precision", "tensorrt_workspace_size", "tensorrt_max_batch_size")
TENSORRT = "tensorrt-onnx"


@dataclass(frozen=True)
class GuideKeys:
    """What the section asks for.

    Attributes:
        use_tensorrt: Whether TensorRT is to run; False leaves the backend to whoever calls.
        precision: Its precision; None where the section does not say.
        workspace_mib: Most memory that a kernel may use beside its tensors; None for TensorRT's own.
        notes: A sentence for every key that has no effect.
    """

    use_tensorrt: bool = False
    precision: str | None = None
    workspace_mib: int | None = None
    notes: tuple[str, ...] = ()


def read_guide_keys(config: str | os.PathLike[str]) -> GuideKeys:
    """Reads the section ``vocoder_bench`` of a ``tts_infer.yaml``.

    Raises:
        InputError: no such file, no YAML, no such section, keys under ``custom``, an unknown key or a value that its
            key does not have.
    """
    path = user_path(config, "config")
    data = _load(path)
    custom = data.get("custom")
    lost = [key for key in KEYS if isinstance(custom, Mapping) and key in custom]
    if lost:
        raise InputError(
            f"config {path}: GPT-SoVITS erases {', '.join(lost)} under custom at its next start; "
            f"put them under a top-level section {SECTION}"
        )
    section = data.get(SECTION)
    if not isinstance(section, Mapping):
        raise InputError(f"config {path} has no top-level section {SECTION}; it holds {', '.join(KEYS)}")
    unknown = [str(key) for key in section if key not in KEYS]
    if unknown:
        raise InputError(f"config {path}: {SECTION} has no key {unknown[0]!r}; it takes {', '.join(KEYS)}")
    use = section.get("use_tensorrt", False)
    if not isinstance(use, bool):
        raise InputError(f"config {path}: use_tensorrt is true or false, not {use!r}")
    precision, workspace = _precision(path, section), _workspace_mib(path, section)
    notes = _notes(section, use=use)
    return GuideKeys(use, precision if use else None, workspace if use else None, notes)


def _load(path: Path) -> Mapping[str, Any]:
    text = read_text(path, "config")
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise InputError(not_installed(error) or str(error)) from error
    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f"config {path} cannot be read: {error}") from error
    if not isinstance(data, Mapping):
        raise InputError(f"config {path} holds no sections; give GPT-SoVITS's tts_infer.yaml")
    return data


def _precision(path: Path, section: Mapping[str, Any]) -> str | None:
    name = section.get("tensorrt_precision")
    if name is None:
        return None
    known = [precision for precision in PRECISIONS if precision != "autocast"]
    if name not in known:
        raise InputError(f"config {path}: tensorrt_precision is one of {', '.join(known)}, not {name!r}")
    return str(name)


def _workspace_mib(path: Path, section: Mapping[str, Any]) -> int | None:
    size = section.get("tensorrt_workspace_size")
    if size is None:
        return None
    if type(size) is not int or size < MIB:
        raise InputError(f"config {path}: tensorrt_workspace_size is a number of bytes from {MIB}, not {size!r}")
    return size // MIB


def _notes(section: Mapping[str, Any], *, use: bool) -> tuple[str, ...]:
    """A sentence for every key that does nothing here."""
    if not use:
        idle = [key for key in KEYS[1:] if key in section]
        return tuple(f"{key} has no effect: use_tensorrt is not true." for key in idle)
    if "tensorrt_max_batch_size" not in section:
        return ()
    library, _ = import_library()
    name = f"{library.name} {library.version}" if library is not None else "TensorRT since 8.6"
    reason = f"{name} takes the batch from an engine's shapes, and GPT-SoVITS vocodes with a batch of 1"
    return (f"tensorrt_max_batch_size has no effect: {reason}.",)
