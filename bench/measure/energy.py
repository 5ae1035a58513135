"""Energy by NVML's counter of the whole card, which moves about ten times a second.

A reading between two steps of the counter belongs to the earlier one, so that only times at which it moved say
something. Calls run back to back; the power between the first and the last step, over the audio that is made in a
second, is the energy of a second of audio.
"""

import itertools
import time
from collections.abc import Callable, Sequence

import torch

from bench.measure.nvml import ask, nvml_handle
from bench.records.limits import Energy

WINDOW_S = 1.2
# Fewer steps than this leave an error of more than a few percent.
LEAST_STEPS = 6
READING_S = 0.004
# Calls that the host may be ahead of the device, as time: the queue never runs dry, nor far ahead.
AHEAD_S = 0.02

Reading = tuple[float, int]  # seconds by the host's clock, millijoules since the driver was loaded


def measure_energy(call: Callable[[], object], device: torch.device, call_s: float, audio_s: float) -> Energy | None:
    """Runs ``call`` back to back for about a second.

    Args:
        call: One inference; it may return before the device is done.
        device: Where it runs.
        call_s: About how long one takes.
        audio_s: Seconds of audio that one makes, over the batch.

    Returns:
        None on a CPU, and where the card has no counter or it moved too seldom.
    """
    handle = nvml_handle(device)
    if handle is None or ask("nvmlDeviceGetTotalEnergyConsumption", handle) is None:
        return None
    chunk = max(1, round(AHEAD_S / max(call_s, 1e-6)))
    readings: list[Reading] = []
    done, calls = torch.cuda.Event(), 0
    torch.cuda.synchronize(device)
    started = time.perf_counter()
    done.record()
    while time.perf_counter() - started < WINDOW_S:
        for _ in range(chunk):
            call()
            if not readings or time.perf_counter() - readings[-1][0] > READING_S:
                _read(handle, readings)
        calls += chunk
        # Waits for the chunk before this one.
        done.synchronize()
        done = torch.cuda.Event()
        done.record()
        _read(handle, readings)
    torch.cuda.synchronize(device)
    elapsed_s = time.perf_counter() - started
    return energy(readings, calls * audio_s / elapsed_s)


def _read(handle: object, readings: list[Reading]) -> None:
    millijoules = ask("nvmlDeviceGetTotalEnergyConsumption", handle)
    if millijoules is not None:
        readings.append((time.perf_counter(), int(millijoules)))


def energy(readings: Sequence[Reading], audio_s_per_s: float) -> Energy | None:
    """Energy from a counter's readings under an even load.

    Args:
        readings: In order.
        audio_s_per_s: Seconds of audio made in a second meanwhile.

    Returns:
        None where the counter made too few steps.

    >>> steps = [(t / 100, 70_000 * (t // 10)) for t in range(101)]
    >>> round(energy(steps, audio_s_per_s=350.0).joules_per_audio_second, 6)
    2.0
    """
    moved = [later for earlier, later in itertools.pairwise(readings) if later[1] != earlier[1]]
    if len(moved) < LEAST_STEPS + 1 or audio_s_per_s <= 0:
        return None
    (first_s, first_mj), (last_s, last_mj) = moved[0], moved[-1]
    watts = (last_mj - first_mj) / 1000 / (last_s - first_s)
    return Energy(
        joules_per_audio_second=watts / audio_s_per_s,
        watts=watts,
        window_s=last_s - first_s,
        steps=len(moved) - 1,
    )
