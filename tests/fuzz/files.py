"""Good files of every kind that a user hands over, what reads them, and how they are spoiled.

``python tools/fuzz.py --minutes 20`` reads spoiled ones for as long as is wanted; the tests read a few of each kind.
"""

import json
import logging
import os
import random
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import torch

from bench.audio.speech import Voice
from bench.compare.history import append_history, read_history, trend
from bench.compare.runs import compare_runs
from bench.compare.thresholds import DEFAULT_FILE, load_thresholds
from bench.engine_cache import EngineCache
from bench.errors import InputError
from bench.integrations.guide_keys import read_guide_keys
from bench.recommend import code, recommend
from bench.records.frame import records_frame
from bench.records.jsonl import append_record, read_records
from bench.records.plan import PLAN_FILE, Plan, read_plan, write_plan
from bench.records.run import load_run
from bench.records.schema import FILE_NAME
from bench.report.render import write_report
from bench.report.sections.sounds import triples
from bench.run.settings import Settings
from bench.run.sweep import load_profile, profile_directory
from bench.run.whole import _resumed
from bench.spec import V3, V4
from bench.vocoders import load_vocoder
from tests.comparing import quality, record
from tests.conftest import SMALL_V3, small_v3
from tests.fuzz import spoiling
from tests.small_vocoders import tiny
from tests.synthetic_records import with_audio

LIMIT_S = 10.0
KEY = {"version": "v4", "backend": "tensorrt-onnx", "precision": "fp16"}
_YAML = "custom:\n  device: cpu\nvocoder_bench:\n  use_tensorrt: true\n  tensorrt_precision: fp16\n"


@dataclass(frozen=True)
class Target:
    """A good file, what reads it, and what spoils it.

    Attributes:
        file: The file that is spoiled.
        read: Reads it, as a user's command would.
        spoil: A spoiled content, from the good one.
    """

    file: Path
    read: Callable[[], object]
    spoil: spoiling.Spoil = spoiling.anywhere


Maker: TypeAlias = Callable[[Path], Target]


def _config(folder: Path, spoil: spoiling.Spoil) -> Target:
    _model(folder, new=True)
    return Target(folder / "config.json", lambda: load_vocoder("v3", folder), spoil)


def _checkpoint(folder: Path, spoil: spoiling.Spoil, *, new: bool = True) -> Target:
    return Target(_model(folder, new=new), lambda: load_vocoder("v3", folder), spoil)


def _model(folder: Path, *, new: bool) -> Path:
    model = folder / "bigvgan_generator.pt"
    (folder / "config.json").write_text(json.dumps(SMALL_V3), encoding="utf-8")
    torch.save(small_v3().state_dict(), model, _use_new_zipfile_serialization=new)
    return model


def _v4(folder: Path) -> Target:
    model = folder / "vocoder.pth"
    torch.save(tiny("v4").state_dict(), model)
    return Target(model, lambda: load_vocoder("v4", model), spoiling.anywhere)


def _audio(folder: Path, spoil: spoiling.Spoil) -> Target:
    file = folder / "speech.flac"
    file.write_bytes(spoiling.short_speech())

    def read() -> None:
        for spec in (V3, V4):
            Voice(str(file), spec).inputs(2, 60)

    return Target(file, read, spoil)


def _sweep(folder: Path, spoil: spoiling.Spoil) -> Target:
    file = folder / "sweep.toml"
    file.write_bytes(
        b"repeats = 2\n" + (profile_directory() / "smoke.toml").read_bytes() + b"\n[stop]\nmin_rounds = 3\n"
    )
    return Target(file, lambda: load_profile(str(file)).cases(), spoil)


def _thresholds(folder: Path, spoil: spoiling.Spoil) -> Target:
    file = folder / "thresholds.toml"
    file.write_bytes(DEFAULT_FILE.read_bytes())
    nights = [[record(frames, night=night) for frames in range(100, 103)] for night in (0, 1)]
    return Target(file, lambda: compare_runs(*nights, thresholds=load_thresholds(file)), spoil)


