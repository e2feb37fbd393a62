"""Failures of a stage that are final: trying again would fail again, perhaps after days of waiting for GPUs.

They are written into files. The workflow then does not start the stage again by itself (``retries``), and a
stage that has diverged refuses to start as long as nothing that it depends on has changed.

An error of the machine may pass, so the stage starts again. It is final, too, if no step was saved between
three of them. Only errors count: a stage that a cluster stops or kills often, even before its first saved
step, is not lost.
"""

from __future__ import annotations

import re
import socket
from contextlib import contextmanager, suppress
from pathlib import Path

from mtpd import files
from mtpd.job.errors import DivergedError, StoppedEarly
from mtpd.job.stopping import Stop

FINAL = "failure.txt"
DIVERGED = "diverged.txt"
ERRORS = "errors.json"
MOST_ERRORS = 3  # since the last saved step
# Of the machine: full disks, lost files, memory, GPUs, killed processes, broken drivers and installations.
# torch's errors are RuntimeErrors.
PASSING = (OSError, MemoryError, RuntimeError, ImportError)
TRACKERS = ("wandb", "mlflow", "sqlalchemy")  # packages whose errors say that a server is away

GPU_IS_FULL = re.compile(r"CUDA.*out of memory|CU(BLAS|DNN)_STATUS_ALLOC_FAILED")
MACHINE_IS_FULL = re.compile(r"can't allocate memory|Cannot allocate memory|Insufficient memory")
FOR_GPU = (
    "The memory of the GPU is too small: take GPUs with more memory, or lower micro_batch_size of the recipe "
    "or dataset.scale, or set precision: bfloat16 in the recipe (each of these three changes the results)"
)
FOR_MACHINE = (
    "The memory of the machine is too small: raise compute.mem_mb (on a cluster), or lower compute.workers, "
    "or lower micro_batch_size of the recipe or dataset.scale (these two change the results)"
)


@contextmanager
def final_written(work: Path, stop: Stop | None = None):
    """Write the message of a final error into the stage's folder of work; the error goes on.

    Args:
        work: the folder.
        stop: an error that comes after a reason to stop does not count: a batch system may end the processes
            and servers of a job in any order.
    """
    before = _errors(work)
    try:
        yield
    except StoppedEarly:
        raise
    except Exception as error:
        if advice := _about_memory(error):
            error.add_note(advice)
        if not _may_pass(error):
            files.write_text(work / FINAL, f"{_in_words(error)}\n")
        elif not (stop and stop.reason):
            with suppress(OSError):  # of a full disk, which is then the error
                _count(error, work, before)
        raise


def _about_memory(error: Exception) -> str | None:
    """What to do if memory is too small; data loaders and numpy have kinds of errors of their own."""
    if GPU_IS_FULL.search(str(error)):
        return FOR_GPU
    if isinstance(error, MemoryError) or MACHINE_IS_FULL.search(str(error)):
        return FOR_MACHINE
    return None


def _may_pass(error: Exception) -> bool:
    if isinstance(error, DivergedError):
        return False
    of_tracker = type(error).__module__.partition(".")[0] in TRACKERS
    return isinstance(error, PASSING) or of_tracker or _about_memory(error) is not None


def _in_words(error: Exception) -> str:
    return "\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())])


def _errors(work: Path) -> dict:
    """The nodes of the errors since the last saved step, and the checkpoints that there were then."""
    try:
        return files.read_json(work / ERRORS)
    except (FileNotFoundError, ValueError):  # a machine that died may leave an empty file
        return {"nodes": [], "saved": []}


def _count(error: Exception, work: Path, before: dict) -> None:
    """Count an error. ``before`` are those that this start has found: its other processes may fail, too."""
    if _errors(work) != before:
        return
    saved = sorted(f"{path.parent.name}/{path.name}" for path in work.glob("*/iter_*.pth"))
    nodes = [*(before["nodes"] if saved == before["saved"] else []), socket.gethostname()]
    if len(nodes) < MOST_ERRORS:
        files.write_json(work / ERRORS, {"nodes": nodes, "saved": saved})
        return
    told = (
        f"The stage has ended in errors {len(nodes)} times (on {', '.join(nodes)}) and saved no step in "
        "between. To try anew, start again"
    )
    files.write_text(work / FINAL, f"{_in_words(error)}\n{told}\n")
    (work / ERRORS).unlink(missing_ok=True)


def forget(work: Path) -> None:
    """Let a stage be tried anew, whatever it has said of earlier failures. Args: its folder of work."""
    for name in (FINAL, ERRORS):
        (work / name).unlink(missing_ok=True)


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
