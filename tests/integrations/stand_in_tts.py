"""A stand-in for GPT-SoVITS's ``TTS`` that treats its vocoder as the real one does, call for call.

It has no text, no speaker and no acoustic model: what the flow matching would give is a mel of its own. Everything
between that mel and the 16-bit waveform follows ``TTS_infer_pack/TTS.py``: which class names are kept, what is called
on the vocoder when, under which autograd mode, on which shapes, and what is written in place afterwards.
"""

import gc
import math
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.vocoders.bigvgan import BigVgan, BigVganConfig
from bench.vocoders.hifigan import HifiGan, HifiGanConfig
from bench.vocoders.synthetic import initialise

BIGVGAN = {
    "num_mels": 100,
    "upsample_initial_channel": 16,
    "upsample_rates": [4, 2],
    "upsample_kernel_sizes": [8, 4],
    "resblock": "1",
    "resblock_kernel_sizes": [3],
    "resblock_dilation_sizes": [[1, 3]],
    "activation": "snakebeta",
    "snake_logscale": True,
    "use_tanh_at_final": False,
    "use_bias_at_final": False,
}
GENERATOR = HifiGanConfig(
    upsample_initial_channel=16,
    upsample_rates=(10, 2),
    upsample_kernel_sizes=(20, 4),
    resblock_kernel_sizes=(3, 7),
    resblock_dilation_sizes=((1, 3), (1, 3)),
)
SOLA_SEARCH = 320


class BigVGAN(BigVgan):
    """The name and the attributes of v3's vocoder, over a small network."""

    def __init__(self) -> None:
        super().__init__(BigVganConfig.from_json(BIGVGAN))
        self.h = dict(BIGVGAN)
        initialise(self, 0)

    def remove_weight_norm(self) -> None:
        """Nothing to remove."""


class Generator(HifiGan):
    """The name and the attributes of v4's vocoder, over a small network."""

    def __init__(self) -> None:
        super().__init__(GENERATOR)
        self.num_kernels = len(GENERATOR.resblock_kernel_sizes)
        initialise(self, 0)

    def remove_weight_norm(self) -> None:
        """Nothing to remove."""


class FlowMatching:
    """Gives mels between the levels of silence and of loud speech, by a seed, as inference tensors."""

    @torch.inference_mode()
    def inference(self, items: int, frames: int, seed: int) -> Tensor:
        """``(items, 100, frames)``."""
        return torch.randn(items, 100, frames, generator=torch.Generator().manual_seed(seed)) * 2 - 5


