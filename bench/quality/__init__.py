"""Fidelity: what a backend did to the sound, and whether that is what its precision allows."""

from bench.quality.fidelity import LEGACY_METRICS, METRICS, Fidelity, compare, compare_items, worst

__all__ = ["LEGACY_METRICS", "METRICS", "Fidelity", "compare", "compare_items", "worst"]
