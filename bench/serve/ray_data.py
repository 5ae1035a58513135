"""A folder of mels on a Ray cluster: Ray Data gives files to a pool of actors, an engine and a GPU each."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.cluster import connected, find_ray, last_error
from bench.errors import InputError
from bench.serve.offline import FolderVocoder, Outcome
from bench.serve.settings import ServeSettings

Columns = dict[str, NDArray[Any]]
# Files of a task are so many full batches: of more files, more lengths find their like.
_BATCHES = 4


class VocoderActor:
    """One of the pool's processes.

    Args:
        settings: As :class:`~bench.serve.offline.FolderVocoder`.
        encoding: Likewise.
    """

    def __init__(self, settings: ServeSettings, encoding: str) -> None:
        self._vocoder = FolderVocoder(settings, encoding)

    def __call__(self, files: Columns) -> Columns:
        """Vocodes the files of ``source`` to those of ``target``; a row an outcome."""
        pairs = [(Path(str(a)), Path(str(b))) for a, b in zip(files["source"], files["target"], strict=True)]
        found = self._vocoder.vocode(pairs)
        return {
            "source": np.array([one.source for one in found]),
            "audio_s": np.array([one.audio_s for one in found]),
            "error": np.array([one.error for one in found]),
        }


def vocode_folder(files: Mapping[Path, Path], settings: ServeSettings, encoding: str) -> Iterator[Outcome]:
    """Vocodes files; outcomes come as they are done, in any order.

    Args:
        files: Sources and targets, on every machine.
        settings: An engine for each of its devices, which are all of one kind.
        encoding: Of the samples.

    Raises:
        InputError: there is no Ray, or no engine.
    """
    ray = find_ray("vocoder-bench vocode")
    with connected(ray):
        from ray import data

        logging.getLogger("ray.data").setLevel(logging.ERROR)
        context = data.DataContext.get_current()
        # The command has a bar of its own, of files.
        context.enable_progress_bars = context.print_on_execution_start = False
        rows = [{"source": str(source), "target": str(target)} for source, target in files.items()]
        size = max(1, _BATCHES * settings.batch.items)
        gpu, workers = settings.devices[0] != "cpu", len(settings.devices)
        outcomes = data.from_items(rows, override_num_blocks=-(-len(rows) // size)).map_batches(
            VocoderActor,
            fn_constructor_args=(settings, encoding),
            batch_size=size,
            compute=data.ActorPoolStrategy(size=workers),
            **({"num_gpus": 1} if gpu else {"num_cpus": settings.engine.threads}),
        )
        try:
            for row in outcomes.iter_rows():
                yield Outcome(str(row["source"]), float(row["audio_s"]), str(row["error"]))
        except ray.exceptions.RayError as error:
            raise InputError(last_error(str(error))) from error
