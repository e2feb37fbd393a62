"""Checks before the first job. ``subjects`` and ``disk`` import no torch; ``problems`` does."""
