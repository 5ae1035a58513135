"""The committed tiers follow from the committed table, and the emulations round as they say."""

import tomllib
from types import ModuleType

import pytest

from bench.quality import Fidelity, judge, load_tiers
from tests.tools.scripts import load


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    """The calibration script as a module."""
    return load("calibrate_tiers")


def test_the_tiers_are_those_that_the_table_gives(tool: ModuleType) -> None:
    """tiers.toml and calibration.md are what the script derives from calibration.csv."""
    rows = tool.read_table()
    text = tool.tiers_text(tool.derive(rows))
    assert tool.TIERS.read_text(encoding="utf-8") == text
    assert tool.SUMMARY.read_text(encoding="utf-8") == tool.summary_text(rows)
    assert tomllib.loads(text) == load_tiers()


def test_margins_are_those_documented(tool: ModuleType) -> None:
    """A warning lies 1.5 standard deviations beyond the worst of TF32 and float16; fp32 3 and 12 dB under its worst."""
    row = {"reference": tool.AS_GIVEN, "error_multiple": 2.0, "segment_snr_p05_db": 90.0}
    heard = dict.fromkeys(tool.FAILS, 1.0)
    rows = [
        heard | row | {"precision": "fp32"},
        heard | row | {"precision": "tf32", "heard_db": 0.01, "segment_snr_p05_db": 30.0},
        heard | row | {"precision": "fp16", "heard_db": 0.04, "segment_snr_p05_db": 20.0},
        heard | row | {"precision": "fp16", "heard_db": 9.0, "reference": tool.AS_MADE},
        heard | row | {"precision": "bf16", "heard_db": 5.0},
    ]
    rows[-1] |= {"heard_db": 1.678, "pesq_wb": 4.3}
    rows[-2] |= {"pesq_wb": 4.5}
    tiers = tool.derive(rows)
    assert tiers["bf16"]["heard_db"]["fail"] == 1.67
    assert tiers["fp32"]["snr_db"] == {"warn": 87.0, "fail": 78.0}
    assert tiers["fp32"]["error_multiple"] == {"warn": 8.0, "fail": 32.0}
    # The deviation of ln 0.01 and ln 0.04 is ln 2, so that 0.04 grows by 2^1.5; that of 30 and 20 is 5.
    assert tiers["fp16"]["heard_db"]["warn"] == pytest.approx(0.04 * 2**1.5, rel=0.05)
    assert tiers["fp16"]["segment_snr_p05_db"] == {"warn": 12.0, "fail": 0.0}
    assert tiers["bf16"] == tiers["int8"] == tiers["fp16"]


def test_precisions_of_the_table_get_the_verdict_that_the_field_gives_them(tool: ModuleType) -> None:
    """TF32 and float16 of trained networks pass, bfloat16 warns, coarse int8 and fp8 inputs fail, no fault is seen."""
    tiers = load_tiers()
    for row in tool.read_table():
        name = f"{row['network']}, {row['speaker']}, {row['precision']}, {row['variant']}"
        if row["reference"] != tool.AS_GIVEN:
            continue
        figures = {metric: row[metric] for metric in tool.METRICS if row.get(metric) is not None}
        verdict = judge(Fidelity(**figures), row["precision"], tiers=tiers)
        if row["precision"] in ("fp32", "tf32", "fp16", "autocast"):
            assert verdict.tier == "pass", (name, verdict)
        elif row["variant"].endswith("inputs by tensor"):
            assert verdict.tier == "fail", (name, verdict)
        elif row["precision"] == "bf16":
            assert verdict.tier == "warn", (name, verdict)
        else:
            # Weights of 8 bits: slight, or a level that the network loses.
            assert verdict.tier == "warn" or verdict.decided_by == "gain_db", (name, verdict)


def test_a_float16_cast_of_the_table_is_no_fp32(tool: ModuleType) -> None:
    """Every TF32 and float16 row fails under the label fp32."""
    for row in tool.read_table():
        if row["precision"] in ("tf32", "fp16"):
            assert judge(Fidelity(snr_db=row["snr_db"]), "fp32").tier == "fail"
