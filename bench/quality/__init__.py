"""Fidelity: what a backend did to the sound, and whether that is what its precision allows."""

from bench.quality.checks import batch_mismatch, stale_output, wrong_shape
from bench.quality.fidelity import LEGACY_METRICS, METRICS, compare, compare_items, worst
from bench.quality.listen import write_listening_files
from bench.quality.verdict import Verdict, error_multiple, judge, load_tiers
from bench.records.fidelity import Fidelity

__all__ = [
    "LEGACY_METRICS",
    "METRICS",
    "Fidelity",
    "Verdict",
    "batch_mismatch",
    "compare",
    "compare_items",
    "error_multiple",
    "judge",
    "load_tiers",
    "stale_output",
    "worst",
    "write_listening_files",
    "wrong_shape",
]
