"""How far do synthetic weights behave like trained ones where rounding is concerned?

Trained networks and the same network, v4 and v3 with synthetic weights, on the project's clip and precisions emulated
on the CPU::

    pip install '.[trained-demo]'
    python studies/synthetic_weights.py > docs/synthetic-weights.md
"""

import argparse
import sys
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from bench.audio.mel import default_speech, log_mel
from bench.quality import hearing
from bench.quality.waveform import segment_snrs_db, snr_db
from bench.spec import SYNTHETIC_V3_CAVEAT
from bench.vocoders import Vocoder, load_vocoder, synthetic_vocoder, trained_demo
from bench.vocoders.rounding import emulate, tf32, through

FRAMES, FIRST_S = 60, 2.1
HALF, BRAIN = through(torch.float16), through(torch.bfloat16)
# What is compared with what: the reference's mel and the run.
COMPARED: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[nn.Module, Tensor], Tensor]]] = {
    "a float16 mel": (lambda mel: mel, lambda model, mel: model(HALF(mel))),
    "float16 behind it": (HALF, emulate(HALF, HALF, HALF)),
    "float16 in all": (lambda mel: mel, emulate(HALF, HALF, HALF)),
    "TF32": (lambda mel: mel, emulate(tf32, tf32)),
    "a bfloat16 mel": (lambda mel: mel, lambda model, mel: model(BRAIN(mel))),
    "bfloat16 behind it": (BRAIN, emulate(BRAIN, BRAIN, BRAIN)),
    "bfloat16 in all": (lambda mel: mel, emulate(BRAIN, BRAIN, BRAIN)),
}
HEAD = """# Synthetic weights beside trained ones

SNR in dB of one second of the project's clip, and in brackets the 5th percentile and the median of its 20 ms
segments, then the heard change. Precisions are emulated on a CPU (`bench/vocoders/rounding.py`). Written by
`studies/synthetic_weights.py`.

| network | """


def figure(reference: np.ndarray, test: np.ndarray, rate: int) -> str:
    """A cell of the table."""
    segments = segment_snrs_db(reference, test, rate)
    powers = [hearing.band_powers(signal, rate) for signal in (reference, test)]
    heard = hearing.heard_distance_db(hearing.heard_changes_db(*powers, rate))
    low, middle = np.percentile(segments, (5, 50))
    return f"{snr_db(reference, test):.0f} ({low:.0f} / {middle:.0f}), {heard:.2f}"


def row(name: str, model: Vocoder, frames: int) -> str:
    """A line of the table."""
    spec = model.spec
    start = round(FIRST_S * spec.mel.frames_per_s)
    mel = log_mel(default_speech(), spec)[..., start : start + frames]
    cells = []
    with torch.inference_mode():
        for of, run in COMPARED.values():
            reference, test = (wave.double().numpy().reshape(-1) for wave in (model(of(mel)), run(model, mel)))
            cells.append(figure(reference, test, spec.sample_rate))
    return f"| {name} | " + " | ".join(cells) + " |"


def main() -> None:
    """Prints the page."""
    parser = argparse.ArgumentParser(description="Compare synthetic with trained weights.")
    parser.add_argument("--frames", type=int, default=FRAMES)
    frames = parser.parse_args().frames
    torch.set_num_threads(1)
    sys.stdout.write(HEAD + " | ".join(COMPARED) + " |\n|---|" + "---|" * len(COMPARED) + "\n")
    networks: dict[str, Callable[[], Vocoder]] = {
        "HiFi-GAN V1, trained, many speakers": lambda: trained_demo.load_demo("v4")[0],
        "HiFi-GAN V1, trained, LJSpeech": lambda: trained_demo.load_demo("v4", "LJSpeech")[0],
        "HiFi-GAN V1, synthetic": lambda: synthetic_vocoder(trained_demo.CONFIG),
        "v4, synthetic": lambda: load_vocoder("v4"),
        "v3, synthetic": lambda: load_vocoder("v3"),
    }
    for name, load in networks.items():
        sys.stdout.write(row(name, load(), frames) + "\n")
        sys.stdout.flush()
    sys.stdout.write(f"\n{SYNTHETIC_V3_CAVEAT}\n")


if __name__ == "__main__":
    main()
