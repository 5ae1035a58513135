"""Does the queueing model foretell the latency of the real service?

    python -m studies.queueing
    python -m studies.queueing --workers 2 --sleeps 24

A network of few channels is served over HTTP by a process with one worker or two. The cost of an inference is fitted to
requests without load of one to eight times a length; the overhead of HTTP is what their latency has beside the
inference. From these alone the mean latency of Poisson arrivals is computed and then measured, without batching and
with batches of up to eight. The column beside it computes again with the mean inference that was seen under that load:
where the two differ, the processor was slower under load than without, and where the second is right, the queue is.

With ``--sleeps MS`` an inference takes its time without taking a processor, as on a GPU: a worker waits so long, and a
fortieth of it a frame, and answers silence. That asks about the queue, the batches and HTTP alone, on a machine with
other things to do.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from bench.audio.mel import LOG_FLOOR
from bench.case import Case
from bench.run.load import service
from bench.run.load.arrivals import poisson
from bench.run.load.check import Checker
from bench.run.load.generator import open_loop
from bench.run.load.outcomes import summarise
from bench.run.load.queueing import BatchCost, batch_capacity_per_s, least_loaded_latency_s
from bench.run.load.service import Client
from bench.run.settings import Settings
from bench.spec import V3
from bench.vocoders.bigvgan import BigVgan, BigVganConfig
from bench.vocoders.synthetic import initialise

CASE = Case("v3", "eager", "fp32", 1, 16)
CONFIG = {
    "num_mels": 100,
    "upsample_initial_channel": 32,
    "upsample_rates": [16, 16],
    "upsample_kernel_sizes": [32, 32],
    "resblock": "1",
    "resblock_kernel_sizes": [3],
    "resblock_dilation_sizes": [[1, 3]],
    "activation": "snakebeta",
    "snake_logscale": True,
    "use_tanh_at_final": False,
    "use_bias_at_final": False,
    "sampling_rate": 24000,
    "hop_size": 256,
    "n_fft": 1024,
    "win_size": 1024,
    "fmin": 0,
    "fmax": None,
}
FRAMES, ITEMS = 60, 8
LOADS = (0.3, 0.5, 0.7, 0.8)
# Starts the service with workers that wait; the rest of the command line is that of `vocoder-bench serve`.
_SLEEPY = """\
import sys, time
import numpy as np
from bench import cli
from bench.serve import dispatcher, workers
from bench.serve.engine import Output

class Sleeps(workers.LocalWorker):
    def run(self, mels):
        time.sleep({fixed} + {frame} * sum(mel.shape[1] for mel in mels))
        return Output([np.zeros(mel.shape[1] * 256, np.float32) for mel in mels], "eager", False, None)

dispatcher.make_worker = lambda settings, process: Sleeps(settings)
sys.exit(cli.main(sys.argv[1:]))
"""


def network(directory: Path) -> BigVgan:
    """A network of few channels, written as a checkpoint."""
    model = BigVgan(BigVganConfig.from_json(CONFIG))
    initialise(model, 0)
    (directory / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    torch.save({"generator": model.state_dict()}, directory / "bigvgan_generator.pt")
    return model.eval().requires_grad_(False)


class Silent(Checker):
    """Takes any sound of the right length: there is none to compare."""

    def alone(self, item: int, body: bytes) -> None:
        """Nothing to hold later answers against."""

    def right(self, item: int, body: bytes) -> bool:
        """Whether the answer is as long as it should be."""
        return len(body) == 44 + 2 * len(self.references[item])


async def fitted(client: Client, lengths: list[int], calls: int) -> tuple[BatchCost, float]:
    """The cost of an inference, and the seconds of the shortest request beside it."""
    seconds, overhead = [], []
    for item in range(len(lengths)):
        for _ in range(3):
            await client.alone(item)
        before, began = await client.inference_s(), time.monotonic()
        for _ in range(calls):
            await client.whole(item)
        whole, after = (time.monotonic() - began) / calls, await client.inference_s()
        seconds.append((after[0] - before[0]) / (after[1] - before[1]))
        overhead.append(whole - seconds[-1])
    print("frames, seconds:", [(n, round(s, 5)) for n, s in zip(lengths, seconds, strict=True)])
    return BatchCost.fit(lengths, seconds), float(overhead[0])


@contextmanager
def options(workers: int, sleeps_ms: float) -> Iterator[None]:
    """Adds to the command line of the load suite's service."""
    real = service.command

    def changed(case: Case, given: Settings, *, batching: bool) -> list[str]:
        words = real(case, given, batching=batching)
        words = [
            f"--devices={','.join(['cpu'] * workers)}" if word.startswith("--devices=") else word for word in words
        ]
        if sleeps_ms:
            text = _SLEEPY.format(fixed=sleeps_ms / 1000, frame=sleeps_ms / 40_000)
            words[1:3] = ["-c", text]
        return [*words, f"--batch-items={ITEMS}"]

    service.command = changed
    try:
        yield
    finally:
        service.command = real


