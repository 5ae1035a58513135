"""Whether a fidelity is what its precision allows: pass, warn or fail, the metric that decided, and what is heard.

Three questions, in this order. Is there a fault that no rounding makes (:mod:`bench.quality.faults`)? Under the label
fp32: is the error one of float32 at all? Under any other label: would it be heard? The limits are in ``tiers.toml``;
``docs/fidelity.md`` says where they come from. No limit rests on an optional metric, so that a verdict is the same on
every installation.
"""

import functools
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from bench.errors import InputError
from bench.quality.faults import Faults, faults
from bench.quality.fidelity import BatchFidelity
from bench.records.facts import Better, facts_of
from bench.records.fidelity import Fidelity
from bench.records.kinds.sound import Sound

PASS, WARN, FAIL = "pass", "warn", "fail"
RANK = {PASS: 0, WARN: 1, FAIL: 2}
TIERS_FILE = Path(__file__).with_name("tiers.toml")

# A larger value of these is better; every other metric is a distance or a change, judged by its magnitude.
HIGHER_IS_BETTER = frozenset(name for name, facts in facts_of(Sound).items() if facts.better is Better.HIGHER)
# Figures over many segments or frames, which mean something from half a second on.
LONG = frozenset({"heard_db", "mr_stft", "segment_snr_median_db", "segment_snr_p05_db"})
LONG_S = 0.5
# Under this level a reference is silence, where ratios mean nothing and the error itself has to be inaudible.
SILENCE_DB = -60.0
INAUDIBLE = 2.0**-11
OPTIONAL = frozenset({"pesq_wb", "stoi", "visqol", "distillmos_change"})


@dataclass(frozen=True)
class Verdict:
    """A judgement of one output.

    Attributes:
        tier: ``"pass"``, ``"warn"`` or ``"fail"``.
        decided_by: Name of the metric or check that decided; empty when it passed.
        reason: Why, in one sentence; empty when it passed.
        heard: What a listener can expect, in one sentence with the figure that decided; not compared.
    """

    tier: str
    decided_by: str = ""
    reason: str = ""
    heard: str = field(default="", compare=False)


def load_tiers(path: Path = TIERS_FILE) -> dict[str, Any]:
    """Reads a file of tiers.

    Raises:
        InputError: not a TOML file, no ``[faults]``, a limit of an unknown or optional metric, or one without ``warn``
            and ``fail``.
    """
    try:
        tiers = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read fidelity tiers from {path}: {error}") from error
    known = set(facts_of(Fidelity)) - OPTIONAL | {"error_multiple"}
    for name, limits in tiers.get("precision", {}).items():
        for metric, limit in limits.items():
            if metric not in known or not isinstance(limit, dict) or set(limit) != {"warn", "fail"}:
                raise InputError(f"{path}: precision.{name}.{metric} is not a metric with a warn and a fail limit")
    missing = {item.name for item in fields(Faults)} ^ set(tiers.get("faults", {}))
    if missing:
        raise InputError(f"{path}: [faults] needs exactly {', '.join(item.name for item in fields(Faults))}")
    return tiers


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
    """Judges an output by the tier of the precision on its label; of a batch, each item by itself.

    Args:
        fidelity: From :func:`bench.quality.compare`. Of a batch, the worst item's verdict is returned and names it.
        precision: A precision of ``tiers.toml``: fp32, tf32, fp16, bf16, autocast, int8, fp8.
        eager: Eager float32's own fidelity. Both were then compared with the float64 output, and the multiple of
            eager's error takes the place of the SNR limit, which a deeper network may not reach even in eager.
        tiers: Limits from :func:`load_tiers` in place of the suite's own.

    Raises:
        InputError: a precision without a tier.

    >>> import numpy as np
    >>> from bench.quality import compare
    >>> tone = 0.5 * np.sin(np.arange(24000) / 10)
    >>> judge(compare(tone, tone, 24000), "fp32").heard
    'no audible change expected: 0.00 dB'
    >>> judge(compare(tone, -tone, 24000), "fp32").reason
    'the polarity is flipped'
    """
    chosen = _tiers() if tiers is None else tiers
    if precision not in chosen["precision"]:
        raise InputError(
            f"there is no fidelity tier for precision {precision!r}; choose from {', '.join(chosen['precision'])}"
        )
    if isinstance(fidelity, BatchFidelity) and fidelity.items:
        verdicts = [_judge(item, precision, eager, chosen) for item in fidelity.items]
        index = max(range(len(verdicts)), key=lambda one: RANK[verdicts[one].tier])
        one = verdicts[index]
        reason = f"item {index}: {one.reason}" if one.reason else ""
        return Verdict(one.tier, one.decided_by, reason, one.heard)
    return _judge(fidelity, precision, eager, chosen)


