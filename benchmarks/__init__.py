"""Benchmarks of the suite itself, with their figures in README.md."""
