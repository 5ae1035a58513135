"""GPT-SoVITS with one of this suite's runners as its vocoder, put into a live ``TTS`` object and taken out again.

::

    from bench.integrations.gpt_sovits import accelerate

    accelerate(tts_pipeline)

What stands in for the vocoder has the class name that GPT-SoVITS looks for (``BigVGAN``, ``Generator``), so that
weights can be switched and a failed request recovers without losing it; a switch between v3 and v4 accelerates the
new vocoder likewise.
"""

import logging
import os
from typing import Any

from torch import nn

from bench.errors import InputError, first_line
from bench.integrations.choice import AUTO, Wanted
from bench.integrations.counts import Statistics
from bench.integrations.guide_keys import GuideKeys, read_guide_keys
from bench.integrations.live import version_of
from bench.integrations.stand_in import ERROR, ORIGINAL, Accelerated, Options, stand_in

__all__ = ["Accelerated", "accelerate", "accelerated", "restore", "statistics"]

_log = logging.getLogger(__name__)


def accelerate(
    tts: Any,
    backend: str = AUTO,
    precision: str = "fp16",
    *,
    records: str | os.PathLike[str] | None = None,
    measure: bool = True,
    out_of_range: str = ERROR,
    chunks: int = 4,
    config: str | os.PathLike[str] | None = None,
    engine_cache: str | None = None,
) -> "Accelerated":
    """Lets a runner of this suite vocode for a live ``TTS`` object, until :func:`restore`.

    Args:
        tts: With v3 or v4 weights loaded. Its vocoder is kept for :func:`restore`, on the processor unless
            ``out_of_range`` needs it.
        backend: A backend as ``--backends`` has it, such as ``tensorrt-onnx:shapes=1x6_1x466_1x1864``; or ``auto``:
            what ``records`` recommend for this GPU, else the fastest in a short measurement here, else ``fused``, else
            the first that runs.
        precision: Of the runner; the type of what comes in and goes out is GPT-SoVITS's own, as ``.half()`` and
            ``.float()`` set it.
        records: A run, or a folder of runs, of this GPU.
        measure: Whether ``auto`` without records measures, which takes seconds.
        out_of_range: For a mel of a shape that the runner does not take, and where a switched vocoder cannot be
            accelerated: ``error``, or ``original`` to let GPT-SoVITS's own vocoder answer, counted by
            :func:`statistics`.
        chunks: A runner that takes one length only is prepared for the default path's lengths of 1 to ``chunks``
            chunks, 466 frames each in v3 and 500 in v4.
        config: A ``tts_infer.yaml`` with a top-level section ``vocoder_bench`` of the guide's keys; with
            ``use_tensorrt: true`` it takes the place of ``backend`` and ``precision``.
        engine_cache: Folder of built engines, ``off``, or None for the user's.

    Returns:
        What stands in ``tts.vocoder`` now.

    Raises:
        InputError: no v3 or v4 vocoder, or an argument that cannot be used.
        UnsupportedError, WrongOutputError: what was asked for does not run here. The object is as it was before.
    """
    if out_of_range not in (ERROR, ORIGINAL):
        raise InputError(f"out_of_range is {ERROR} or {ORIGINAL}, not {out_of_range!r}")
    if type(chunks) is not int or chunks < 1:
        raise InputError(f"chunks is a whole number from 1, not {chunks!r}")
    keys = GuideKeys() if config is None else read_guide_keys(config)
    for note in keys.notes:
        _log.warning("%s", note)
    options = Options(Wanted(backend, precision, records, measure), keys, out_of_range, chunks, engine_cache)
    version_of(tts.vocoder)
    restore(tts)
    made = stand_in(tts.vocoder, options)
    try:
        made.ready()
    except BaseException:
        made.original.to(made.device)
        raise
    tts.vocoder = made
    _watch(tts, options)
    return made


def restore(tts: Any) -> None:
    """Gives a ``TTS`` object its own vocoder back, where and as it would be; does nothing to one that has it."""
    vars(tts).pop("init_vocoder", None)
    if isinstance(tts.vocoder, Accelerated):
        tts.vocoder = tts.vocoder.give_back()


def statistics(tts: Any) -> Statistics:
    """What the present vocoder of an accelerated ``TTS`` object answered.

    Raises:
        InputError: it is not accelerated.
    """
    if not isinstance(tts.vocoder, Accelerated):
        raise InputError("this TTS object is not accelerated; call accelerate() first")
    return tts.vocoder.counts.read()


def accelerated(vocoder: nn.Module, **arguments: Any) -> "Accelerated":
    """What :func:`accelerate` puts in place of a vocoder, for programs without a ``TTS`` object.

    Args:
        vocoder: A live ``BigVGAN`` or ``Generator``.
        arguments: As for :func:`accelerate`.
    """

    class Holder:
        """Has the one attribute that counts."""

    holder: Any = Holder()
    holder.vocoder = vocoder
    return accelerate(holder, **arguments)


def _watch(tts: Any, options: Options) -> None:
    """Accelerates what ``init_vocoder`` puts in place of an accelerated vocoder: that of another version."""
    if not hasattr(type(tts), "init_vocoder"):
        return
    own = tts.init_vocoder

    def init_vocoder(version: str) -> None:
        before = tts.vocoder
        own(version)
        if isinstance(before, Accelerated) and before is not tts.vocoder:
            before.close()
        if not isinstance(tts.vocoder, Accelerated):
            made = stand_in(tts.vocoder, options)
            tts.vocoder = made
            try:
                made.ready()
            except Exception as error:  # noqa: BLE001 - GPT-SoVITS would be left with half of its weights switched
                # The next call says so, or the original answers.
                _log.warning("the %s vocoder cannot be accelerated: %s", version, first_line(error))

    tts.init_vocoder = init_vocoder
