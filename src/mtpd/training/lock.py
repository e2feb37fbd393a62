"""The lock of a stage's folder: one process at a time works in it, on this machine or another."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout
from mmengine.dist import is_main_process

from mtpd import files
from mtpd.training.errors import LockedError

WAIT_SECONDS = 60  # for another process's lock: the workers of a killed process hold it a little longer
REFRESH_SECONDS = 30
FORGET_SECONDS = 300  # after which the holder on another machine counts as dead


@contextmanager
def held(folder: Path, wait: float = WAIT_SECONDS):
    """Hold the lock of a folder: no other process works in it meanwhile, on this machine or another.

    The kernel frees the lock of a dead process. Some file systems do not share locks between machines; there,
    ``holder.json``, refreshed every 30 seconds, shows that the holder is alive.

    Raises:
        LockedError: after ``wait`` seconds another process still holds it.
    """
    if not is_main_process():
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    holder = folder / "holder.json"
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=wait)
    except Timeout:
        raise LockedError(_in_use(folder, holder)) from None
    with lock:
        if _alive_elsewhere(holder):
            raise LockedError(_in_use(folder, holder))
        me = {"host": socket.gethostname(), "pid": os.getpid(), "job": os.environ.get("SLURM_JOB_ID")}
        files.write_json(holder, {**me, "since": datetime.now().isoformat(timespec="seconds")})
        done = threading.Event()
        refresher = threading.Thread(target=_refresh, args=(holder, done), daemon=True)
        refresher.start()
        try:
            yield
        finally:
            done.set()
            refresher.join()
            holder.unlink(missing_ok=True)


def _refresh(holder: Path, done: threading.Event) -> None:
    while not done.wait(REFRESH_SECONDS):
        holder.touch()


def _alive_elsewhere(holder: Path) -> bool:
    if not holder.exists() or files.read_json(holder)["host"] == socket.gethostname():
        return False
    return time.time() - holder.stat().st_mtime < FORGET_SECONDS


def _in_use(folder: Path, holder: Path) -> str:
    who = "another process"
    if holder.exists():
        found = files.read_json(holder)
        job = f", job {found['job']}" if found["job"] else ""
        who = f"process {found['pid']} on {found['host']}{job}, since {found['since']}"
    return f"{folder} is in use by {who}: wait for it or end it, then start again"
