"""What CONTRIBUTING.md promises to someone who adds a file."""

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

import bench.backend
import bench.backends
import bench.records.kinds
import bench.report.sections
from bench.backend import Request
from bench.case import Case
from bench.errors import UnsupportedError
from bench.precision import PRECISIONS, flags
from bench.records import read_records, records_frame
from bench.records.jsonl import dump_record
from bench.records.kind import KINDS
from bench.records.schema import Record, Status
from bench.report.render import write_report
from bench.report.section import SECTIONS
from tests.conftest import small_v3
from tests.docs import ROOT, blocks

PAGE = ROOT / "CONTRIBUTING.md"
CPU = torch.device("cpu")


def example(path: str) -> str:
    """The page's example of this file."""
    found = [block for block in blocks(PAGE, "python") if block.startswith(f"# {path}\n")]
    assert len(found) == 1, path
    return found[0]


def test_the_folder_map_is_true() -> None:
    """The map names every folder of ``bench`` and of the root, and nothing that is not there."""
    text = PAGE.read_text(encoding="utf-8")
    named = {row.rstrip("/") for row in re.findall(r"^\| `([\w/]+)` \|", text, re.MULTILINE) if "/" in row}
    folders = [folder for folder in (ROOT / "bench").iterdir() if not folder.name.startswith("__")]
    packages = {f"bench/{folder.name}" for folder in folders if any(folder.glob("*.[pf]*"))}
    roots = {"suites", "reports", "tests", "benchmarks", "studies", "tools"}
    assert packages | roots <= named
    assert [row for row in named if not (ROOT / row).is_dir() and not (ROOT / f"{row}.py").is_file()] == []


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The page's backend, as a file of the backends' folder, while a test runs."""
    bench.backends.backends()  # the others, into the registry that is put back
    monkeypatch.setattr(bench.backend, "REGISTRY", dict(bench.backend.REGISTRY))
    monkeypatch.setattr(bench.backends, "REGISTRY", bench.backend.REGISTRY)
    monkeypatch.setattr(bench.backends, "__path__", [*bench.backends.__path__, str(tmp_path)])
    (tmp_path / "fx_graph.py").write_text(example("bench/backends/fx_graph.py"), encoding="utf-8")
    importlib.invalidate_caches()
    yield
    sys.modules.pop("bench.backends.fx_graph", None)


def request(precision: str) -> Request:
    """A request of a small v3 on the processor."""
    mel = torch.randn(1, 100, 4, generator=torch.Generator().manual_seed(0))
    return Request(small_v3(), Case("v3", "fx-graph", precision, 1, 4), PRECISIONS[precision], mel, CPU)


@pytest.mark.usefixtures("planted")
def test_the_backend_of_the_page_runs() -> None:
    """Put into the folder, the file is found, gives eager's output, proves its precision and refuses autocast."""
    backend = bench.backends.find_backend("fx-graph")
    asked = request("fp32")
    with flags(asked.precision):
        runner = backend.prepare(asked)
        with torch.inference_mode():
            audio, reference = runner.run(asked.mel), asked.vocoder(asked.mel)
            effective = runner.effective(asked.mel)
    assert torch.allclose(audio, reference, atol=1e-5)
    assert effective.compute == "float32"
    with pytest.raises(UnsupportedError, match="autocast"):
        backend.prepare(request("autocast"))


@pytest.fixture
def energy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The page's record kind and section, as files of their folders, while a test runs."""
    for package in (bench.records.kinds, bench.report.sections):
        path = f"{package.__name__.replace('.', '/')}/energy.py"
        folder = tmp_path / package.__name__
        folder.mkdir()
        (folder / "energy.py").write_text(example(path), encoding="utf-8")
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    importlib.invalidate_caches()
    yield importlib.import_module("bench.records.kinds.energy")
    KINDS.pop("energy", None)
    SECTIONS.pop("energy", None)
    for package in (bench.records.kinds, bench.report.sections):
        sys.modules.pop(f"{package.__name__}.energy", None)
        vars(package).pop("energy", None)


def test_the_record_kind_of_the_page_is_written_read_and_shown(energy: ModuleType, tmp_path: Path) -> None:
    """The page's two classes alone make a kind: it survives the disk, has a column, and a section of the report."""
    record = Record(
        run_id="run",
        kind="energy",
        case=Case("v3", "eager", "fp32", 1, 468),
        status=Status.OK,
        reason="",
        device="cpu",
        recorded_at="2026-11-28T00:00:00+00:00",
        seed=0,
        result=energy.Energy(inference_j=1.5),
    )
    file = tmp_path / "records.jsonl"
    file.write_text(dump_record(record) + "\n", encoding="utf-8")
    (again,) = read_records(file)
    assert again == record
    assert again.answer(energy.Energy) == energy.Energy(inference_j=1.5)
    assert records_frame([again])["energy.inference_j"].tolist() == [1.5]
    assert "<li>v3-eager-fp32-b1-t468: 1.5 J</li>" in write_report(tmp_path).html.read_text(encoding="utf-8")
