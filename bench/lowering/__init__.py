"""Vocoders rewritten for an engine."""