def _history(folder: Path, spoil: spoiling.Spoil) -> Target:
    for night in (1, 2):
        run = folder / f"run-{night}"
        for made in (record(night=night), quality(night=night, snr_db=60.0)):
            append_record(run, made)
        [file] = append_history(run, folder / "history")

    def read() -> None:
        nights = read_history(folder / "history")
        trend(nights)
        compare_runs(folder / "run-1", folder / "run-2", history=nights)

    return Target(file, read, spoil)


def _records(folder: Path, spoil: spoiling.Spoil) -> Target:
    for made in (record(1), record(2, noise=0.1), quality(1, snr_db=60.0, samples=100, sample_rate=24000)):
        append_record(folder, made)
    file = folder / FILE_NAME

    def read() -> None:
        for step in (
            lambda: compare_runs(folder, folder),
            lambda: records_frame(load_run(folder).records),
            lambda: code(recommend(folder, "v3"), folder),
            lambda: append_history(folder, folder / "history"),
            lambda: read_records(folder),
        ):
            _accepting(step)

    return Target(file, read, spoil)


def _report(folder: Path) -> Target:
    append_record(folder, record(1))
    append_record(folder, with_audio(folder, quality(1, snr_db=60.0, samples=100, sample_rate=24000)))
    return Target(folder / FILE_NAME, lambda: write_report(folder), spoiling.json_lines)


def _sound(folder: Path) -> Target:
    made = with_audio(folder, quality(1, snr_db=60.0, samples=100, sample_rate=24000))
    append_record(folder, made)
    run = load_run(folder)
    return Target(folder / made.files["test"], lambda: triples(run, str, iter), spoiling.sounds)


def _plan(folder: Path) -> Target:
    append_record(folder, record(1))
    case = record(1).case
    settings = Settings("run-1", str(folder.parent), device="cpu")
    plan = Plan("run-1", "2026-01-01T00:00:00+00:00", (("speed", case.id),), (case,), spoiling.plain(settings))
    write_plan(folder, plan)

    def read() -> None:
        for step in (lambda: read_plan(folder), lambda: load_run(folder), lambda: _resumed(folder)):
            _accepting(step)

    return Target(folder / PLAN_FILE, read, spoiling.json_values)


def _guide(folder: Path, spoil: spoiling.Spoil) -> Target:
    file = folder / "tts_infer.yaml"
    file.write_text(_YAML, encoding="utf-8")
    return Target(file, lambda: read_guide_keys(file), spoil)


def _engine(folder: Path, spoil: spoiling.Spoil) -> Target:
    plan = bytes(range(256)) * 8
    made = EngineCache(folder / "engines", 1 << 30).fetch(KEY, lambda: plan)
    assert made.file is not None

    def read() -> object:
        kept = EngineCache(folder / "engines", 1 << 30)
        assert kept.fetch(KEY, lambda: plan).plan == plan
        return kept.entries(), kept.entries(checked=True), kept.prune()

    return Target(made.file, read, spoil)


def _accepting(step: Callable[[], object]) -> None:
    """Takes a sentence of one reader for an answer, so that the next is asked too."""
    try:
        step()
    except InputError as error:
        if not str(error).isprintable():
            raise AssertionError(f"not one printable sentence: {str(error)!r}") from error


