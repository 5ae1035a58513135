"""Whether a fidelity is what its precision allows: pass, warn or fail, and the metric that decided.

Some faults are wrong in any precision (``[faults]`` of ``tiers.toml``): they are looked for first, the most specific
first, so that a verdict names what happened. After them come the limits of the precision, in the order of the file;
the first that fails decides, else the first that warns. ``docs/fidelity.md`` says where the limits come from.
"""

import functools
import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from bench.errors import InputError
from bench.quality.spectral import BANDS
from bench.records.facts import Better, facts_of
from bench.records.fidelity import Fidelity
from bench.records.kinds.sound import Sound

PASS, WARN, FAIL = "pass", "warn", "fail"
TIERS_FILE = Path(__file__).with_name("tiers.toml")

# A larger value of these is better; every other metric is a distance or a change, judged by its magnitude.
HIGHER_IS_BETTER = frozenset(name for name, facts in facts_of(Sound).items() if facts.better is Better.HIGHER)


@dataclass(frozen=True)
class Verdict:
    """A judgement of one output.

    Attributes:
        tier: ``"pass"``, ``"warn"`` or ``"fail"``.
        decided_by: Name of the metric or check that decided; empty when it passed.
        reason: Why, in one sentence; empty when it passed.
    """

    tier: str
    decided_by: str = ""
    reason: str = ""


def load_tiers(path: Path = TIERS_FILE) -> dict[str, Any]:
    """Reads a file of tiers.

    Raises:
        InputError: not a TOML file, no ``[faults]``, or a limit of an unknown metric or without ``warn`` and ``fail``.
    """
    try:
        tiers = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read fidelity tiers from {path}: {error}") from error
    known = set(facts_of(Fidelity)) | {"error_multiple"}
    for name, limits in tiers.get("precision", {}).items():
        for metric, limit in limits.items():
            if metric not in known or not isinstance(limit, dict) or set(limit) != {"warn", "fail"}:
                raise InputError(f"{path}: precision.{name}.{metric} is not a metric with a warn and a fail limit")
    missing = {item.name for item in fields(_Faults)} ^ set(tiers.get("faults", {}))
    if missing:
        raise InputError(f"{path}: [faults] needs exactly {', '.join(item.name for item in fields(_Faults))}")
    return tiers


@dataclass(frozen=True)
class _Faults:
    silence_db: float
    gain_db: float
    band_loss_db: float
    click_crest: float
    click_ratio: float
    dropout_db: float


@functools.cache
def _tiers() -> dict[str, Any]:
    return load_tiers()


def judge(
    fidelity: Fidelity,
    precision: str,
    *,
    eager: Fidelity | None = None,
    tiers: Mapping[str, Any] | None = None,
) -> Verdict:
    """Judges an output by the tier of the precision on its label.

    Args:
        fidelity: From :func:`bench.quality.compare`.
        precision: A precision of ``tiers.toml``: fp32, tf32, fp16, bf16, autocast, int8, fp8.
        eager: Eager float32's own fidelity. Both were then compared with the float64 output, and the multiple of
            eager's error takes the place of the SNR limit, which a deeper network may not reach even in eager.
        tiers: Limits from :func:`load_tiers` in place of the suite's own.

    Raises:
        InputError: a precision without a tier.

    >>> import numpy as np
    >>> from bench.quality import compare
    >>> tone = 0.5 * np.sin(np.arange(24000) / 10)
    >>> judge(compare(tone, tone, 24000), "fp32")
    Verdict(tier='pass', decided_by='', reason='')
    >>> judge(compare(tone, -tone, 24000), "fp32").reason
    'the polarity is flipped'
    """
    chosen = _tiers() if tiers is None else tiers
    if precision not in chosen["precision"]:
        raise InputError(
            f"there is no fidelity tier for precision {precision!r}; choose from {', '.join(chosen['precision'])}"
        )
    for metric, reason in _faults(fidelity, _Faults(**chosen["faults"])):
        return Verdict(FAIL, metric, reason)
    found = {FAIL: Verdict(PASS), WARN: Verdict(PASS)}
    for metric, limit in chosen["precision"][precision].items():
        value = _value(fidelity, metric, eager)
        for tier in (FAIL, WARN):
            if value is not None and not found[tier].decided_by and _beyond(metric, value, limit[tier]):
                found[tier] = Verdict(tier, metric, _reason(metric, value, limit[tier], precision))
    return found[FAIL] if found[FAIL].decided_by else found[WARN]


def error_multiple(fidelity: Fidelity, eager: Fidelity) -> float | None:
    """RMS error as a multiple of eager's, both against the same float64 output; None where either was not measured.

    Both at the limit of 200 dB (no error at all) give 1.

    >>> round(error_multiple(Fidelity(snr_db=100.0), Fidelity(snr_db=120.0)), 6)
    10.0
    """
    if fidelity.snr_db is None or eager.snr_db is None:
        return None
    return float(10.0 ** ((eager.snr_db - fidelity.snr_db) / 20.0))


def _value(fidelity: Fidelity, metric: str, eager: Fidelity | None) -> float | None:
    if metric == "error_multiple":
        return None if eager is None else error_multiple(fidelity, eager)
    if metric == "snr_db" and eager is not None:
        return None
    value: float | None = getattr(fidelity, metric)
    return value


def _beyond(metric: str, value: float, limit: float) -> bool:
    return value < limit if metric in HIGHER_IS_BETTER else abs(value) > limit


def _reason(metric: str, value: float, limit: float, precision: str) -> str:
    unit = facts_of(Sound)[metric].unit
    unit = f" {unit}" if unit else ""
    side = "under" if metric in HIGHER_IS_BETTER else "over"
    return f"{metric} is {value:.4g}{unit}, {side} the {limit:g}{unit} that {precision} allows"


def _faults(fidelity: Fidelity, limits: _Faults) -> Iterator[tuple[str, str]]:
    """Faults that no precision excuses, the most specific first."""
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
    yield from _shape_faults(fidelity, limits)


def _shape_faults(fidelity: Fidelity, limits: _Faults) -> Iterator[tuple[str, str]]:
    gain = fidelity.gain_db
    for band in BANDS:
        metric = f"level_change_{band}_db"
        change = getattr(fidelity, metric)
        # What the whole signal lost is a gain, not a missing band.
        if change is not None and change - (gain or 0.0) < -limits.band_loss_db:
            low, high = band.split("_")
            yield metric, f"the band from {low} to {high} kHz lost {-change:.1f} dB"
    crest, ratio, segment = fidelity.error_crest, fidelity.max_error_ratio, fidelity.segment_level_change_db
    if crest is not None and ratio is not None and crest > limits.click_crest and ratio > limits.click_ratio:
        yield "max_error_ratio", f"one sample is wrong by {ratio:.2g} of the peak, alone in its surroundings: a click"
    if segment is not None and segment - (gain or 0.0) < -limits.dropout_db:
        yield "segment_level_change_db", f"a segment of 20 ms lost {-segment:.1f} dB: a dropout"
    if gain is not None and abs(gain) > limits.gain_db:
        yield "gain_db", f"the level changed by {gain:+.2f} dB"


def _level_change(fidelity: Fidelity) -> float | None:
    if fidelity.level_db is None or fidelity.reference_level_db is None or math.isinf(fidelity.level_db):
        return None
    return fidelity.level_db - fidelity.reference_level_db
