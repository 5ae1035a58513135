"""Does the queueing model foretell the latency of the real service?

    python -m studies.queueing

A network of few channels is served over HTTP by a process with one worker. The cost of an inference is fitted to
requests without load of one to eight times a length; the overhead of HTTP is what their latency has beside the
inference. From these alone the mean latency of Poisson arrivals is computed and then measured, without batching and
with batches of up to eight.
"""

import argparse
import asyncio
import json
import tempfile
import time
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
from bench.run.load.queueing import BatchCost, batch_capacity_per_s, mean_latency_s
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


def network(directory: Path) -> BigVgan:
    """A network of few channels, written as a checkpoint."""
    model = BigVgan(BigVganConfig.from_json(CONFIG))
    initialise(model, 0)
    (directory / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    torch.save({"generator": model.state_dict()}, directory / "bigvgan_generator.pt")
    return model.eval().requires_grad_(False)


async def fitted(client: Client, lengths: list[int], calls: int) -> tuple[BatchCost, float]:
    """The cost of an inference, and the seconds of a request beside it."""
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
    return BatchCost.fit(lengths, seconds), float(np.mean(overhead[:1]))


async def study(seconds: float, calls: int) -> None:
    """Prints a line for each load."""
    lengths = [FRAMES * times for times in (1, 2, 4, 8)]
    generator = np.random.default_rng(0)
    mels = [np.clip(generator.normal(-6, 1, (100, n)), LOG_FLOOR, 2).astype(np.float32) for n in lengths]
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        model = network(Path(folder))
        references = [model(torch.from_numpy(mel)[None])[0, 0].numpy() for mel in mels]
        settings = Settings("study", weights=(folder,), engine_cache="off")
        for batching, items in ((False, 1), (True, ITEMS)):
            checker = Checker(references)
            real = service.command

            def limited(case: Case, given: Settings, *, batching: bool) -> list[str]:
                words = real(case, given, batching=batching)  # noqa: B023 - used within the loop
                return [*words, f"--batch-items={ITEMS}"]

            service.command = limited
            try:
                async with service.service(CASE, settings, mels, V3, checker, batching=batching) as client:
                    cost, overhead_s = await fitted(client, lengths, calls)
                    capacity = batch_capacity_per_s(cost, FRAMES, items)
                    for load in LOADS:
                        rate = load * capacity
                        arrivals = poisson(rate, seconds, seed=1)
                        began = time.monotonic()
                        outcomes = await open_loop(client.whole, arrivals, [0] * len(arrivals), 30.0)
                        point = summarise(outcomes, time.monotonic() - began, loop="open", batching=batching)
                        foretold = 1000 * (overhead_s + mean_latency_s(rate, cost, FRAMES, items))
                        found = point.latency_mean_ms or 0.0
                        print(
                            f"batches of {items}, load {load:.2f}, {rate:.1f}/s, {point.answered} answers, "
                            f"{point.wrong} wrong: foretold {foretold:.2f} ms, measured {found:.2f} ms "
                            f"({100 * (foretold / found - 1):+.0f} %)"
                        )
            finally:
                service.command = real


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0, help="of each load (30)")
    parser.add_argument("--calls", type=int, default=100, help="without load, for the cost (100)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    asyncio.run(study(arguments.seconds, arguments.calls))