class TTS:
    """The live object: ``run`` yields sample rates and 16-bit waveforms."""

    def __init__(self, version: str, device: str = "cpu") -> None:
        self.configs = SimpleNamespace(
            device=device, is_half=False, version=version, sampling_rate=32000, use_vocoder=True
        )
        self.vocoder: Any = None
        self.vocoder_configs: dict[str, Any] = dict.fromkeys(
            ("sr", "T_ref", "T_chunk", "upsample_rate", "overlapped_len")
        )
        self.vits_model: Any = None
        self.t2s_model: Any = object()
        self.precision = torch.float32
        self.calls: list[tuple[int, ...]] = []
        self.init_vits_weights(version)

    def init_vits_weights(self, version: str) -> None:
        """``/set_sovits_weights``: the acoustic model is replaced, the vocoder looked after by ``init_vocoder``."""
        self.configs.version = version
        self.init_vocoder(version)
        self.vits_model = FlowMatching()

    def init_vocoder(self, version: str) -> None:
        """Keeps an object of the right class name; another one is moved off the device, deleted and replaced."""
        wanted = {"v3": BigVGAN, "v4": Generator}[version]
        if self.vocoder is not None and self.vocoder.__class__.__name__ == wanted.__name__:
            return
        if self.vocoder is not None:
            self.vocoder.cpu()
            del self.vocoder
            self.empty_cache()
        self.vocoder = wanted()
        self.vocoder.remove_weight_norm()
        sizes = (24000, 468, 934, 8, 12) if version == "v3" else (48000, 500, 1000, 20, 12)
        self.vocoder_configs.update(zip(self.vocoder_configs, sizes, strict=True))
        self.vocoder = self.vocoder.eval()
        if self.configs.is_half:
            self.vocoder = self.vocoder.half().to(self.configs.device)
        else:
            self.vocoder = self.vocoder.to(self.configs.device)

    def enable_half_precision(self, enable: bool) -> None:
        """Re-assigns what ``half`` and ``float`` return."""
        self.configs.is_half = enable
        self.precision = torch.float16 if enable else torch.float32
        self.vocoder = self.vocoder.half() if enable else self.vocoder.float()

    def set_device(self, device: str) -> None:
        """Re-assigns what ``to`` returns."""
        self.configs.device = device
        self.vocoder = self.vocoder.to(device)

    @torch.no_grad()
    def run(
        self, sentences: list[int], *, parallel: bool = True, seed: int = 0, fail: bool = False
    ) -> Iterator[tuple[int, NDArray[np.int16]]]:
        """Sentences of so many frames to one waveform."""
        try:
            if parallel:
                fragments = self.using_vocoder_synthesis_batched_infer(sentences, seed)
            else:
                fragments = [self.using_vocoder_synthesis(frames, seed + i) for i, frames in enumerate(sentences)]
            if fail:
                raise RuntimeError("a request that fails")
            yield self.audio_postprocess(fragments, self.vocoder_configs["sr"])
        except Exception:
            yield 16000, np.zeros(16000, dtype=np.int16)
            del self.t2s_model, self.vits_model
            self.t2s_model = self.vits_model = None
            self.init_vits_weights(self.configs.version)
            raise
        finally:
            self.empty_cache()

    def empty_cache(self) -> None:
        """After every request."""
        gc.collect()
        if "cuda" in str(self.configs.device):
            torch.cuda.empty_cache()

    def using_vocoder_synthesis(self, frames: int, seed: int) -> Tensor:
        """The sentence path: one mel of any length, in inference mode."""
        mel = self.vits_model.inference(1, frames, seed).to(self.configs.device, self.precision)
        with torch.inference_mode():
            self.calls.append(tuple(mel.shape))
            wave = self.vocoder(mel)
            audio: Tensor = wave[0][0]
        return audio

    def using_vocoder_synthesis_batched_infer(self, sentences: list[int], seed: int) -> list[Tensor]:
        """The default path: whole chunks side by side in one mel, without gradients, then SOLA and a cut."""
        configs = self.vocoder_configs
        overlap, up = configs["overlapped_len"], configs["upsample_rate"]
        chunk = configs["T_chunk"] - configs["T_ref"]
        total = sum(sentences) + overlap
        count = max(1, math.ceil((total - overlap) / (chunk - overlap)))
        padding = count * (chunk - overlap) + overlap - total
        mel = self.vits_model.inference(count, chunk, seed).to(self.configs.device, self.precision)
        mel = mel.permute(1, 0, 2).contiguous().view(100, -1).unsqueeze(0)
        with torch.no_grad():
            self.calls.append(tuple(mel.shape))
            audio = self.vocoder(mel)[0][0]
        fragments = [audio[start : start + chunk * up] for start in range(0, audio.shape[-1], chunk * up)]
        audio = self.sola_algorithm(fragments, overlap * up)
        audio = audio[overlap * up : -padding * up] if padding else audio[overlap * up :]
        cut = []
        for frames in sentences:
            cut.append(audio[: frames * up])
            audio = audio[frames * up :]
        return cut

    def sola_algorithm(self, fragments: list[Tensor], overlap: int) -> Tensor:
        """Cross-fades neighbours by writing into the later one, which may be a view of the vocoder's output."""
        dtype = fragments[0].dtype
        for i in range(len(fragments) - 1):
            before, after = fragments[i].float(), fragments[i + 1].float()
            tail, window = before[-overlap:], after[: overlap + SOLA_SEARCH]
            correlation = F.conv1d(window.view(1, 1, -1), tail.view(1, 1, -1)).view(-1)
            energy = F.conv1d(window.view(1, 1, -1) ** 2, torch.ones_like(tail).view(1, 1, -1)).view(-1) + 1e-8
            after = after[int((correlation / energy.sqrt()).argmax()) :]
            fade = torch.hann_window(2 * overlap, device=before.device)
            after[:overlap] = fade[:overlap] * after[:overlap] + fade[overlap:] * tail
            fragments[i], fragments[i + 1] = before[:-overlap], after
        return torch.cat(fragments).to(dtype)

    def audio_postprocess(self, fragments: list[Tensor], rate: int) -> tuple[int, NDArray[np.int16]]:
        """Scales a fragment over full scale in place, puts pauses between, and rounds to 16 bits."""
        pause = torch.zeros(int(self.configs.sampling_rate * 0.3), dtype=self.precision, device=self.configs.device)
        whole = []
        for fragment in fragments:
            peak = torch.abs(fragment).max()
            if peak > 1:
                fragment /= peak
            whole.append(torch.cat([fragment, pause]))
        audio = torch.cat(whole).cpu().numpy()
        return rate, (audio * 32768).astype(np.int16)


def heard(tts: TTS, sentences: list[int], **options: Any) -> NDArray[np.int16]:
    """The whole waveform of a request."""
    return np.concatenate([audio for _, audio in tts.run(sentences, **options)])


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    """Copies of a module's values."""
    return {key: value.clone() for key, value in module.state_dict().items()}