def _judge(fidelity: Fidelity, precision: str, eager: Fidelity | None, tiers: Mapping[str, Any]) -> Verdict:
    silent = _beside_silence(fidelity)
    if silent is not None:
        return silent
    for metric, reason in faults(fidelity, Faults(**tiers["faults"])):
        return Verdict(FAIL, metric, reason, f"a fault: {reason}")
    limits = tiers["precision"][precision]
    found = {FAIL: Verdict(PASS), WARN: Verdict(PASS)}
    for metric, limit in limits.items():
        value = _value(fidelity, metric, eager)
        for tier in (FAIL, WARN):
            if value is not None and not found[tier].decided_by and _beyond(metric, value, limit[tier]):
                found[tier] = Verdict(tier, metric, _reason(metric, value, limit[tier], precision))
    verdict = found[FAIL] if found[FAIL].decided_by else found[WARN]
    heard = _heard(fidelity, verdict, tiers)
    return Verdict(verdict.tier, verdict.decided_by, verdict.reason, heard)


def _beside_silence(fidelity: Fidelity) -> Verdict | None:
    """The verdict where the reference is silent; None where it is not, or the output is not finite."""
    level = fidelity.reference_level_db
    if level is None or level > SILENCE_DB or fidelity.max_abs is None:
        return None
    if fidelity.max_abs > INAUDIBLE:
        reason = f"where the reference is silent, the output is {fidelity.max_abs:.2g}"
        return Verdict(FAIL, "max_abs", reason, f"a fault: {reason}")
    return Verdict(PASS, heard="silence, as in the reference")


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
    if metric in LONG and 0 < fidelity.samples < LONG_S * fidelity.sample_rate:
        return None
    value: float | None = getattr(fidelity, metric)
    return value


def _beyond(metric: str, value: float, limit: float) -> bool:
    return value < limit if metric in HIGHER_IS_BETTER else abs(value) > limit


def _reason(metric: str, value: float, limit: float, precision: str) -> str:
    unit = f" {facts.unit}" if (facts := facts_of(Sound)[metric]).unit else ""
    side = "under" if metric in HIGHER_IS_BETTER else "over"
    return f"{metric} is {value:.4g}{unit}, {side} the {limit:g}{unit} that {precision} allows"


def _heard(fidelity: Fidelity, verdict: Verdict, tiers: Mapping[str, Any]) -> str:
    """What a listener can expect, tied to the figure that decided where that is one of hearing."""
    metric = verdict.decided_by if verdict.decided_by.startswith("heard_") else "heard_db"
    value: float | None = getattr(fidelity, metric)
    if value is None or math.isnan(value):
        return ""
    limit = tiers["precision"]["fp16"].get(metric, {"warn": math.inf, "fail": math.inf})
    where = {"heard_peak_db": " in the worst tenth of a second"}.get(metric, "")
    if value > limit["fail"]:
        return f"an audible change{where}: {value:.2f} dB"
    if value > limit["warn"]:
        return f"a slight change{where}, heard side by side if at all: {value:.2f} dB"
    return f"no audible change expected: {value:.2f} dB"
