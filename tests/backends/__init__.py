"""Tests of :mod:`bench.backends`."""
