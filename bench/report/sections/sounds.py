"""Reference, test and difference to look at and listen to, as far as the page's size allows."""

import base64
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from markupsafe import Markup
from matplotlib.image import imsave
from numpy.typing import NDArray
from scipy.signal import ShortTimeFFT, get_window

from bench.errors import InputError
from bench.files import read_bytes
from bench.records.rows import Row
from bench.records.run import Run
from bench.records.schema import Record
from bench.report.html import render
from bench.report.names import short_name
from bench.report.section import Section
from bench.report.text import count, number, shape
from bench.run.progress import progress

ROLES = ("reference", "test", "difference")
SOUND_BYTES = 4 * 2**20
# Most bytes of a sound file, and most samples in it: over ten minutes, where a few kilobytes may unfold to gigabytes.
_MOST = 1 << 26
_TRIPLES = 12
_RANGE_DB = 90
_CLIPS = 0.9999
_COLUMNS, _LINES = 480, 200
LOUDER_DB = 40.0  # as bench.quality.listen writes differences
_ORDER = ("fail", "warn", "pass", "not judged", "reference")


@dataclass(frozen=True)
class Sound:
    """One WAV file.

    Attributes:
        role: Reference, test or difference.
        source: Its player's source, or the link that stands in for it.
        note: Length, rate and level.
        picture: Its spectrogram as a ``data:`` URI.
        seconds, khz: What the picture spans.
    """

    role: str
    source: str
    note: str
    picture: str
    seconds: float
    khz: float


@dataclass(frozen=True)
class Triple:
    """The three sounds of one case.

    Attributes:
        name: Anchor in the page.
        title, case: Short name with its shape, and the case's id.
        weights: Which weights ran.
        verdict, heard: On the sound, and what a listener can expect.
        sounds: Reference, test and difference, as far as they were kept.
    """

    name: str
    title: str
    case: str
    weights: str
    verdict: str
    heard: str
    sounds: tuple[Sound, ...]

    @property
    def blind(self) -> bool:
        """Whether reference and test are in the page, to be told apart blindly."""
        here = [sound.role for sound in self.sounds if sound.source.startswith("data:")]
        return {"reference", "test"} <= set(here)


def triples(
    run: Run, link: Callable[[Path], str], progress: Callable[[Iterable[Any]], Iterable[Any]]
) -> tuple[list[Triple], list[str]]:
    """Spectrogram triples with audio.

    Args:
        run: The run.
        link: Turns a file into an address relative to the report.
        progress: Wraps the iteration.

    Returns:
        At most 12 triples, failures first, one a configuration before a second of any; and sentences on
        what is missing.
    """
    rows = _choose([row for row in run.rows if _sound_files(row)])
    notes = []
    if not rows:
        return [], ["No sound files were kept beside these records, so there is nothing to listen to."]
    left = SOUND_BYTES
    found = []
    for index, row in enumerate(progress(rows[:_TRIPLES])):
        triple, used, problems = _triple(run, row, f"sound-{index}", left, link)
        left -= used
        notes += problems
        if triple:
            found.append(triple)
    if len(rows) > _TRIPLES:
        notes.append(
            f"{count(len(rows) - _TRIPLES, 'more case')} kept sound files; they lie beside the records and are "
            "left out to keep this page small."
        )
    return found, notes


def _sound_files(row: Row) -> dict[str, str]:
    record = row.quality or row.record
    return {role: record.files[role] for role in ROLES if role in record.files}


def _choose(rows: list[Row]) -> list[Row]:
    seen: dict[tuple[str, str], int] = {}
    ranked = []
    for row in rows:
        key = (row.case.version, row.configuration)
        seen[key] = seen.get(key, 0) + 1
        ranked.append((seen[key], _ORDER.index(row.judgement.verdict), row.line, row))
    return [row for *_, row in sorted(ranked, key=lambda item: item[:3])]


def _read(path: Path) -> tuple[bytes, NDArray[np.float32], int]:
    """Content, samples ``(samples, channels)`` and rate of a sound file.

    Raises:
        InputError: it is no file, or larger than a sound of a run.
        SoundFileError: it is no sound.
    """
    content = read_bytes(path, "sound", _MOST)
    with soundfile.SoundFile(io.BytesIO(content)) as sound:
        if sound.frames * sound.channels > _MOST:
            raise InputError(f"sound {path} is too long")
        return content, sound.read(dtype="float32", always_2d=True), sound.samplerate


