"""The committed tiers follow from the committed table, and the emulations round as they say."""

import importlib.util
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

import bench
from bench.quality import load_tiers

ROOT = Path(bench.__file__).parents[1]


@pytest.fixture(scope="module")
def tool():
    """The calibration script as a module."""
    spec = importlib.util.spec_from_file_location("calibrate_tiers", ROOT / "tools" / "calibrate_tiers.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_tiers_are_those_that_the_table_gives(tool: ModuleType):
    """tiers.toml and calibration.md are what the script derives from calibration.csv."""
    rows = tool.read_table()
    text = tool.tiers_text(tool.derive(rows))
    assert tool.TIERS.read_text(encoding="utf-8") == text
    assert tool.SUMMARY.read_text(encoding="utf-8") == tool.summary_text(rows)
    assert tomllib.loads(text) == load_tiers()


def test_margins_are_those_documented(tool: ModuleType):
    """Of two sentences the worse counts: twice its error warns, four times fails; for fp32 four and sixteen."""
    row = dict.fromkeys((*tool.LIMITED, "sentence"), 1.0) | {"variant": "any", "pesq_wb": 4.6}
    rows = [
        row | {"precision": precision, "snr_db": snr, "max_error_ratio": ratio}
        for precision in ("fp32", "fp16")
        for snr, ratio in ((60.0, 0.001), (50.0, 0.002))
    ]
    tiers = tool.derive(rows)
    assert tiers["fp16"]["snr_db"] == {"warn": 43.0, "fail": 37.0}
    assert tiers["fp32"]["snr_db"] == {"warn": 37.0, "fail": 25.0}
    assert tiers["fp16"]["max_error_ratio"] == {"warn": 0.004, "fail": 0.008}
    assert tiers["fp16"]["pesq_wb"] == pytest.approx({"warn": 4.58, "fail": 4.54}, abs=0.011)


def test_no_variant_of_the_table_has_a_fault_that_no_precision_excuses(tool: ModuleType):
    """The limits of [faults] leave every measured variant alone, so that a fault is a fault."""
    for row in tool.read_table():
        name = f"{row['precision']}, {row['variant']}, {row['sentence']}"
        assert row["lag_samples"] == row["nan_count"] == row["inf_count"] == 0, name
        assert abs(row["gain_db"]) < tool.FAULTS["gain_db"][0], name
        assert row["error_crest"] < tool.FAULTS["click_crest"][0], name
        assert row["segment_level_change_db"] - row["gain_db"] > -tool.FAULTS["dropout_db"][0], name
        assert row["level_change_4_8_db"] > -tool.FAULTS["band_loss_db"][0], name
        assert row["level_change_8_16_db"] > -tool.FAULTS["band_loss_db"][0], name


def test_tf32_rounds_to_ten_bits(tool: ModuleType):
    """Rounding to TF32 keeps values of 10 mantissa bits and moves others to the nearest of them."""
    values = torch.tensor([1.0, 1 + 2**-10, 1 + 2**-11 + 2**-20, -1 - 2**-12, 3e38, 0.0])
    expected = torch.tensor([1.0, 1 + 2**-10, 1 + 2**-10, -1.0, tool.tf32(torch.tensor([3e38]))[0], 0.0])
    assert torch.equal(tool.tf32(values), expected)
    noise = torch.randn(1000)
    assert ((tool.tf32(noise) - noise).abs() <= noise.abs() * 2**-11).all()


def test_int8_keeps_255_levels_a_channel(tool: ModuleType):
    """Channel by channel, int8 rounding has at most 255 levels and keeps the largest magnitude."""
    weight = torch.randn(3, 4, 5) * torch.tensor([1.0, 10.0, 100.0])[:, None, None]
    rounded = tool.per_channel(tool.INT8)(weight)
    for before, after in zip(weight, rounded, strict=True):
        steps = after / before.abs().max() * 127
        assert torch.allclose(steps, steps.round(), atol=1e-4)
        assert after.abs().max() == pytest.approx(float(before.abs().max()))


def test_fft_convolutions_are_convolutions(tool: ModuleType):
    """The decoder by FFT equals the decoder, and rounding leaves its weights as they were."""
    torch.manual_seed(0)
    decoder = tool.HifiGan(tool.CONFIG).eval()
    latent = torch.randn(1, 192, 6)
    with torch.inference_mode():
        expected = decoder(latent)
        assert torch.allclose(tool.by_fft(decoder, latent), expected, atol=1e-5)
        for run in tool.VARIANTS.values():
            assert np.isfinite(run(decoder, latent).float().numpy()).all()
        assert torch.equal(decoder(latent), expected)
