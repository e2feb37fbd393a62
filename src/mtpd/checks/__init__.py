"""Checks before the first job. Only ``problems``, ``trainable`` and ``augmenting`` import torch."""
