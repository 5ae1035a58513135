"""An engine answers to everything that it depends on, and to nothing else."""

import ast
import shutil
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.backend import Request
from bench.backends.tensorrt_onnx import TensorRtOnnx
from bench.engine_cache import EngineCache
from bench.precision import PRECISIONS
from bench.trt import key
from bench.trt.key import PROJECT, SOURCES, engine_key, sources_digest
from bench.trt.library import Library
from bench.trt.options import RUN_TIME, Options, parse_options
from bench.trt.shapes import parse_shapes
from tests.trt.fake_tensorrt import FakeTensorRt, Install
from tests.trt.requests import FRAMES, request

OPTIONS = parse_options({}, (1, FRAMES))
# Another value of every option than ``OPTIONS`` has.
OTHERS: dict[str, Any] = {
    "shapes": parse_shapes("1x2_1x3_1x5", (1, FRAMES)),
    "level": 3,
    "workspace_mib": 64,
    "memory_mib": 64,
    "tactics": ("CUBLAS",),
    "streams": 2,
    "cuda_graph": True,
    "timing_cache": False,
    "float32": "conv_post",
    "activation": "ends-64",
}


def key_of(asked: Request | None = None, options: Options = OPTIONS, version: str = "10.15.1") -> dict[str, str]:
    """The key of an engine in float16."""
    return engine_key(Library(FakeTensorRt(version), "TensorRT"), asked or request("tensorrt-onnx", "fp16"), options)


@pytest.mark.parametrize("name", [option.name for option in fields(Options)])
def test_every_option_is_in_the_key(name: str) -> None:
    """Another value of any option is another engine, but of those that say how it is run or how long it takes."""
    assert OTHERS[name] != getattr(OPTIONS, name)
    other = key_of(options=replace(OPTIONS, **{name: OTHERS[name]}))
    assert (other == key_of()) == (name in RUN_TIME)
    assert set(RUN_TIME) == {"cuda_graph", "timing_cache"}


def test_layers_that_a_library_keeps_by_default_are_in_the_key() -> None:
    """An engine of 8.6 that keeps layers is not that of a user who asked for none, or for the same ones."""
    default = key_of(version="8.6.1")
    named = key_of(version="8.6.1", options=replace(OPTIONS, float32=default["layers in float32"]))
    none = key_of(version="8.6.1", options=replace(OPTIONS, float32=""))
    assert len({tuple(sorted(found.items())) for found in (default, named, none)}) == 3
    # Where a library keeps none by itself, asking for none changes nothing.
    assert key_of(options=replace(OPTIONS, float32="")) == key_of()


def test_the_request_and_the_library_are_in_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other weights, another vocoder, precision or backend, another version of library, PyTorch or driver."""
    asked = request("tensorrt-onnx", "fp16")
    found = [
        key_of(),
        key_of(replace(asked, weights_sha256="others")),
        key_of(replace(asked, case=replace(asked.case, version="v3"))),
        key_of(replace(asked, case=replace(asked.case, backend="tensorrt-rtx"))),
        key_of(replace(asked, precision=PRECISIONS["bf16"])),
        key_of(version="10.15.2"),
    ]
    monkeypatch.setattr(torch, "__version__", "99.0")
    found.append(key_of())
    monkeypatch.setattr(key, "ask", lambda _: "999.99")
    found.append(key_of())
    assert len({tuple(sorted(one.items())) for one in found}) == len(found)
    assert key_of(asked) == key_of(request("tensorrt-onnx", "fp16"))


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package's folders that decide an engine."""
    for folder in SOURCES:
        shutil.copytree(PROJECT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


@pytest.mark.parametrize("folder", SOURCES)
def test_a_planted_change_is_another_engine(package: Path, folder: str) -> None:
    """A changed, a new, a renamed and a removed module change the digest, also in a folder within."""
    seen = {sources_digest.__wrapped__(SOURCES, package)}

    def changed() -> bool:
        found = sources_digest.__wrapped__(SOURCES, package)
        known = found in seen
        seen.add(found)
        return not known

    module = max((package / folder).glob("*.py"), key=lambda file: file.stat().st_size)
    module.write_bytes(module.read_bytes().replace(b"return", b"return 0 or", 1))
    assert changed()
    (package / folder / "planted").mkdir()
    (package / folder / "planted" / "new.py").write_text("FACTOR = 1\n", encoding="utf-8")
    assert changed()
    (package / folder / "planted" / "new.py").rename(package / folder / "planted" / "other.py")
    assert changed()
    module.unlink()
    assert changed()


def test_unrelated_files_change_nothing(package: Path) -> None:
    """Compiled modules, notes and other folders are no part of an engine; a copy of the folders is the same one."""
    before = sources_digest(SOURCES)
    (package / "trt" / "__pycache__").mkdir()
    (package / "trt" / "__pycache__" / "build.cpython-311.pyc").write_bytes(b"compiled")
    (package / "lowering" / "notes.md").write_text("notes", encoding="utf-8")
    (package / "report").mkdir()
    (package / "report" / "render.py").write_text("FACTOR = 1\n", encoding="utf-8")
    assert sources_digest(SOURCES, package) == before


def test_the_modules_that_make_a_graph_are_in_the_key() -> None:
    """What the exporter imports of the vocoders, and what it is lowered by, lies in folders of the key."""
    imported = {
        name.module.split(".")[1]
        for file in (PROJECT / "lowering").glob("*.py")
        for name in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(name, ast.ImportFrom) and name.module and name.module.startswith("bench.")
    }
    # Errors decide nothing; the inputs of a scale are in the key of the engines that have scales.
    assert imported - {"errors", "audio"} <= set(SOURCES)


def test_an_engine_s_scales_are_part_of_its_key(
    install: Install, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Another Model Optimizer or another clip gives other scales, so an eight-bit engine is built again; others not."""
    trt = install("10.15.1")
    trt.tensor_type = "HALF"
    cache = EngineCache(tmp_path, 2**30)

    def cached(precision: str) -> bool | None:
        wanted = replace(request("tensorrt-onnx", precision), weights_sha256="w", engine_cache=cache)
        return TensorRtOnnx().prepare(wanted).build.from_cache

    assert [cached(name) for name in ("int8", "int8", "fp16", "fp16")] == [False, True, False, True]
    monkeypatch.setattr(key, "distribution_version", lambda _: "99")
    assert [cached(name) for name in ("int8", "fp16")] == [False, True]
    monkeypatch.setattr(key, "audio_identity", lambda _: "another clip")
    assert [cached(name) for name in ("int8", "fp16")] == [False, True]
