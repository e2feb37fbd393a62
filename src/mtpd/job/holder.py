"""Who works on a stage: ``holder.json`` in its folder of work. Needs no torch, so others can look too."""

from __future__ import annotations

import json
import os
import socket
import time
from datetime import datetime
from pathlib import Path

import psutil

from mtpd import files

FILE = "holder.json"
FORGET_SECONDS = 300  # after which the holder on another machine counts as dead


def write(path: Path) -> None:
    """Say in the file who this process is."""
    me = {"host": socket.gethostname(), "pid": os.getpid(), "job": os.environ.get("SLURM_JOB_ID")}
    files.write_json(path, {**me, "since": datetime.now().isoformat(timespec="seconds")})


def read(path: Path) -> dict | None:
    """Who holds the lock, and when this was last written or refreshed; None if no one says so."""
    try:
        return {**files.read_json(path), "seen": path.stat().st_mtime}
    except (FileNotFoundError, json.JSONDecodeError):  # a machine that died may leave an empty file
        return None


def in_words(found: dict) -> str:
    job = f", job {found['job']}" if found["job"] else ""
    return f"process {found['pid']} on {found['host']}{job}, since {found['since']}"


def is_here(found: dict) -> bool:
    return found["host"] == socket.gethostname()


def is_alive(found: dict) -> bool:
    """Whether the holder runs; of another machine, whether it was seen lately, by the clock of this one."""
    if not is_here(found):
        return time.time() - found["seen"] < FORGET_SECONDS
    try:
        process = psutil.Process(found["pid"])
        # A process that started later only has the same number. Both times have whole seconds at best.
        started_before = process.create_time() < datetime.fromisoformat(found["since"]).timestamp() + 1
        return started_before and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
