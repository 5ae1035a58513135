"""Loads the wiring of sweeps; the project's own tests see it too, and use none of it."""

pytest_plugins = ["bench.plugin"]
