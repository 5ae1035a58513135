"""Load on one case: ``load_case(case, session) -> Record``."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.audio.mel import speech_mels
from bench.case import Case
from bench.records.kinds.load import Load, LoadPoint, MemoryPoint
from bench.records.schema import Record
from bench.run.load.arrivals import picks, poisson
from bench.run.load.check import Checker
from bench.run.load.generator import closed_loop, open_loop, speakers
from bench.run.load.outcomes import Outcome, growth_per_h, summarise
from bench.run.load.plan import LoadPlan
from bench.run.load.saturation import bisect, in_time, kept_up
from bench.run.load.service import Client, service
from bench.run.load.utterances import MEAN_S, describe, lengths_frames
from bench.run.session import Session, outcome

Mels = list[NDArray[np.float32]]
# How long answers are waited for after the last request of an open loop.
_DRAIN_S = 30.0
_MEMORY_EVERY_S = 5.0


def load_case(case: Case, session: Session) -> Record:
    """Serves one case and loads it.

    Args:
        case: What to serve.
        session: Of the run; ``session.settings.load`` is the plan.

    Returns:
        The case's record, whose result is a :class:`~bench.records.kinds.load.Load`.

    Raises:
        InputError: the weights or the audio cannot be used.
    """
    return outcome(case, session, "load", lambda: _load(case, session))


def _load(case: Case, session: Session) -> dict[str, Any]:
    plan, spec = session.settings.load, session.vocoder(case.version).spec
    lengths = lengths_frames(plan.utterances, session.settings.seed, spec, plan.scale)
    stretches = speech_mels(session.voice(case.version).speech, len(lengths), max(lengths)).numpy()
    mels = [np.ascontiguousarray(mel[:, :length]) for mel, length in zip(stretches, lengths, strict=True)]
    checker = Checker(_references(case, session, mels))
    return {"result": asyncio.run(_measure(case, session, plan, mels, checker))}


def _references(case: Case, session: Session, mels: Mels) -> Mels:
    """Eager float32 of each mel alone."""
    import torch

    reference = case.baseline("fp32")
    found = []
    with session.open(reference) as prepared, session.active(reference):
        for mel in mels:
            wave = prepared.runner.run(torch.from_numpy(mel)[None].to(session.device))
            found.append(wave[0, 0].float().cpu().numpy().copy())
    return found


async def _measure(case: Case, session: Session, plan: LoadPlan, mels: Mels, checker: Checker) -> Load:
    spec = session.vocoder(case.version).spec
    ways: dict[bool, _Way] = {}
    for batching in (True, False):
        async with service(case, session.settings, mels, spec, checker, batching=batching) as client:
            ways[batching] = way = _Way(client, plan, batching, len(mels), session.settings.seed)
            await way.closed()
            await way.saturate()
            if batching:
                await way.open()
                await way.speak()
                await way.soak()
    on, off = ways[True], ways[False]
    gain = on.saturation / off.saturation if on.saturation and off.saturation else None
    at_saturation = [p for p in on.points if p.offered_per_s is not None and p.offered_per_s == on.saturation]
    return Load(
        utterances=describe(plan.scale),
        plan=plan.name,
        workers=1,
        points=(*on.points, *off.points),
        saturation_per_s=on.saturation,
        saturation_unbatched_per_s=off.saturation,
        saturation_audio_throughput=at_saturation[-1].audio_throughput if at_saturation else None,
        batching_gain=gain,
        speakers=on.speakers,
        speakers_by=on.speakers_by,
        checked=checker.checked,
        wrong=checker.wrong,
        alone_snr_db=_finite(min(checker.alone_db.values())),
        memory=tuple(on.memory),
        memory_growth_bytes_per_h=on.growth,
    )


class _Way:
    """One service, with batching or without, and what was measured of it."""

    def __init__(self, client: Client, plan: LoadPlan, batching: bool, items: int, seed: int) -> None:
        self._client, self._plan, self._batching, self._items, self._seed = client, plan, batching, items, seed
        self.points: list[LoadPoint] = []
        self.memory: list[MemoryPoint] = []
        self.saturation: float | None = None
        self.speakers: int | None = None
        self.speakers_by = ""
        self.growth: float | None = None
        self._alone_s = 0.0

    async def closed(self) -> None:
        """Every utterance without load, then closed loops of more and more clients."""
        self._alone_s = float(np.mean([await self._client.alone(item) for item in range(self._items)]))
        for clients in self._plan.clients:
            ask = partial(closed_loop, self._client.whole, clients, self._plan.point_s, self._items, self._seed)
            await self._point(ask, loop="closed", clients=clients)

    async def saturate(self) -> None:
        """The highest open rate that the service keeps up with."""
        best = max((point.requests_per_s for point in self.points), default=0.0)
        if self._plan.probes and best > 0:
            self.saturation = await bisect(self._keeps_up, best / 2, 16 * best, self._plan.probes)

    async def open(self) -> None:
        """Open loops at shares of the saturation rate."""
        for share in self._plan.rates if self.saturation else ():
            await self._rate(share * (self.saturation or 0.0))

    async def speak(self) -> None:
        """The most speakers that hear their sound in time."""
        found: dict[int, str] = {}
        mean_s = MEAN_S * self._plan.scale

        async def holds(clients: float) -> bool:
            number, seconds = int(clients), max(self._plan.point_s, 2 * mean_s)
            ask = partial(speakers, self._client.stream, number, seconds, self._items, self._seed, mean_s)
            point = await self._point(ask, loop="speakers", clients=number)
            found[number] = in_time(point)
            return bool(found[number])

        if self._plan.speakers:
            best = await bisect(holds, 1, self._plan.speakers, self._plan.probes + 6, whole=True)
            self.speakers = None if best is None else int(best)
            self.speakers_by = found.get(self.speakers or 0, "")

    async def soak(self) -> None:
        """The service at seven tenths of saturation for the plan's time, its memory every few seconds."""
        if self._plan.soak_s and self.saturation:
            before = len(self.memory)
            await self._rate(0.7 * self.saturation, self._plan.soak_s)
            soaked = self.memory[before:]
            self.growth = growth_per_h([one.at_s for one in soaked], [one.rss_bytes for one in soaked])

    async def _keeps_up(self, rate: float) -> bool:
        return kept_up(await self._rate(rate), self._plan.point_s, self._alone_s)

    async def _rate(self, rate: float, seconds: float | None = None) -> LoadPoint:
        window_s = self._plan.point_s if seconds is None else seconds
        arrivals = poisson(rate, window_s, self._seed)
        items = picks(len(arrivals), self._items, self._seed)
        ask = partial(open_loop, self._client.whole, arrivals, items, _DRAIN_S)
        return await self._point(ask, loop="open", offered_per_s=rate, least_s=window_s)

    async def _point(
        self,
        run: Callable[[], Awaitable[Sequence[Outcome]]],
        *,
        loop: str,
        clients: int | None = None,
        offered_per_s: float | None = None,
        least_s: float = 0.0,
    ) -> LoadPoint:
        """Runs one point, and looks at the memory meanwhile."""
        before = await self._client.batch_items()
        watching = asyncio.create_task(self._watch())
        began = time.monotonic()
        try:
            outcomes = await run()
        finally:
            seconds = time.monotonic() - began
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        after = await self._client.batch_items()
        self.memory.append(await self._client.memory())
        inferences = after[1] - before[1]
        point = summarise(
            outcomes,
            max(seconds, least_s),
            loop=loop,
            batching=self._batching,
            clients=clients,
            offered_per_s=offered_per_s,
            batch_items_mean=(after[0] - before[0]) / inferences if inferences else None,
        )
        self.points.append(point)
        return point

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_MEMORY_EVERY_S)
            self.memory.append(await self._client.memory())


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
