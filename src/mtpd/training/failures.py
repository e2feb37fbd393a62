"""Failures of a stage that are final: trying again would fail again, perhaps after days of waiting for GPUs.

They are written into files. The workflow then does not start the stage again by itself (``retries``), and a
stage that has diverged refuses to start as long as nothing that it depends on has changed.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

from mtpd import files
from mtpd.training.errors import DivergedError, StoppedEarly

FINAL = "failure.txt"
DIVERGED = "diverged.txt"
# Of the machine: full disks, lost files, memory, GPUs, killed processes. torch's errors are RuntimeErrors.
PASSING = (OSError, MemoryError, RuntimeError, StoppedEarly)
TRACKERS = ("wandb", "mlflow", "sqlalchemy")  # packages whose errors say that a server is away


@contextmanager
def final_written(work: Path):
    """Write the message of a final error into the stage's folder of work; the error goes on."""
    try:
        yield
    except Exception as error:
        passing = isinstance(error, PASSING) or type(error).__module__.partition(".")[0] in TRACKERS
        if isinstance(error, DivergedError) or not passing:
            files.write_text(work / FINAL, f"{type(error).__name__}: {error}\n")
        raise


@contextmanager
def divergence_remembered(folder: Path):
    """Keep in a stage's folder of state that it has diverged.

    Raises:
        DivergedError: it has, now or before.
    """
    path = folder / DIVERGED
    if path.exists():
        said = path.read_text(encoding="utf-8")
        raise DivergedError(
            f"{said}. This happened before, and nothing that the stage depends on has changed "
            f"since. Change it, or delete {path} to try again from the last checkpoint"
        )
    try:
        yield
    except DivergedError as error:
        files.write_text(path, str(error))
        raise
