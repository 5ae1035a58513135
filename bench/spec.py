"""What GPT-SoVITS fixes about each vocoder: rates, mel definition and chunk lengths.

The figures are those of GPT-SoVITS's ``TTS_infer_pack/TTS.py`` (``init_vocoder``, ``mel_fn``, ``mel_fn_v4``).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class MelSpec:
    """A log-mel definition: ``ln(clamp(slaney_mel(sqrt(power + 1e-8)), 1e-5))``.

    Attributes:
        sample_rate: Rate of the audio that the mel is taken from, in Hz.
        n_fft, win_length, hop_length: In samples; the window is a periodic Hann window.
        bands: Number of mel bands.
        fmin, fmax: Edges of the filter bank in Hz; None is half the sample rate.
    """

    sample_rate: int
    n_fft: int
    win_length: int
    hop_length: int
    bands: int = 100
    fmin: float = 0.0
    fmax: float | None = None

    @property
    def frames_per_s(self) -> float:
        """Mel frames per second."""
        return self.sample_rate / self.hop_length


@dataclass(frozen=True)
class VocoderSpec:
    """One vocoder's outside: what goes in, what comes out, and the lengths it is called with.

    Attributes:
        version: ``"v3"`` or ``"v4"``.
        architecture: Name of the network.
        sample_rate: Rate of the waveform in Hz.
        upsample: Output samples per mel frame.
        mel: Definition of the input.
        t_ref: Frames of the reference kept by GPT-SoVITS.
        t_chunk: Frames of one acoustic-model chunk.
        overlap: Frames by which chunks overlap.
    """

    version: str
    architecture: str
    sample_rate: int
    upsample: int
    mel: MelSpec
    t_ref: int
    t_chunk: int
    overlap: int = 12

    @property
    def bands(self) -> int:
        """Mel bands of the input."""
        return self.mel.bands

    def audio_s(self, frames: int) -> float:
        """Seconds of audio that ``frames`` mel frames become."""
        return frames * self.upsample / self.sample_rate


V3 = VocoderSpec(
    version="v3",
    architecture="BigVGAN",
    sample_rate=24_000,
    upsample=256,
    mel=MelSpec(sample_rate=24_000, n_fft=1024, win_length=1024, hop_length=256),
    t_ref=468,
    t_chunk=934,
)
V4 = VocoderSpec(
    version="v4",
    architecture="HiFi-GAN",
    sample_rate=48_000,
    upsample=480,
    mel=MelSpec(sample_rate=32_000, n_fft=1280, win_length=1280, hop_length=320),
    t_ref=500,
    t_chunk=1000,
)
SPECS = {spec.version: spec for spec in (V3, V4)}

# What stands for a path with ``--weights``: the trained generators of an optional package.
TRAINED_DEMO = "trained-demo"
DEMO_NAME = "trained demo weights (HiFi-GAN V1 universal, 22.05 kHz, 80 bands), not GPT-SoVITS's"
"""What records and pages call the weights of ``--weights trained-demo``."""
SYNTHETIC_CAVEAT = "Synthetic weights: speed and memory stand for the real model's, the sound and its error do not."
SYNTHETIC_V3_CAVEAT = (
    "Nobody publishes a trained BigVGAN in a package, so that v3's synthetic weights are shaped on trained HiFi-GAN "
    "networks: the rounding error of the real v3 is not known."
)
DEMO_CAVEAT = (
    "The weights are trained, but not GPT-SoVITS's: a HiFi-GAN V1 for 22.05 kHz speech and 80 bands, which has v4's "
    "blocks, stands for v4. Its sound and its rounding error are a real network's; its times are not v4's."
)
"""What a page says of weights that are not the user's own."""


@dataclass(frozen=True)
class Weights:
    """Which weights ran.

    Attributes:
        synthetic: True when no checkpoint was given and the weights were made from ``seed``.
        name: Text to show beside every figure, such as ``"synthetic weights (seed 0)"``.
        sha256: Digest over all names, shapes and values after folding weight norm.
        parameters: Number of parameters.
        seed: Seed of synthetic weights.
    """

    synthetic: bool
    name: str
    sha256: str
    parameters: int
    seed: int | None = None

    def caveats(self, version: str) -> tuple[str, ...]:
        """What a page has to say of these weights as those of a version; nothing of a checkpoint.

        >>> Weights(False, DEMO_NAME, "", 1).caveats("v4") == (DEMO_CAVEAT,)
        True
        """
        if self.name == DEMO_NAME:
            return (DEMO_CAVEAT,)
        if not self.synthetic:
            return ()
        return (SYNTHETIC_CAVEAT, SYNTHETIC_V3_CAVEAT) if version == "v3" else (SYNTHETIC_CAVEAT,)
