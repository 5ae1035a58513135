"""A replica's own parts, without a cluster; ``tests/test_cluster.py`` has a real one."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from bench.serve.items import Item
from bench.serve.settings import BatchLimits, RequestLimits, ServeSettings
from tests.local_ray import RAY_WARNINGS
from tests.serve.running import ENGINE, FACTS, mel

pytest.importorskip("ray", reason='Ray is an extra: pip install "gpt-sovits-vocoder-bench[ray]"')
pytestmark = [pytest.mark.filterwarnings(line) for line in RAY_WARNINGS]


def replica(**pool: Any) -> Any:
    """A replica whose pool is in this state."""
    from bench.serve.ray_app import VocoderReplica

    made: Any = VocoderReplica.__new__(VocoderReplica)
    made._settings = ServeSettings(ENGINE, limits=RequestLimits(request_s=10))
    state = {"facts": FACTS, "failure": "", "running": [], **pool}
    made._dispatcher = SimpleNamespace(replicas=[SimpleNamespace(**state)])
    return made


def item(arrived_s: float) -> Item:
    """An item that came at that time."""
    future: Any = None
    return Item(mel(3), future, arrived_s)


def test_health(monkeypatch: pytest.MonkeyPatch) -> None:
    """A replica is of no use without its engine, with an inference that hangs, and with a device that raises."""
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    asyncio.run(replica().check_health())
    asyncio.run(replica(running=[item(now - 300)]).check_health())
    with pytest.raises(RuntimeError, match="the engine is gone: planted"):
        asyncio.run(replica(facts=None, failure="planted").check_health())
    with pytest.raises(RuntimeError, match="an inference does not end"):
        asyncio.run(replica(running=[item(now - 311), item(now)]).check_health())

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA error: planted")

    monkeypatch.setattr("bench.serve.ray_app.torch.zeros", broken)
    with pytest.raises(RuntimeError, match="CUDA error"):
        asyncio.run(replica().check_health())


def test_what_an_application_asks_of_ray() -> None:
    """A GPU a replica, or the processors of its threads; the router of the policy; batches bounded by frames."""
    from bench.serve.ray_app import Ticket, application, total_frames

    settings = ServeSettings(ENGINE, devices=("cuda:0",) * 3, ray=True, batch=BatchLimits(items=16))
    found = application(settings)._bound_deployment
    assert found.num_replicas == 3
    assert found.ray_actor_options["num_gpus"] == 1
    assert found.max_ongoing_requests == 64
    router = found._deployment_config.request_router_config.request_router_class
    assert "PowerOfTwoChoicesRequestRouter" in str(router)
    settings = ServeSettings(ENGINE, devices=("cpu",), ray=True, policy="round-robin")
    found = application(settings)._bound_deployment
    assert (found.ray_actor_options["num_gpus"], found.ray_actor_options["num_cpus"]) == (0, 1)
    assert "RoundRobinRouter" in str(found._deployment_config.request_router_config.request_router_class)
    assert total_frames([Ticket(mel(3)), Ticket(mel(40))]) == 43
