"""Multi-teacher progressive distillation of object detectors (MTPD, ICML 2023)."""

__version__ = "0.1.0"