async def study(seconds: float, calls: int, workers: int, sleeps_ms: float) -> None:
    """Prints a line for each load."""
    lengths = [FRAMES * times for times in (1, 2, 4, 8)]
    generator = np.random.default_rng(0)
    mels = [np.clip(generator.normal(-6, 1, (100, n)), LOG_FLOOR, 2).astype(np.float32) for n in lengths]
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode(), options(workers, sleeps_ms):
        model = network(Path(folder))
        references = [model(torch.from_numpy(mel)[None])[0, 0].numpy() for mel in mels]
        settings = Settings("study", weights=(folder,), engine_cache="off")
        for batching, items in ((False, 1), (True, ITEMS)):
            checker = (Silent if sleeps_ms else Checker)(references)
            async with service.service(CASE, settings, mels, V3, checker, batching=batching) as client:
                cost, overhead_s = await fitted(client, lengths, calls)
                capacity = batch_capacity_per_s(cost, FRAMES, items, workers)
                for load in LOADS:
                    await one(client, load * capacity, seconds, cost, overhead_s, (items, workers))


async def one(
    client: Client, rate: float, seconds: float, cost: BatchCost, overhead_s: float, service_of: tuple[int, int]
) -> None:
    """Foretells and measures one load, and prints both."""
    items, workers = service_of
    arrivals = poisson(rate, seconds, seed=1)
    before, counted, began = await client.inference_s(), await client.batch_items(), time.monotonic()
    outcomes = await open_loop(client.whole, arrivals, [0] * len(arrivals), 30.0)
    point = summarise(outcomes, time.monotonic() - began, loop="open", batching=items > 1)
    after, asked = await client.inference_s(), await client.batch_items()
    batch = (asked[0] - counted[0]) / (asked[1] - counted[1])
    seen = (after[0] - before[0]) / (after[1] - before[1]) / cost.seconds(batch * FRAMES)
    found = point.latency_mean_ms or 0.0
    as_seen = replace(cost, fixed_s=seen * cost.fixed_s, per_frame_s=seen * cost.per_frame_s)
    columns = [
        f"{workers} workers, batches of up to {items}, {rate:.1f}/s",
        f"load {rate / batch_capacity_per_s(cost, FRAMES, items, workers):.2f}",
        f"{point.answered} answers, {point.wrong} wrong, {batch:.2f} in a batch",
        f"measured {found:.2f} ms",
        f"foretold {_against(rate, cost, overhead_s, service_of, found)}",
        f"with inferences as under load, x {seen:.2f}: {_against(rate, as_seen, overhead_s, service_of, found)}",
    ]
    print("; ".join(columns), flush=True)


def _against(rate: float, cost: BatchCost, overhead_s: float, service_of: tuple[int, int], found_ms: float) -> str:
    items, workers = service_of
    foretold = 1000 * (overhead_s + least_loaded_latency_s(rate, cost, FRAMES, items, workers))
    return f"{foretold:.2f} ms ({100 * (foretold / found_ms - 1):+.0f} %)"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0, help="of each load (30)")
    parser.add_argument("--calls", type=int, default=100, help="without load, for the cost (100)")
    parser.add_argument("--workers", type=int, default=1, help="of the service (1)")
    parser.add_argument("--sleeps", type=float, default=0.0, metavar="MS", help="inferences take time and no processor")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    asyncio.run(study(arguments.seconds, arguments.calls, arguments.workers, arguments.sleeps))
