"""A case's sound is judged through its runner, and a backend's planted faults are caught by name."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile
import torch
from torch import Tensor

from bench import backend as base
from bench.audio.mel import LOG_FLOOR
from bench.audio.speech import Voice
from bench.backend import Backend, Request, Runner, register
from bench.backends import backends
from bench.backends.eager import Eager
from bench.case import Case
from bench.records.jsonl import dump_record, load_record
from bench.records.schema import Record, Status
from bench.run.quality import judge_case
from bench.run.session import Session
from bench.run.settings import Settings
from bench.spec import V3
from tests.synthetic_records import sound_of

FRAMES = 24


@pytest.fixture
def settings(v3_directory: Path, tmp_path: Path) -> Settings:
    """A run on the processor with the small v3."""
    return Settings("run", str(tmp_path), weights=(str(v3_directory),))


@pytest.fixture
def session(settings: Settings) -> Iterator[Session]:
    """What its cases share."""
    with Session(settings) as session:
        yield session


@pytest.fixture
def plant() -> Iterator[Callable[[Callable[[Callable[[Tensor], Tensor], Tensor], Tensor]], None]]:
    """Registers a backend ``planted``: eager, its calls handed through a function that may spoil them."""
    before = dict(backends())

    def planted(spoil: Callable[[Callable[[Tensor], Tensor], Tensor], Tensor]) -> None:
        class Planted(Backend):
            name = "planted"

            def unavailable_reason(self, _: torch.device) -> str | None:
                return None

            def prepare(self, request: Request) -> Runner:
                runner = Eager().prepare(request)
                return replace(runner, run=lambda mel: spoil(runner.run, mel))

        register(Planted)

    yield planted
    base.REGISTRY.clear()
    base.REGISTRY.update(before)


def judged(session: Session, backend: str, batch: int = 1, frames: int = FRAMES, precision: str = "fp32") -> Record:
    """The record of one judged case."""
    return judge_case(Case("v3", backend, precision, batch, frames), session)


def test_eager_against_itself_is_the_noise_floor(session: Session) -> None:
    """Eager float32 passes with nothing to say, on every input, and its error is one times its own."""
    record = judged(session, "eager")
    assert record.status is Status.OK
    sound = sound_of(record)
    assert (sound.verdict, sound.decided_by, sound.reason) == ("pass", "", "")
    assert sound.snr_db is not None
    assert sound.snr_db > 110
    assert sound.error_multiple == pytest.approx(1, rel=0.5)
    assert sound.eager_float64_snr_db is not None
    assert sound.eager_float64_snr_db > 100
    names = {"speech", "other speech", "higher voice", "loud", "quiet", "pause", "silence", "other length"}
    assert names <= set(sound.inputs)
    assert load_record(dump_record(record)) == record


def test_bf16_is_judged_as_bf16(session: Session) -> None:
    """Half the bits are no failure under their own label, and far above eager's own error."""
    record = judged(session, "eager", precision="bf16")
    sound = sound_of(record)
    assert sound.verdict in ("pass", "warn"), sound.inputs
    assert sound.snr_db is not None
    assert 25 < sound.snr_db < 60
    assert sound.error_multiple is not None
    assert sound.error_multiple > 100


def _stale() -> Callable[[Callable[[Tensor], Tensor], Tensor], Tensor]:
    kept: dict[torch.Size, Tensor] = {}
    return lambda run, mel: kept.setdefault(mel.shape, run(mel))


def _dropout(run: Callable[[Tensor], Tensor], mel: Tensor) -> Tensor:
    wave = run(mel).clone()
    wave[..., 2000:2480] = 0
    return wave


def _click(run: Callable[[Tensor], Tensor], mel: Tensor) -> Tensor:
    wave = run(mel).clone()
    wave[..., 1234] += 0.5
    return wave


def _nan(run: Callable[[Tensor], Tensor], mel: Tensor) -> Tensor:
    wave = run(mel).clone()
    wave[..., 77] = torch.nan
    return wave


FAULTS: dict[str, tuple[Callable[[Callable[[Tensor], Tensor], Tensor], Tensor], str]] = {
    "stale buffer": (_stale(), "stale_output"),
    "silence": (lambda run, mel: 0 * run(mel), "silence"),
    "NaN": (_nan, "nan_count"),
    "polarity": (lambda run, mel: -run(mel), "polarity_flipped"),
    "delay": (lambda run, mel: run(mel).roll(1, dims=-1), "lag_samples"),
    "gain": (lambda run, mel: run(mel) * 10 ** (-1 / 20), "gain_db"),
    "dropout": (_dropout, "hole_db"),
    "click": (_click, "click_crest"),
    "length": (lambda run, mel: run(mel)[..., :-1], "length"),
    "half precision": (lambda run, mel: run(mel).half().float(), "snr_db"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_planted_faults_fail_by_name(
    name: str, session: Session, plant: Callable[[Callable[[Callable[[Tensor], Tensor], Tensor], Tensor]], None]
) -> None:
    """A backend with a fault fails, and the verdict names what decided."""
    spoil, decided_by = FAULTS[name]
    plant(spoil)
    sound = sound_of(judged(session, "planted"))
    assert (sound.verdict, sound.decided_by) == ("fail", decided_by), sound.inputs


def test_swapped_batch_items_fail(
    session: Session, plant: Callable[[Callable[[Callable[[Tensor], Tensor], Tensor], Tensor]], None]
) -> None:
    """A batch whose items changed places fails, and eager's own batch does not."""
    plant(lambda run, mel: run(mel).flip(0))
    swapped = sound_of(judged(session, "planted", batch=2))
    assert swapped.verdict == "fail"
    assert swapped.inputs["batch"].reason == "batch item 0 holds the output of item 1"
    assert sound_of(judged(session, "eager", batch=2)).verdict == "pass"


def test_chunk_length_is_kept_to_listen_to(session: Session, settings: Settings) -> None:
    """A streaming chunk leaves reference, test and difference beside the records, as the record says."""
    record = judged(session, "eager", frames=23)
    assert set(record.files) == {"reference", "test", "difference"}
    for path in record.files.values():
        samples, rate = soundfile.read(settings.directory / path)
        assert (len(samples), rate) == (23 * 256, 24000)


def test_inputs_are_what_they_are_called() -> None:
    """Loud is louder and quiet quieter by their decibels, the pause is silent, and all differ."""
    inputs = Voice(None, V3).inputs(2, 30)
    assert all(mel.shape == (2, 100, 30) for name, mel in inputs.items() if name != "other length")
    assert inputs["other length"].shape == (2, 100, 21)
    sounding = inputs["other speech"] > LOG_FLOOR + 0.01
    gain = (inputs["loud"] - inputs["other speech"])[sounding]
    assert torch.allclose(gain, torch.tensor(12.0 * 0.1151293), atol=1e-3)
    assert float(inputs["quiet"].mean()) < float(inputs["speech"].mean())
    assert float(inputs["pause"][..., 12:18].max()) == pytest.approx(LOG_FLOOR)
    assert float(inputs["silence"].max()) == pytest.approx(LOG_FLOOR)
    assert len({tuple(mel.flatten().tolist()) for mel in inputs.values()}) == len(inputs)
