"""Multi-teacher progressive distillation of object detectors (MTPD, ICML 2023)."""

__version__ = "0.1.0"

# Raised with every change of the code that changes the weights of a stage: see CONTRIBUTING.md.
RESULTS_VERSION = 1
