"""Runs cases: what they share, speed, quality, sweeps and builds."""
