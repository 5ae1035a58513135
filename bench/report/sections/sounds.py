"""Reference, test and difference to look at and listen to, as far as the page's size allows."""

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from markupsafe import Markup
from matplotlib.figure import Figure
from scipy.signal import ShortTimeFFT, get_window

from bench.records.rows import Row
from bench.records.run import Run
from bench.records.schema import Record
from bench.report.figures.style import data_uri, figure, house, to_svg
from bench.report.html import render
from bench.report.section import Section
from bench.report.text import count
from bench.run.progress import progress

ROLES = ("reference", "test", "difference")
SOUND_BYTES = 4 * 2**20
_TRIPLES = 12
_RANGE_DB = 90
_COLUMNS, _LINES = 260, 160
_ORDER = ("fail", "warn", "pass", "not judged", "reference")


@dataclass(frozen=True)
class Sound:
    """One WAV file: how it was made out, its player's source or the link that stands in for it."""

    role: str
    source: str
    note: str


@dataclass(frozen=True)
class Triple:
    """The three sounds of one case and their spectrograms."""

    name: str
    case: str
    weights: str
    verdict: str
    sounds: tuple[Sound, ...]
    svg: Markup


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


def _triple(
    run: Run, row: Row, name: str, left: int, link: Callable[[Path], str]
) -> tuple[Triple | None, int, list[str]]:
    record: Record = row.quality or row.record
    sounds, panels, problems, used = [], [], [], 0
    for role, relative in _sound_files(row).items():
        path = (run.directory / relative).resolve()
        if not path.is_relative_to(run.directory.resolve()):
            problems.append(f"{row.case.id}: the {role} file {relative!r} lies outside the run and is left out.")
            continue
        try:
            content = path.read_bytes()
            audio, sample_rate = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
        except (OSError, soundfile.SoundFileError):
            problems.append(f"{row.case.id}: the {role} file {relative!r} is missing or no sound file.")
            continue
        length = f"{len(audio) / sample_rate:.2f} s, {sample_rate} Hz"
        size = len(content) * 4 // 3
        if used + size <= left:
            used += size
            sounds.append(Sound(role, data_uri(content, "audio/wav"), length))
        else:
            sounds.append(Sound(role, link(path), f"{length}; a file beside the records, not in this page"))
        panels.append((role, audio[:, 0], sample_rate))
    if not panels:
        return None, used, problems
    weights = record.weights.name if record.weights else "weights not recorded"
    with house():
        svg = to_svg(
            _draw(panels),
            name,
            f"Spectrograms of {row.case.id} ({weights})",
            "Level in dB of full scale over time and frequency, the same colours in all panels.",
        )
    triple = Triple(name, row.case.id, weights, row.judgement.verdict, tuple(sounds), svg)
    return triple, used + len(svg), problems


def _draw(panels: list[tuple[str, np.ndarray, int]]) -> Figure:
    drawing, axes = figure(3.3 * len(panels), 2.4, 1, len(panels), sharex=True, sharey=True)
    image = None
    for panel, (role, audio, sample_rate) in zip(axes, panels, strict=True):
        level_db = spectrogram_db(audio, sample_rate)
        extent = (0.0, len(audio) / sample_rate, 0.0, sample_rate / 2000)
        image = panel.imshow(
            _shrink(level_db),
            origin="lower",
            aspect="auto",
            extent=extent,
            vmin=-_RANGE_DB,
            vmax=0,
            cmap="magma",
            interpolation="nearest",
        )
        panel.set_title(role)
        panel.set_xlabel("s")
        panel.grid(visible=False)
    axes[0].set_ylabel("kHz")
    if image is not None:
        drawing.colorbar(image, ax=axes, label="dB of full scale", pad=0.01, fraction=0.03)
    return drawing


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
    """At most 160 x 260 cells, each the loudest of those it stands for, so that no click is lost."""
    for axis, limit in ((0, _LINES), (1, _COLUMNS)):
        step = -(-level_db.shape[axis] // limit)
        level_db = np.maximum.reduceat(level_db, np.arange(0, level_db.shape[axis], step), axis=axis)
    return level_db


class Sounds(Section, anchor="sounds", nav="Sounds", order=50):
    """What was kept to listen to."""

    def html(self) -> Markup:
        """A figure with spectrograms and players for each case."""
        found, notes = triples(self.page.run, self.page.link, partial(progress, label="spectrograms"))
        return render("sections/sounds.html.j2", sounds=found, sound_notes=notes)
