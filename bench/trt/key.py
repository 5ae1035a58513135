"""The key that an engine is kept under: everything that it depends on, by name."""

import hashlib
from functools import cache
from pathlib import Path

import torch

from bench.audio.mel import audio_identity, default_speech
from bench.backend import Request
from bench.lowering.quantization import PACKAGE
from bench.measure.environment import distribution_version
from bench.measure.nvml import ask
from bench.precision import Precision
from bench.trt.float32 import kept_layers
from bench.trt.library import Library
from bench.trt.options import Options

PROJECT = Path(__file__).resolve().parents[1]
# Folders whose text decides an engine beside weights, precision and options; an engine of another text is not this one.
SOURCES = ("lowering", "trt", "vocoders")
# The same for the scales of a quantised graph, which are taken from a log-mel.
SCALE_SOURCES = ("audio",)


def engine_key(library: Library, request: Request, options: Options) -> dict[str, str]:
    """Everything that an engine depends on, by name.

    Args:
        library: Which TensorRT.
        request: What is prepared.
        options: Of the request's case.
    """
    return {
        "version": request.case.version,
        "backend": request.case.backend,
        "precision": request.precision.name,
        **options.key(),
        "layers in float32": kept_layers(library, request, options),
        "weights": request.weights_sha256,
        "sources": sources_digest(SOURCES),
        "torch": torch.__version__,
        **_scales(request.precision),
        **timing_identity(library, request.device),
    }


def _scales(precision: Precision) -> dict[str, str]:
    """What the scales of a quantised graph come from."""
    if not precision.quantised:
        return {}
    return {
        "modelopt": distribution_version(PACKAGE) or "none",
        "scales of": audio_identity(default_speech()),
        "scales' sources": sources_digest(SCALE_SOURCES),
    }


def timing_identity(library: Library, device: torch.device) -> dict[str, str]:
    """What kernels' times depend on."""
    cuda = device.type == "cuda"
    return {
        "library": library.name,
        "library version": library.version,
        "gpu": torch.cuda.get_device_name(device) if cuda else "none",
        "compute capability": ".".join(map(str, torch.cuda.get_device_capability(device))) if cuda else "none",
        "driver": ask("nvmlSystemGetDriverVersion") or "none",
    }


@cache
def sources_digest(folders: tuple[str, ...], project: Path = PROJECT) -> str:
    """SHA-256 over the names and the text of all modules in some folders, and in folders within.

    Args:
        folders: Names of folders of ``project``.
        project: Where the package is.
    """
    digest = hashlib.sha256()
    for folder in folders:
        for file in sorted((project / folder).rglob("*.py")):
            text = file.read_bytes()
            digest.update(f"{file.relative_to(project).as_posix()} {len(text)}\n".encode() + text)
    return digest.hexdigest()
