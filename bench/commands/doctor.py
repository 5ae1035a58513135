"""``vocoder-bench doctor``: what is here, what is missing, what does not fit together, what to install."""

import argparse
import platform
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.commands import Commands, add_json, write_json

if TYPE_CHECKING:
    import torch

    from bench.backend import Backend

FIT, NOT_FIT = 0, 1


@dataclass(frozen=True)
class Release:
    """One torch-tensorrt release and what its wheel metadata asks for."""

    torch: str
    torch_tensorrt: str
    tensorrt_from: tuple[int, int]
    tensorrt_below: tuple[int, int]


# From the wheels' metadata; a torch-tensorrt wheel pins torch to its own minor version.
RELEASES = (
    Release("2.11", "2.11.0", (10, 15), (10, 16)),
    Release("2.12", "2.12.1", (10, 16), (10, 17)),
    Release("2.13", "2.13.0", (11, 0), (11, 1)),
    Release("2.14", "2.14.0", (11, 1), (11, 2)),
)
OLDEST_NATIVE = (8, 6)
# Optional distributions and the extra that brings them.
EXTRAS = {
    "onnx": "onnx",
    "onnxscript": "onnx",
    "onnxruntime": "onnx",
    "pesq": "perceptual",
    "pystoi": "perceptual",
    "visqol-python": "perceptual",
    "nvidia-modelopt": "quantise",
}
INSTALL_GPU = "pip install -r requirements/gpu.txt"


@dataclass(frozen=True)
class Facts:
    """What the machine and the Python environment are.

    Attributes:
        torch: Version of PyTorch, such as ``"2.14.1+cu130"``.
        torch_cuda: CUDA that PyTorch was built for; None for a CPU build.
        gpus: Name and compute capability of every GPU that PyTorch sees.
        driver: NVIDIA driver's version by NVML; None without one.
        driver_cuda: Newest CUDA that the driver runs, such as ``"13.0"``.
        torch_tensorrt: Installed version or None.
        torch_tensorrt_rtx: Installed version of the twin for RTX cards or None.
        tensorrt: Version of the TensorRT library as imported, or None.
        tensorrt_rtx: Version of TensorRT-RTX as imported, or None.
        optional: Versions of optional distributions, None where absent.
        backends: Reason why a backend cannot run here, None where it can.
    """

    torch: str
    torch_cuda: str | None
    gpus: tuple[tuple[str, str], ...]
    driver: str | None
    driver_cuda: str | None
    torch_tensorrt: str | None
    torch_tensorrt_rtx: str | None
    tensorrt: str | None
    tensorrt_rtx: str | None
    optional: dict[str, str | None]
    backends: dict[str, str | None]


