"""Checks before the first job. Only ``problems``, and the checks that it calls, import torch."""
