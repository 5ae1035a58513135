"""A recommended configuration as something to call, and the lines that do it."""

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from bench.errors import UnsupportedError
from bench.recommend.choice import Recommendation, recommend
from bench.spec import SPECS

if TYPE_CHECKING:
    from torch import Tensor


def code(answer: Recommendation, records: str | Path, weights: str | None = None) -> str:
    """The lines of Python that run the answer."""
    spec, case = SPECS[answer.version], answer.chosen.case
    arguments = [repr(str(records)), repr(answer.version)]
    if weights is not None:
        arguments.append(f"weights={weights!r}")
    arguments += [f"objective={answer.objective!r}", f"frames={case.frames}", f"device={answer.device!r}"]
    mel, audio = (case.batch, spec.bands, case.frames), (case.batch, 1, case.frames * spec.upsample)
    return (
        "from bench.recommend import load\n\n"
        f"with load({', '.join(arguments)}) as vocode:\n"
        f"    audio = vocode(mel)  # log-mel {mel} to samples {audio} at {spec.sample_rate} Hz"
    )


class Vocode:
    """A recommended runner: float32 log-mel ``(batch, bands, frames)`` to waveform ``(batch, 1, samples)``.

    Attributes:
        answer: Why it is this one.
        case: What runs.
    """

    def __init__(self, answer: Recommendation, weights: str | Path | None) -> None:
        from bench.measure.environment import physical_cores
        from bench.run.session import Session
        from bench.run.settings import Settings

        self.answer, self.case = answer, answer.chosen.case
        self._stack = ExitStack()
        paths = () if weights is None else (str(weights),)
        settings = Settings("recommend", device=answer.device, weights=paths, threads=physical_cores())
        with ExitStack() as stack:
            self._session = stack.enter_context(Session(settings))
            self._prepared = stack.enter_context(self._session.open(self.case))
            self._stack = stack.pop_all()

    def __call__(self, mel: "Tensor") -> "Tensor":
        """Vocodes a log-mel; the waveform is the caller's own, in float32 on the mel's device.

        Raises:
            UnsupportedError: the runner was made for other shapes.
        """
        prepared, shape = self._prepared, tuple(mel.shape)
        if shape != tuple(prepared.mel.shape) and not prepared.runner.takes(shape):
            raise UnsupportedError(f"{self.case.id} does not take the shape {shape}: choose by --frames, or pad.")
        with self._session.active(self.case):
            audio = prepared.runner.run(mel.to(self._session.device, prepared.runner.dtype))
            # The runner may use its output's memory again.
            own: Tensor = audio.float().clone()
            return own.to(mel.device)

    def close(self) -> None:
        """Gives the runner's memory back."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def load(
    records: str | Path,
    version: str,
    weights: str | Path | None = None,
    *,
    objective: str = "latency",
    frames: int | None = None,
    max_build_s: float | None = None,
    device: str | None = None,
) -> Vocode:
    """The runner that a run recommends, prepared.

    Args:
        records: ``results/<run>``, or its ``records.jsonl``.
        version: ``"v3"`` or ``"v4"``.
        weights: v3 directory, v4 ``vocoder.pth`` or GPT-SoVITS checkout; None for synthetic weights.
        objective: As for :func:`recommend`.
        frames: As for :func:`recommend`.
        max_build_s: As for :func:`recommend`.
        device: As for :func:`recommend`.

    Raises:
        InputError: nothing may be recommended, or the weights cannot be used.
        UnsupportedError, WrongOutputError: this machine does not run what the records recommend.
    """
    answer = recommend(records, version, objective, frames=frames, max_build_s=max_build_s, device=device)
    return Vocode(answer, weights)
