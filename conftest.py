"""Loads the wiring of sweeps where pyproject.toml did not; the project's own tests see it too, and use none of it."""

pytest_plugins = ["bench.plugin"]
