"""Faults that no precision excuses: what happened, by the figure that shows it, the most specific first."""

from collections.abc import Iterator
from dataclasses import dataclass

from bench.quality.spectral import BANDS
from bench.records.fidelity import Fidelity


@dataclass(frozen=True)
class Faults:
    """Where a figure becomes a fault; ``[faults]`` of ``tiers.toml``.

    Attributes:
        silence_db: Level under the reference's.
        unlike_snr_db: SNR under which the output is another sound.
        gain_db: Change of level, of either sign.
        gain_swing_db: Amplitude of a periodic swing of the gain.
        band_loss_db: Power lost in a band, beyond any loss of gain.
        click_crest: An isolated sample of the error over its surroundings.
        tone_db: A steady line of the error over its neighbours.
        image_db: A copy of the signal elsewhere in the spectrum.
        hole_db: Level lost within 5 ms, beyond any loss of gain.
        still_s: Time for which the output stands still.
        dc_db: Mean of the error.
    """

    silence_db: float
    unlike_snr_db: float
    gain_db: float
    gain_swing_db: float
    band_loss_db: float
    click_crest: float
    tone_db: float
    image_db: float
    hole_db: float
    still_s: float
    dc_db: float


def faults(fidelity: Fidelity, limits: Faults) -> Iterator[tuple[str, str]]:
    """Metric and reason of every fault; figures that were not measured show none."""
    if fidelity.nan_count:
        yield "nan_count", f"the output has NaN in {fidelity.nan_count} of {fidelity.samples} samples"
    if fidelity.inf_count:
        yield "inf_count", f"the output is infinite in {fidelity.inf_count} of {fidelity.samples} samples"
    change = _level_change(fidelity)
    if change is not None and change < -limits.silence_db:
        yield "silence", f"the output is silent: its level is {-change:.0f} dB under the reference's"
    if fidelity.polarity_flipped:
        yield "polarity_flipped", "the polarity is flipped"
    if fidelity.lag_samples:
        side = "late" if fidelity.lag_samples > 0 else "early"
        yield "lag_samples", f"the output is {abs(fidelity.lag_samples)} samples {side}"
    if fidelity.slip_samples:
        side = "late" if fidelity.slip_samples > 0 else "early"
        yield "slip_samples", f"a part of the output is {abs(fidelity.slip_samples)} samples {side}"
    yield from _missing(fidelity, limits)
    yield from _added(fidelity, limits)
    if fidelity.gain_db is not None and abs(fidelity.gain_db) > limits.gain_db:
        yield "gain_db", f"the level changed by {fidelity.gain_db:+.2f} dB"
    if fidelity.gain_swing_db is not None and fidelity.gain_swing_db > limits.gain_swing_db:
        yield "gain_swing_db", f"the gain swings by {fidelity.gain_swing_db:.2f} dB either way"
    if fidelity.snr_db is not None and fidelity.snr_db < limits.unlike_snr_db:
        yield "snr_db", f"the output is another sound: its SNR is {fidelity.snr_db:.1f} dB"


def _missing(fidelity: Fidelity, limits: Faults) -> Iterator[tuple[str, str]]:
    # What the whole signal lost is a gain, not a missing part.
    gain = min(fidelity.gain_db or 0.0, 0.0)
    for band in BANDS:
        metric = f"level_change_{band}_db"
        change = getattr(fidelity, metric)
        if change is not None and change - gain < -limits.band_loss_db:
            low, high = band.split("_")
            yield metric, f"the band from {low} to {high} kHz lost {-change:.1f} dB"
    if fidelity.hole_db is not None and fidelity.hole_db - gain < -limits.hole_db:
        yield "hole_db", f"5 ms lost {min(-fidelity.hole_db, 99.0):.0f} dB: a hole"
    if fidelity.still_s is not None and fidelity.still_s > limits.still_s:
        yield "still_s", f"the output stands still for {fidelity.still_s * 1000.0:.0f} ms: a hole"
    if fidelity.band_loss_db is not None and fidelity.band_loss_db - gain < -limits.band_loss_db:
        yield "band_loss_db", f"a band of the ear's width lost {-fidelity.band_loss_db:.1f} dB"


def _added(fidelity: Fidelity, limits: Faults) -> Iterator[tuple[str, str]]:
    if fidelity.click_crest is not None and fidelity.click_crest > limits.click_crest:
        yield "click_crest", f"one sample of the error is {fidelity.click_crest:.0f} times its surroundings: a click"
    if fidelity.click_train:
        yield "click_train", f"clicks of {fidelity.click_train:.2g} come back at a constant distance"
    if fidelity.tone_db is not None and fidelity.tone_db > limits.tone_db:
        yield "tone_db", f"a steady tone stands {fidelity.tone_db:.0f} dB out of the error"
    if fidelity.image_db is not None and fidelity.image_db > limits.image_db:
        yield "image_db", f"a copy of the signal elsewhere in the spectrum lies at {fidelity.image_db:.0f} dB"
    if fidelity.dc_db is not None and fidelity.dc_db > limits.dc_db:
        yield "dc_db", f"the output has a DC offset of {fidelity.dc_db:.0f} dB"


def _level_change(fidelity: Fidelity) -> float | None:
    if fidelity.level_db is None or fidelity.reference_level_db is None:
        return None
    return fidelity.level_db - fidelity.reference_level_db
