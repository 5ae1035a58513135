"""What CONTRIBUTING.md promises to someone who adds a file."""

import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import bench.backend
import bench.backends
from bench.backend import Request
from bench.case import Case
from bench.errors import UnsupportedError
from bench.precision import PRECISIONS, flags
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
    packages = {f"bench/{folder.name}" for folder in (ROOT / "bench").iterdir() if any(folder.glob("*.[pf]*"))}
    roots = {"suites", "reports", "tests", "benchmarks", "studies", "tools"}
    assert named == packages | roots


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The page's backend, as a file of the backends' folder, while a test runs."""
    monkeypatch.setattr(bench.backend, "REGISTRY", dict(bench.backend.REGISTRY))
    monkeypatch.setattr(bench.backends, "REGISTRY", bench.backend.REGISTRY)
    monkeypatch.setattr(bench.backends, "__path__", [*bench.backends.__path__, str(tmp_path)])
    (tmp_path / "fx_graph.py").write_text(example("bench/backends/fx_graph.py"), encoding="utf-8")
    importlib.invalidate_caches()
    bench.backends.backends.cache_clear()
    yield
    bench.backends.backends.cache_clear()
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


def test_the_record_kind_of_the_page_is_written_read_and_tabled(tmp_path: Path) -> None:
    """The page's class alone makes a kind: its records survive the disk and have a column of their own."""
    kinds = pytest.importorskip("bench.records.kind").KINDS
    from bench.records import read_records, records_frame
    from bench.records.jsonl import dump_record
    from bench.records.schema import Record, Status

    file = tmp_path / "energy.py"
    file.write_text(example("bench/records/kinds/energy.py"), encoding="utf-8")
    specification = importlib.util.spec_from_file_location("energy", file)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["energy"] = module
    try:
        specification.loader.exec_module(module)
        record = Record(
            "run",
            "energy",
            Case("v3", "eager", "fp32", 1, 468),
            Status.OK,
            "",
            "cpu",
            "2026-11-28T00:00:00+00:00",
            0,
            result=module.Energy(inference_j=1.5),
        )
        (tmp_path / "records.jsonl").write_text(dump_record(record) + "\n", encoding="utf-8")
        (again,) = read_records(tmp_path / "records.jsonl")
        assert again == record
        assert again.answer(module.Energy) == module.Energy(inference_j=1.5)
        assert records_frame([again])["energy.inference_j"].tolist() == [1.5]
    finally:
        kinds.pop("energy", None)
        sys.modules.pop("energy", None)
