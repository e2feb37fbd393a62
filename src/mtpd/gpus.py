"""The GPUs of this machine, shared among the jobs that run on it at the same time."""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import sys
import tempfile
import time
from itertools import takewhile
from pathlib import Path

RETRY_SECONDS = 0.5
DRIVER_SECONDS = 30  # a driver in trouble can hang


def visible() -> list[str]:
    """Names of the GPUs that may be used: those of CUDA_VISIBLE_DEVICES, else all that the driver lists."""
    if "CUDA_VISIBLE_DEVICES" not in os.environ:
        return list(_from_driver().values())
    names = [name.strip() for name in os.environ["CUDA_VISIBLE_DEVICES"].split(",")]
    named = takewhile(lambda name: name not in ("", "-1"), names)  # CUDA ignores what follows
    return list(dict.fromkeys(named))


def _from_driver() -> dict[str, str]:
    """The driver's GPUs: UUID by index. Empty without a driver or GPU."""
    query = ["nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader"]
    try:
        done = subprocess.run(
            query, capture_output=True, encoding="utf-8", check=True, timeout=DRIVER_SECONDS
        )
    except (FileNotFoundError, subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return {}
    rows = [line.split(", ") for line in done.stdout.splitlines()]
    return {row[0]: row[1] for row in rows if len(row) == 2 and row[1].startswith("GPU-")}


def take(count: int) -> list[str]:
    """Wait for that many GPUs that no other job of this user holds, and hold them.

    They are held until this process has ended, and every process that inherits its files: the kernel frees
    their locks, however they end. All are taken at once or none, so jobs cannot block each other. A lock is a
    file, named by the GPU's UUID where the driver tells it, in a folder of the user in the temporary folder.

    Args:
        count: how many.

    Raises:
        RuntimeError: fewer GPUs are visible, or the folder of the locks is not this user's alone.
    """
    names = visible()
    if len(names) < count:
        known = ", ".join(names) or "none"
        raise RuntimeError(f"{count} GPUs are needed, but {len(names)} are visible ({known})")
    uuids, folder = _from_driver(), _folder_of_locks()
    locks = {name: folder / uuids.get(name, name).replace("/", "-") for name in names}
    if not (taken := _try_to_take(locks, count, folder)):
        print(f"waiting for {count} of {len(names)} GPUs: other jobs hold them", file=sys.stderr, flush=True)
    while not taken:
        time.sleep(RETRY_SECONDS)
        taken = _try_to_take(locks, count, folder)
    return taken


def _folder_of_locks() -> Path:
    folder = Path(tempfile.gettempdir(), f"mtpd-gpus-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if status.st_uid != os.getuid() or not stat.S_ISDIR(status.st_mode) or status.st_mode & 0o022:
        raise RuntimeError(f"{folder}: expected a folder that only this user can write to; remove it")
    return folder


def _try_to_take(locks: dict[str, Path], count: int, folder: Path) -> list[str]:
    """The names of the GPUs taken, or none if too few are free."""
    held: dict[str, int] = {}
    with open(folder / "choosing", "w", encoding="utf-8") as gate:  # one job at a time looks for free GPUs
        fcntl.flock(gate, fcntl.LOCK_EX)
        for name, path in locks.items():
            if len(held) < count and (lock := _try_lock(path)) is not None:
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
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock
