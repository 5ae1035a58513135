"""Timing and weighing of runners."""
