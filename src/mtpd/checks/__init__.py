"""Checks before the first job. Only ``problems`` and ``training`` import torch."""
