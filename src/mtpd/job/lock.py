"""The lock of a stage's folder: one process at a time works in it, on this machine or another."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout
from mmengine.dist import is_main_process

from mtpd.job import holder as holders
from mtpd.job.errors import StoppedEarly
from mtpd.job.stopping import Stop

RETRY_SECONDS = 1
REFRESH_SECONDS = 30


@contextmanager
def held(folder: Path, stop: Stop, say: Callable[[str], None]):
    """Hold the lock of a folder: no other process works in it meanwhile, on this machine or another.

    While another process holds it, wait, and say for whom. The kernel frees the lock of a dead process. Some
    file systems do not share locks between machines; there, ``holder.json``, refreshed every 30 seconds,
    shows that the holder is alive.

    Raises:
        StoppedEarly: there was a reason to stop while waiting.
    """
    if not is_main_process():
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    lock, holder = FileLock(folder / "lock"), folder / holders.FILE
    _acquire(lock, holder, stop, say)
    try:
        with _seen_alive(holder):
            yield
    finally:
        lock.release()


def _acquire(lock: FileLock, holder: Path, stop: Stop, say: Callable[[str], None]) -> None:
    named = None
    while not _try_to_acquire(lock, holder):
        if stop.reason:
            raise StoppedEarly(f"{stop.reason} while another process worked on the stage")
        if (who := _who(holder)) != named:
            named = who
            text = f"waiting for {who}, which works in {holder.parent}: if it should not, end it"
            say(text)
            print(text, file=sys.stderr, flush=True)
        time.sleep(RETRY_SECONDS)


def _try_to_acquire(lock: FileLock, holder: Path) -> bool:
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    if _alive_elsewhere(lock, holder):
        lock.release()
        return False
    return True


def _alive_elsewhere(lock: FileLock, holder: Path) -> bool:
    """Whether the holder on another machine, which may not share the lock, was seen lately."""
    found = holders.read(holder)
    if not found or holders.is_here(found):
        return False
    os.utime(lock.lock_file)  # both times are the file system's: the clocks of machines may differ
    return os.stat(lock.lock_file).st_mtime - found["seen"] < holders.FORGET_SECONDS


def _who(holder: Path) -> str:
    found = holders.read(holder)
    return holders.in_words(found) if found else "another process"


@contextmanager
def _seen_alive(holder: Path):
    """Say in ``holder`` who this process is, and refresh the file."""
    holders.write(holder)
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
        with suppress(OSError):  # of a file system that does not answer for a while; or the file is gone
            os.utime(holder)
