"""The GPUs of this machine, shared among the jobs that run on it at the same time."""

from __future__ import annotations

import fcntl
import os
import subprocess
import tempfile
import time
from pathlib import Path

LOCKS = Path(tempfile.gettempdir(), f"mtpd-gpus-{os.getuid()}")
RETRY_SECONDS = 0.5


def visible() -> list[str]:
    """Names of the GPUs that may be used: those of CUDA_VISIBLE_DEVICES, else all that the driver lists."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        names = os.environ["CUDA_VISIBLE_DEVICES"].split(",")
        return [name.strip() for name in names if name.strip() not in ("", "-1")]
    query = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
    try:
        return subprocess.run(query, capture_output=True, text=True, check=True).stdout.split()
    except (FileNotFoundError, subprocess.CalledProcessError):  # no driver, or no GPU
        return []


def take(count: int, folder: Path = LOCKS) -> list[str]:
    """Wait for that many GPUs that no other job of this user holds, and hold them.

    They are held until this process and all that inherit its files have ended: the kernel frees their locks,
    however they end. All are taken at once or none, so jobs cannot block each other.

    Args:
        count: how many.
        folder: of the locks, a file for each GPU.

    Raises:
        RuntimeError: fewer GPUs are visible.
    """
    names = visible()
    if len(names) < count:
        raise RuntimeError(
            f"{count} GPUs are needed, but {len(names)} are visible ({', '.join(names) or 'none'})"
        )
    folder.mkdir(parents=True, exist_ok=True)
    while not (taken := _try_to_take(names, count, folder)):
        time.sleep(RETRY_SECONDS)
    return taken


def _try_to_take(names: list[str], count: int, folder: Path) -> list[str]:
    """The names of the GPUs taken, or none if too few are free."""
    held: dict[str, int] = {}
    with open(folder / "choosing", "w") as gate:  # one job at a time looks for free GPUs
        fcntl.flock(gate, fcntl.LOCK_EX)
        for name in names:
            if len(held) < count and (lock := _try_lock(folder / name)) is not None:
                held[name] = lock
        if len(held) < count:
            for lock in held.values():
                os.close(lock)
            return []
    for lock in held.values():
        os.set_inheritable(lock, True)
    return list(held)


def _try_lock(path: Path) -> int | None:
    """An open file that holds the lock; None if another job holds it."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock
