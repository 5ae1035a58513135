"""Tests of the studies; they need a checkout."""