@dataclass(frozen=True)
class Finding:
    """One line of a diagnosis.

    Attributes:
        level: ``"ok"``, ``"note"`` (something optional is absent) or ``"bad"`` (not fit for GPU runs).
        text: What was found.
        remedy: What to do; empty for ``"ok"``.
    """

    level: str
    text: str
    remedy: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """All findings."""

    findings: tuple[Finding, ...]

    @property
    def exit_code(self) -> int:
        """0 when fit for GPU runs, else 1."""
        return NOT_FIT if any(finding.level == "bad" for finding in self.findings) else FIT

    def text(self) -> str:
        """The diagnosis for people, remedies last."""
        marks = {"ok": "ok  ", "note": "note", "bad": "BAD "}
        lines = [f"{marks[f.level]}  {f.text}" for f in self.findings]
        remedies = list(dict.fromkeys(f.remedy for f in self.findings if f.remedy))
        if remedies:
            lines += ["", "To do:", *(f"  - {remedy}" for remedy in remedies)]
        fit = self.exit_code == FIT
        lines += ["", "Fit for GPU runs." if fit else "Not fit for GPU runs; CPU runs work: tox -e cpu"]
        return "\n".join(lines)


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser("doctor", help="say what this machine can run and what to install")
    add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints the diagnosis."""
    diagnosis = diagnose()
    if arguments.json:
        write_json({"findings": diagnosis.findings, "fit_for_gpu": diagnosis.exit_code == FIT})
    else:
        sys.stdout.write(diagnosis.text() + "\n")
    return diagnosis.exit_code


def diagnose() -> Diagnosis:
    """Examines this machine."""
    return Diagnosis(tuple(judge(gather())))


def gather() -> Facts:
    """Reads the facts off this machine."""
    import torch

    from bench.backends import backends
    from bench.measure.environment import distribution_version, tensorrt_version
    from bench.measure.nvml import ask
    from bench.run.device import find_device
    from bench.trt.library import import_library

    device = find_device(None)
    rtx, _ = import_library("tensorrt_rtx")
    number = ask("nvmlSystemGetCudaDriverVersion_v2")
    cuda_version = None if number is None else f"{number // 1000}.{number % 1000 // 10}"
    gpus = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    return Facts(
        torch=torch.__version__,
        torch_cuda=torch.version.cuda,
        gpus=tuple((gpu.name, f"{gpu.major}.{gpu.minor}") for gpu in gpus) if torch.cuda.is_available() else (),
        driver=ask("nvmlSystemGetDriverVersion"),
        driver_cuda=cuda_version,
        torch_tensorrt=distribution_version("torch-tensorrt"),
        torch_tensorrt_rtx=distribution_version("torch-tensorrt-rtx"),
        tensorrt=tensorrt_version(),
        tensorrt_rtx=rtx.version if rtx else None,
        optional={name: distribution_version(name) for name in EXTRAS},
        backends={name: _unavailable(backend, device) for name, backend in backends().items()},
    )


def _unavailable(backend: "Backend", device: "torch.device") -> str | None:
    """Why a backend cannot run here, a fault of its own among the reasons."""
    from bench.errors import first_line

    try:
        return backend.unavailable_reason(device)
    except Exception as error:  # noqa: BLE001 - one faulty backend is one line
        return first_line(error)


def judge(facts: Facts) -> list[Finding]:
    """The findings that follow from ``facts``."""
    findings = [Finding("ok", f"Python {platform.python_version()}, torch {facts.torch}")]
    findings += _gpu(facts)
    findings += _tensorrt(facts)
    if facts.tensorrt_rtx is not None:
        findings.append(Finding("ok", f"TensorRT-RTX {facts.tensorrt_rtx}"))
    elif any("RTX" in name for name, _ in facts.gpus):
        text = "TensorRT-RTX, which is for cards like this one, is not installed"
        findings.append(Finding("note", text, 'pip install -e ".[rtx]"'))
    for name, found in facts.optional.items():
        if found is None:
            findings.append(Finding("note", f"{name} is not installed", f'pip install -e ".[{EXTRAS[name]}]"'))
        else:
            findings.append(Finding("ok", f"{name} {found}"))
    for name, reason in facts.backends.items():
        if reason is None:
            findings.append(Finding("ok", f"backend {name} can run"))
        else:
            findings.append(Finding("note", f"backend {name} cannot run: {reason}"))
    return findings


def _gpu(facts: Facts) -> list[Finding]:
    findings = []
    if facts.driver is None:
        findings.append(
            Finding("bad", "no NVIDIA driver answers", "install an NVIDIA driver, or use a machine with a GPU")
        )
    else:
        findings.append(Finding("ok", f"NVIDIA driver {facts.driver}, CUDA up to {facts.driver_cuda}"))
    if facts.torch_cuda is None:
        findings.append(Finding("bad", "this torch is a CPU build", INSTALL_GPU))
    elif facts.driver_cuda is not None and _numbers(facts.torch_cuda)[0] > _numbers(facts.driver_cuda)[0]:
        findings.append(
            Finding(
                "bad",
                f"torch is built for CUDA {facts.torch_cuda}, the driver runs up to {facts.driver_cuda}",
                f"update the NVIDIA driver to one that runs CUDA {_numbers(facts.torch_cuda)[0]}",
            )
        )
    for index, (name, capability) in enumerate(facts.gpus):
        findings.append(Finding("ok", f"cuda:{index} {name}, compute capability {capability}"))
    if facts.torch_cuda is not None and facts.driver is not None and not facts.gpus:
        findings.append(
            Finding("bad", "PyTorch sees no GPU", "check CUDA_VISIBLE_DEVICES and the container's GPU access")
        )
    return findings


def _tensorrt(facts: Facts) -> list[Finding]:
    minor = ".".join(facts.torch.split("+")[0].split(".")[:2])
    release = next((r for r in RELEASES if r.torch == minor), None)
    if release is None:
        return [Finding("bad", f"torch {minor} is outside 2.11 to 2.14", INSTALL_GPU)]
    findings = []
    installed = facts.torch_tensorrt or facts.torch_tensorrt_rtx
    if facts.torch_tensorrt is not None and facts.torch_tensorrt_rtx is not None:
        findings.append(
            Finding(
                "bad",
                "torch-tensorrt and torch-tensorrt-rtx are both installed and overwrite each other",
                "pip uninstall torch-tensorrt-rtx, or use two environments",
            )
        )
    if installed is None:
        remedy = f"pip install torch-tensorrt=={release.torch_tensorrt}"
        findings.append(Finding("note", f"torch-tensorrt is not installed (torch {minor} takes it)", remedy))
    elif not installed.startswith(f"{minor}."):
        findings.append(
            Finding(
                "bad",
                f"torch-tensorrt {installed} does not fit torch {minor}",
                f"pip install torch-tensorrt=={release.torch_tensorrt}",
            )
        )
    else:
        findings.append(Finding("ok", f"torch-tensorrt {installed}"))
    low, high = (".".join(map(str, bound)) for bound in (release.tensorrt_from, release.tensorrt_below))
    wanted = f"pip install 'tensorrt-cu13>={low},<{high}'"
    if facts.tensorrt is None:
        findings.append(Finding("note", "the TensorRT library cannot be imported", wanted))
        return findings
    numbers = _numbers(facts.tensorrt)
    fits = release.tensorrt_from <= numbers < release.tensorrt_below
    if facts.torch_tensorrt is not None and not fits:
        text = f"TensorRT {facts.tensorrt} does not fit torch-tensorrt {facts.torch_tensorrt} (>={low}, <{high})"
        findings.append(Finding("bad", text, wanted))
    elif numbers < OLDEST_NATIVE:
        findings.append(Finding("bad", f"TensorRT {facts.tensorrt} is older than 8.6", wanted))
    else:
        findings.append(Finding("ok", f"TensorRT {facts.tensorrt}"))
    return findings


def _numbers(version: str) -> tuple[int, int]:
    parts = [*version.split("."), "0"]
    return int(parts[0]), int("".join(c for c in parts[1] if c.isdigit()) or 0)