def _triple(
    run: Run, row: Row, name: str, left: int, link: Callable[[Path], str]
) -> tuple[Triple | None, int, list[str]]:
    record: Record = row.quality or row.record
    sounds, problems, used = [], [], 0
    reference_db: float | None = None
    for role, relative in _sound_files(row).items():
        # No path holds a NUL.
        path = (run.directory / relative.replace("\0", "")).resolve()
        if not path.is_relative_to(run.directory.resolve()):
            problems.append(f"{row.case.id}: the {role} file {relative!r} lies outside the run and is left out.")
            continue
        try:
            content, audio, sample_rate = _read(path)
        except (InputError, OSError, TypeError, soundfile.SoundFileError):
            problems.append(f"{row.case.id}: the {role} file {relative!r} is missing or no sound file.")
            continue
        mono = audio[:, 0]
        if role == "reference":
            reference_db = level_db(mono)
        note = _note(role, mono, sample_rate, reference_db)
        size = len(content) * 4 // 3
        kept = used + size <= left
        used += size if kept else 0
        source = data_uri(content, "audio/wav") if kept else link(path)
        note += "" if kept else "; a file beside the records, not in this page"
        picture = _picture(mono, sample_rate)
        sounds.append(Sound(role, source, note, picture, len(mono) / sample_rate, sample_rate / 2000))
    if not sounds:
        return None, used, problems
    weights = record.weights.name if record.weights else "weights not recorded"
    title = f"{row.case.version} {short_name(row.case)}, {shape(row.case)}"
    heard = row.judgement.sound.heard if row.judgement.sound else ""
    triple = Triple(name, title, row.case.id, weights, row.judgement.verdict, heard, tuple(sounds))
    return triple, used + sum(len(sound.picture) for sound in sounds), problems


def _note(role: str, audio: np.ndarray, sample_rate: int, reference_db: float | None) -> str:
    """Length and level; of the difference, how far it lies under the reference as it really is."""
    note = f"{len(audio) / sample_rate:.2f} s, {sample_rate} Hz, {number(level_db(audio))} dB RMS"
    if role != "difference":
        return note
    real = level_db(audio) - LOUDER_DB
    under = f", {number(reference_db - real)} dB under the reference" if reference_db is not None else ""
    more = "; it clips, so that it is more" if np.max(np.abs(audio), initial=0.0) > _CLIPS else ""
    return f"{note}, played {LOUDER_DB:.0f} dB louder than it is: really {number(real)} dB{under}{more}"


def level_db(audio: np.ndarray) -> float:
    """RMS level in dB re full scale; -200 for digital silence."""
    rms = float(np.sqrt(np.mean(np.square(audio, dtype=np.float64)))) if audio.size else 0.0
    return 20 * float(np.log10(max(rms, 1e-10)))


def _picture(audio: np.ndarray, sample_rate: int) -> str:
    """A spectrogram as a PNG in a ``data:`` URI."""
    stream = io.BytesIO()
    level = _shrink(spectrogram_db(audio, sample_rate))
    imsave(stream, level, origin="lower", vmin=-_RANGE_DB, vmax=0, cmap="magma", format="png")
    return data_uri(stream.getvalue(), "image/png")


def data_uri(content: bytes, kind: str) -> str:
    """Bytes as a ``data:`` URI of a media type."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def spectrogram_db(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Short-time spectrum in dB, where a full-scale sine has 0 dB.

    Args:
        audio: ``(samples,)``.
        sample_rate: In Hz.

    Returns:
        ``(513, times)``, Hann window of 1024 samples, hop 256; floor -200 dB.
    """
    window = get_window("hann", 1024)
    padded = np.pad(audio, (0, max(0, 1024 - len(audio))))
    transform = ShortTimeFFT(window, hop=256, fs=sample_rate, scale_to="magnitude")
    magnitude: np.ndarray = 2 * np.abs(transform.stft(padded))
    return np.asarray(20 * np.log10(np.maximum(magnitude, 1e-10)))


def _shrink(level_db: np.ndarray) -> np.ndarray:
    """At most 200 x 480 cells, each the loudest of those it stands for, so that no click is lost."""
    for axis, limit in ((0, _LINES), (1, _COLUMNS)):
        step = -(-level_db.shape[axis] // limit)
        level_db = np.maximum.reduceat(level_db, np.arange(0, level_db.shape[axis], step), axis=axis)
    return level_db


class Sounds(Section, anchor="sounds", nav="Listen", order=50):
    """What was kept to listen to."""

    def html(self) -> Markup:
        """A figure with spectrograms and players for each case."""
        found, notes = triples(self.page.run, self.page.link, partial(progress, label="spectrograms"))
        return render("sections/sounds.html.j2", sounds=found, sound_notes=notes)