MAKERS: dict[str, Maker] = {
    "config": partial(_config, spoil=spoiling.anywhere),
    "config's values": partial(_config, spoil=spoiling.json_values),
    "checkpoint": partial(_checkpoint, spoil=spoiling.anywhere),
    "old checkpoint": partial(_checkpoint, spoil=spoiling.anywhere, new=False),
    "checkpoint's tensors": partial(_checkpoint, spoil=spoiling.tensors),
    "v4 checkpoint": _v4,
    "audio": partial(_audio, spoil=spoiling.anywhere),
    "odd audio": partial(_audio, spoil=spoiling.sounds),
    "sweep": partial(_sweep, spoil=spoiling.anywhere),
    "sweep's values": partial(_sweep, spoil=spoiling.toml_values),
    "thresholds": partial(_thresholds, spoil=spoiling.anywhere),
    "thresholds' values": partial(_thresholds, spoil=spoiling.toml_values),
    "history": partial(_history, spoil=spoiling.anywhere),
    "history's values": partial(_history, spoil=spoiling.json_lines),
    "records": partial(_records, spoil=spoiling.anywhere),
    "records' values": partial(_records, spoil=spoiling.json_lines),
    "report": _report,
    "report's sound": _sound,
    "plan": _plan,
    "guide": partial(_guide, spoil=spoiling.anywhere),
    "guide's values": partial(_guide, spoil=spoiling.yaml_values),
    "engine": partial(_engine, spoil=spoiling.anywhere),
    "engine's header": partial(_engine, spoil=spoiling.header_values),
}
# A report has charts, which take half a second.
SLOW = ("report",)
KINDS = tuple(MAKERS)


@dataclass(frozen=True)
class Finding:
    """What went wrong.

    Attributes:
        kind: Of the file.
        number: Of the file, from 0.
        content: What was in it.
        what: A traceback, or a sentence.
        place: What findings of one fault have in common.
    """

    kind: str
    number: int
    content: bytes
    what: str
    place: str


def fuzz(kind: str, folder: Path, rounds: int, seed: int) -> list[Finding]:
    """What went wrong with ``rounds`` spoiled files of a kind."""
    return list(findings(kind, folder, rounds, seed, lambda _: None))


def findings(kind: str, folder: Path, rounds: int, seed: int, begin: Callable[[int], object]) -> Iterator[Finding]:
    """Reads spoiled files.

    Args:
        kind: One of :data:`KINDS`.
        folder: Where they lie.
        rounds: How many.
        seed: Of the changes.
        begin: Called with the number of every file before it is read.
    """
    # What is said of engines that are built again is no finding.
    logging.getLogger("bench").setLevel(logging.ERROR)
    target = MAKERS[kind](folder)
    good, chance = target.file.read_bytes(), _chance(kind, seed)
    for number in range(rounds):
        content = target.spoil(good, chance)
        target.file.parent.mkdir(parents=True, exist_ok=True)
        target.file.write_bytes(content)
        begin(number)
        found = _read(target)
        if found is not None:
            yield Finding(kind, number, content, *found)


def content(kind: str, number: int, seed: int) -> bytes:
    """The content of one of the files that :func:`findings` reads."""
    with tempfile.TemporaryDirectory() as folder:
        target = MAKERS[kind](Path(folder))
        good, chance = target.file.read_bytes(), _chance(kind, seed)
        return [target.spoil(good, chance) for _ in range(number + 1)][-1]


def _chance(kind: str, seed: int) -> random.Random:
    return random.Random(f"{kind} {seed}")  # noqa: S311 - no secret


def _read(target: Target) -> tuple[str, str] | None:
    """What went wrong with one file, and where; None where nothing did."""
    home, started = Path.cwd(), time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            target.read()
    except InputError as error:
        if not str(error).isprintable():
            return f"not one printable sentence: {str(error)!r}", "unprintable"
    except (Exception, SystemExit) as error:  # noqa: BLE001 - that is what is looked for
        return traceback.format_exc(), _place(error)
    finally:
        os.chdir(home)
    taken_s = time.process_time() - started
    return (f"took {taken_s:.0f} s", "slow") if taken_s > LIMIT_S else None


def _place(error: BaseException) -> str:
    """Type of the exception, and where the project's code last had it in hand."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/bench/" in frame.filename]
    last = frames[-1] if frames else None
    where = f"{last.filename.rpartition('/bench/')[2]}:{last.lineno}" if last else "?"
    return f"{type(error).__name__} at {where}"
