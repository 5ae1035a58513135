"""The load suite on a small network behind the real service, from a case to its record."""

import os
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import cast

import aiohttp
import numpy as np
import pytest
from numpy.typing import NDArray

from bench.case import Case
from bench.records.kinds.load import Load
from bench.records.schema import Status
from bench.run.load.case import load_case
from bench.run.load.cases import load_cases
from bench.run.load.check import Checker
from bench.run.load.plan import LoadPlan
from bench.run.load.service import Client
from bench.run.session import Session
from bench.run.settings import Settings
from bench.serve.settings import BatchLimits, EngineSettings, ServeSettings
from bench.spec import VocoderSpec
from tests.serve.running import running

CASE = Case("v3", "eager", "fp32", 1, 16)
PLAN = LoadPlan("test", (1, 4), 0.4, (0.5,), 3, 2, utterances=5, scale=0.1, soak_s=0.5)


@asynccontextmanager
async def nearby(
    case: Case,
    settings: Settings,
    mels: Sequence[NDArray[np.float32]],
    spec: VocoderSpec,
    checker: Checker,
    *,
    batching: bool,
) -> AsyncIterator[Client]:
    """The real service over HTTP, in a thread of this process."""
    engine = EngineSettings(case, weights=settings.weights, engine_cache="off")
    batch = BatchLimits(padding=0.5) if batching else BatchLimits(frames=0)
    with running(ServeSettings(engine, processes=False, batch=batch)) as found:
        async with aiohttp.ClientSession() as session:
            this = cast("subprocess.Popen[bytes]", SimpleNamespace(pid=os.getpid()))
            yield Client(session, f"http://127.0.0.1:{found.port}", this, mels, spec, checker)


@pytest.fixture
def settings(small_weights: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Of a small network."""
    monkeypatch.setattr("bench.run.load.case.service", nearby)
    return Settings("run", weights=(small_weights,), engine_cache="off", load=PLAN)


def test_a_case_under_load(settings: Settings) -> None:
    """Every loop, with and without batching, has its points; no answer is wrong; the same seed draws the same load."""
    with Session(settings) as session:
        record = load_case(CASE, session)
    load = record.answer(Load)
    assert load is not None, record.reason
    assert record.status is Status.OK
    kinds = [(point.loop, point.batching, point.clients) for point in load.points]
    assert kinds[:2] == [("closed", True, 1), ("closed", True, 4)]
    assert ("closed", False, 4) in kinds
    assert any(loop == "speakers" for loop, _, _ in kinds)
    assert all(point.answered == point.requests and point.wrong == 0 for point in load.points if point.loop == "closed")
    assert load.checked >= sum(point.answered for point in load.points) > 20
    assert load.wrong == 0
    assert load.alone_snr_db is not None
    assert load.alone_snr_db > 60
    assert load.memory[0].rss_bytes > 10**8
    assert all(point.latency_p99_ms is None for point in load.points if point.answered < 662)
    busy = next(point for point in load.points if point.clients == 4 and point.batching)
    alone = next(point for point in load.points if point.clients == 4 and not point.batching)
    assert alone.batch_items_mean == 1
    assert busy.batch_items_mean is not None
    assert busy.batch_items_mean > 1


def test_a_backend_that_is_not_here(settings: Settings) -> None:
    """It is a row like any other's, and no service is started."""
    with Session(settings) as session:
        record = load_case(Case("v3", "cuda-graph", "fp32", 1, 16), session)
    assert record.status is Status.UNAVAILABLE


def test_one_case_a_configuration() -> None:
    """Of the smallest batch, in the order of the sweep."""
    cases = [Case("v3", "eager", "fp32", batch, frames) for batch, frames in ((4, 9), (1, 9), (1, 23))]
    other = Case("v3", "eager", "fp16", 1, 23)
    assert load_cases([*cases, other]) == [cases[1], other]
