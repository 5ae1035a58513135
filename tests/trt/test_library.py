"""TensorRT is found, or the reason is one sentence."""

import sys
from types import ModuleType

import pytest

from bench.trt.library import import_library
from tests.trt.fake_tensorrt import Install
from tests.trt.requests import FailingImport


def test_errors_without_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """An import that fails without a message still gives a reason."""
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    monkeypatch.setattr(sys, "meta_path", [FailingImport("tensorrt", AssertionError()), *sys.meta_path])
    assert import_library() == (None, "tensorrt cannot be imported: AssertionError")


def test_bindings_without_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty package is not taken for a library."""
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", ModuleType("tensorrt_rtx"))
    assert import_library("tensorrt_rtx") == (None, "tensorrt_rtx is installed without its libraries.")


@pytest.mark.parametrize(
    ("version", "strongly_typed", "has_bfloat16"),
    [("8.6.1", False, False), ("10.15.1", True, True), ("11.4.0", True, True)],
)
def test_versions_differ_in_typing(install: Install, version: str, strongly_typed: bool, has_bfloat16: bool) -> None:
    """What a version can do is read from its names, not from its number."""
    install(version)
    library, reason = import_library()
    assert library is not None
    assert (library.version, library.name, library.rtx, reason) == (version, "TensorRT", False, "")
    assert (library.strongly_typed, library.has_bfloat16) == (strongly_typed, has_bfloat16)
