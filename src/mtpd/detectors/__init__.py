"""Detectors: their mmdet configs, checkpoints, features, and what they cost to run."""
