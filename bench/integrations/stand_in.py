"""What stands in for GPT-SoVITS's vocoder: a runner of this suite that behaves as the module did."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self, TypeAlias

import torch
from torch import Tensor, nn

from bench.engine_cache import default_engine_cache
from bench.errors import UnsupportedError
from bench.integrations.choice import Choice, Wanted, choose
from bench.integrations.counts import Counts
from bench.integrations.guide_keys import TENSORRT, GuideKeys
from bench.integrations.live import VERSIONS_BY_CLASS, read_live, version_of
from bench.integrations.runners import Model, Runners, active
from bench.lowering.activation import DEFAULT_FORM, fewest_frames
from bench.spec import SPECS

_log = logging.getLogger(__name__)
ERROR, ORIGINAL = "error", "original"
Place: TypeAlias = torch.device | str | int


@dataclass(frozen=True)
class Options:
    """How to accelerate, for every vocoder that the object will hold."""

    wanted: Wanted
    keys: GuideKeys
    out_of_range: str
    chunks: int
    engine_cache: str | None


def stand_in(original: nn.Module, options: Options) -> "Accelerated":
    """Of a class with the name that GPT-SoVITS looks for."""
    return _CLASSES[type(original).__name__](original, options)


class Accelerated:
    """Stands for GPT-SoVITS's vocoder: mel ``(1, 100, frames)`` to waveform ``(1, 1, frames * upsample)``.

    Attributes:
        original: GPT-SoVITS's own vocoder.
        version: ``"v3"`` or ``"v4"``.
        device: Where mels come from and waveforms go to.
        counts: What was answered.
    """

    def __init__(self, original: nn.Module, options: Options) -> None:
        self.original, self.version = original, version_of(original)
        self.counts = Counts(self.version)
        first = next(original.parameters())
        self.device, self._dtype = first.device, first.dtype
        self._options = options
        self._lock = threading.RLock()
        self._runners: Runners | None = None
        self._choice: Choice | None = None
        self._failure: Exception | None = None
        self._stream: torch.cuda.Stream | None = None
        self._samples_per_frame, self._rate = 1, 1
        self._keep_original()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} by {self.choice.case.id if self.choice else 'nothing yet'} on {self.device}>"

    def __getattr__(self, name: str) -> Any:
        """Everything else is the original's."""
        if name == "original":
            raise AttributeError(name)
        return getattr(self.original, name)

    @property
    def choice(self) -> Choice | None:
        """What runs and why; None before the first call on a device."""
        return self._choice

    def ready(self) -> Runners:
        """Prepares for the present device, if that is not done.

        Raises:
            InputError, UnsupportedError, WrongOutputError: what was asked for does not run here.
        """
        with self._lock:
            if self._failure is not None:
                raise self._failure.with_traceback(None)
            if self._runners is None:
                try:
                    self._choice, self._runners = self._prepare()
                except Exception as error:
                    self._failure = error
                    raise
            return self._runners

    def __call__(self, mel: Tensor) -> Tensor:
        """Vocodes; the waveform is the caller's own, of the mel's type, within [-1, 1], and may be written to.

        Raises:
            UnsupportedError: the runner does not take this length, and the original is not to answer.
        """
        with self._lock:
            try:
                runners = self.ready()
            except Exception:  # noqa: BLE001 - raised again where the original is not to answer
                return self._pass_on(mel, "not prepared", None)
            runner = runners.find(tuple(mel.shape))
            if runner is None:
                return self._pass_on(mel, "length", self._no_length(runners, mel))
            wave = self._run(runners, lambda given: runner.run(given.to(runner.dtype)), mel)
            self.counts.answered(mel.shape[-1] * self._samples_per_frame / self._rate)
            return wave

    def half(self) -> Self:
        """GPT-SoVITS works in float16 from now on; the runner's precision stays."""
        return self._convert(torch.float16)

    def float(self) -> Self:
        """GPT-SoVITS works in float32 from now on; the runner's precision stays."""
        return self._convert(torch.float32)

    def eval(self) -> Self:
        """It always is."""
        return self

    def cpu(self) -> Self:
        """To the processor; what was on the GPU is given back now, and the next call prepares anew."""
        return self.to("cpu")

    def cuda(self, device: Place = "cuda") -> Self:
        """To a GPU."""
        return self.to(torch.device("cuda", device) if isinstance(device, int) else device)

    def to(self, *places: Place | torch.dtype | Tensor, **named: Any) -> Self:
        """As a module's ``to``: a device, a type, both, or a tensor that has both."""
        for place in (*places, named.get("device"), named.get("dtype")):
            if isinstance(place, Tensor):
                self._move(place.device)
                self._convert(place.dtype)
            elif isinstance(place, torch.dtype):
                self._convert(place)
            elif isinstance(place, torch.device | str | int) and not isinstance(place, bool):
                self._move(_device(place))
        return self

    def give_back(self) -> nn.Module:
        """Closes the runners; returns the original on the present device, in the present type."""
        with self._lock:
            self.close()
            return self.original.to(self.device, self._dtype)

    def close(self) -> None:
        """Gives the runners' memory back; the next call prepares anew."""
        with self._lock:
            runners, self._runners = self._runners, None
            self._choice, self._failure, self._stream = None, None, None
            if runners is not None:
                runners.close()

    def _prepare(self) -> tuple[Choice, Runners]:
        options, keys = self._options, self._options.keys
        vocoder, weights = read_live(self.original)
        spec, chunk = vocoder.spec, SPECS[self.version].t_chunk - SPECS[self.version].t_ref
        self._samples_per_frame, self._rate = spec.upsample, spec.sample_rate
        lengths = [chunk * count for count in range(1, options.chunks + 1)]
        wanted = options.wanted
        if keys.use_tensorrt:
            shapes = f"1x{fewest_frames(DEFAULT_FORM)}_1x{chunk}_1x{lengths[-1]}"
            memory = "" if keys.workspace_mib is None else f":workspace_mib={keys.workspace_mib}"
            wanted = replace(
                wanted, backend=f"{TENSORRT}:shapes={shapes}{memory}", precision=keys.precision or wanted.precision
            )
        cache = None if options.engine_cache == "off" else default_engine_cache(options.engine_cache)
        with torch.inference_mode(mode=False), torch.no_grad():
            found = choose(wanted, self.version, Model(vocoder, weights, self.device, cache), lengths)
        _log.info("%s vocodes for GPT-SoVITS on %s: %s", found[0].case.id, self.device, found[0].why)
        return found

    def _run(self, runners: Runners, run: Callable[[Tensor], Tensor], mel: Tensor) -> Tensor:
        """A call on a stream of its own, because TensorRT synchronises on the default one; then a copy of its output.

        The copy is no inference tensor: GPT-SoVITS joins chunks by writing into the waveform outside inference mode.
        """
        with active(runners.case):
            given = mel.detach().to(self.device)
            if self.device.type != "cuda":
                wave = run(given)
            else:
                self._stream = self._stream or torch.cuda.Stream(self.device)
                theirs = torch.cuda.current_stream(self.device)
                self._stream.wait_stream(theirs)
                with torch.cuda.stream(self._stream):
                    wave = run(given)
                theirs.wait_stream(self._stream)
        with torch.inference_mode(mode=False), torch.no_grad():
            own = torch.empty(wave.shape, dtype=mel.dtype, device=self.device)
            torch.clamp(wave, -1.0, 1.0, out=own) if wave.dtype is own.dtype else own.copy_(wave.clamp(-1.0, 1.0))
        if self._stream is not None and self.device.type == "cuda":
            # The runner's next call, maybe for another thread's stream, must not overtake this copy.
            self._stream.wait_stream(torch.cuda.current_stream(self.device))
        return own

    def _pass_on(self, mel: Tensor, reason: str, error: Exception | None) -> Tensor:
        """The original's answer if that is wanted, else the error."""
        refused = self._options.out_of_range != ORIGINAL
        self.counts.passed_on(reason, refused=refused)
        if refused:
            raise error or self._failure or UnsupportedError(reason)
        wave: Tensor = self.original(mel)
        return wave

    def _no_length(self, runners: Runners, mel: Tensor) -> UnsupportedError:
        lengths = ", ".join(map(str, runners.lengths))
        return UnsupportedError(
            f"{runners.case.id} is ready for mels of 1 x 100 x {lengths}, not of {' x '.join(map(str, mel.shape))}: "
            f"accelerate with more chunks, a backend for any length, or out_of_range={ORIGINAL!r}"
        )

    def _convert(self, dtype: torch.dtype) -> Self:
        with self._lock:
            if dtype is not self._dtype:
                _log.info(
                    "GPT-SoVITS works in %s; the runner's precision stays %s", dtype, self._options.wanted.precision
                )
                self._dtype = dtype
                self.original.to(dtype)
        return self

    def _move(self, device: torch.device) -> None:
        with self._lock:
            if device != self.device:
                self.close()
                self.device = device
                self._keep_original()

    def _keep_original(self) -> None:
        """On the device where it may have to answer, else on the processor, where it takes no GPU memory."""
        self.original.to(self.device if self._options.out_of_range == ORIGINAL else "cpu")


def _device(place: Place) -> torch.device:
    """With the number that PyTorch would take."""
    device = torch.device("cuda", place) if isinstance(place, int) else torch.device(place)
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return device


_CLASSES: dict[str, type[Accelerated]] = {name: type(name, (Accelerated,), {}) for name in VERSIONS_BY_CLASS}
