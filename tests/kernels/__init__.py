"""Tests of :mod:`bench.kernels`."""
