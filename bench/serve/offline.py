"""A folder of mels to a folder of WAVs: which files, and what becomes of each in batches, one engine a process."""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import InputError, first_line
from bench.files import read_bytes
from bench.records.writing import write_whole
from bench.serve.batching import choose_batch
from bench.serve.engine import Engine, Output, Samples
from bench.serve.inputs import NPY, SAFETENSORS, read_mel
from bench.serve.settings import ServeSettings
from bench.serve.wav import encode, header
from bench.spec import SPECS

MEDIA_TYPES = {".npy": NPY, ".safetensors": SAFETENSORS}
_HEADER = struct.Struct("<4sI4s24x4sI")


@dataclass(frozen=True)
class Outcome:
    """What became of one mel.

    Attributes:
        source: Its file.
        audio_s: Seconds that were written; 0 where none were.
        error: Why none were; empty where all is well.
    """

    source: str
    audio_s: float
    error: str = ""


def find_mels(mels: Path, out: Path) -> dict[Path, Path]:
    """The files of a folder and of those below, the largest first, and the WAV that each becomes.

    Args:
        mels: With ``.npy`` and ``.safetensors`` files.
        out: Has the same folders afterwards.

    Raises:
        InputError: no such folder, no mel in it, or two mels of one name.
    """
    if not mels.is_dir():
        raise InputError(f"{mels} is no folder of mels")
    found: dict[Path, Path] = {}
    taken: dict[Path, Path] = {}
    files = [path for path in mels.rglob("*") if path.suffix in MEDIA_TYPES and path.is_file()]
    # Mels of one length make batches without padding, and a long one at the end would be waited for.
    for source in sorted(files, key=lambda path: (-path.stat().st_size, path)):
        target = out / source.relative_to(mels).with_suffix(".wav")
        if target in taken:
            raise InputError(f"{source} and {taken[target]} would both become {target}; rename one")
        taken[target] = source
        found[source] = target
    if not found:
        raise InputError(f"{mels} holds no mel: give {' or '.join(MEDIA_TYPES)} files")
    return found


def is_whole(file: Path) -> bool:
    """Whether a WAV of :mod:`bench.serve.wav` has all the samples that its header promises."""
    try:
        with file.open("rb") as content:
            riff, size, wave, data, samples = _HEADER.unpack(content.read(_HEADER.size))
        found = file.stat().st_size
    except (OSError, struct.error):
        return False
    return (riff, wave, data) == (b"RIFF", b"WAVE", b"data") and size + 8 == samples + 44 == found


class FolderVocoder:
    """Vocodes files, each written beside its name first and then moved there.

    Args:
        settings: Case, device and weights, batches, and the longest mel.
        encoding: Of the samples, one of :data:`bench.serve.wav.ENCODINGS`.
        engine: Made by default; for tests.
    """

    def __init__(self, settings: ServeSettings, encoding: str, engine: Engine | None = None) -> None:
        self._settings, self._encoding = settings, encoding
        self._engine = engine or Engine(settings.engine)
        self._spec = SPECS[settings.engine.case.version]

    def vocode(self, files: Sequence[tuple[Path, Path]]) -> list[Outcome]:
        """Vocodes some mels, in as many inferences as their lengths make of them.

        Args:
            files: Sources and targets.

        Returns:
            One a file, in their order; a file that cannot be read or written, or a mel that fails, costs itself alone.
        """
        outcomes: dict[int, Outcome] = {}
        mels: dict[int, Samples] = {}
        for index, (source, _) in enumerate(files):
            try:
                mels[index] = self._read(source)
            except InputError as error:
                outcomes[index] = Outcome(str(source), 0.0, str(error))
        while mels:
            waiting = list(mels)
            lengths = [mels[index].shape[1] for index in waiting]
            halo, step = self._engine.facts.halo, self._settings.engine.step_frames
            chosen = [waiting[place] for place in choose_batch(lengths, self._settings.batch, halo, step)]
            waves = self._run([mels.pop(index) for index in chosen])
            for index, wave in zip(chosen, waves, strict=True):
                outcomes[index] = self._written(*files[index], wave)
        return [outcomes[index] for index in range(len(files))]

    def _read(self, source: Path) -> Samples:
        limits = self._settings.limits
        body = read_bytes(source, "mel", limits.body_bytes)
        try:
            return read_mel(body, MEDIA_TYPES[source.suffix], self._spec, limits.frames)
        except InputError as error:
            raise InputError(f"{source}: {error}") from error

    def _run(self, mels: Sequence[Samples]) -> list[Samples | Exception]:
        """One inference; one that fails is done item by item, so that only the item at fault fails."""
        run: Callable[[Sequence[Samples]], Output] = self._engine.run
        try:
            return list(run(mels).waves)
        except Exception as error:  # noqa: BLE001 - whatever it is, the file's line says so
            if len(mels) == 1:
                return [error]
        return [self._run([mel])[0] for mel in mels]

    def _written(self, source: Path, target: Path, wave: Samples | Exception) -> Outcome:
        if isinstance(wave, Exception):
            return Outcome(str(source), 0.0, f"{source}: {first_line(wave)}")
        rate = self._engine.facts.sample_rate
        try:
            write_whole(target, header(rate, self._encoding, len(wave)) + encode(wave, self._encoding))
        except OSError as error:
            return Outcome(str(source), 0.0, f"{target} cannot be written: {error.strerror}")
        return Outcome(str(source), len(wave) / rate)
