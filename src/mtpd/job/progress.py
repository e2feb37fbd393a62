"""Where the training of a stage is: lines for the terminal, a file for other processes. Needs no torch."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mtpd import files

FILE = "progress.json"
JOBS = "jobs.json"  # beside a student
WRITE_SECONDS = 5  # between two writings of the file within an epoch


def teller(label: str, path: str) -> Callable[[str], None]:
    """A function that writes lines of progress to ``path``, or to stderr where that is no file (a socket)."""

    def say(text: str) -> None:
        line = f"{label}: {text}\n"
        try:
            _append(path, line)
        except OSError:
            sys.stderr.write(line)

    return say


def _append(path: str, line: str) -> None:
    """Write through a descriptor of this process if the path names one.

    If the file behind it were opened again, others that write through the descriptor would not notice that
    the file has grown, and overwrite the line.
    """
    if own := re.fullmatch(rf"/proc/{os.getpid()}/fd/(\d+)", path):
        os.write(int(own[1]), line.encode())
        return
    with open(path, "a", encoding="utf-8") as terminal:
        terminal.write(line)


class ProgressFile:
    """``progress.json`` in a stage's folder of work, which ``make status`` reads.

    Args:
        folder: of the stage's state, in its folder of work.
        writes: whether this process is the one that writes it.
    """

    def __init__(self, folder: Path, writes: bool):
        self.folder, self.writes = folder, writes
        self.path = folder.parent / FILE
        self.written, self.started = 0.0, time.monotonic()
        self.earlier = self._of_earlier_jobs() if writes else {}

    def _of_earlier_jobs(self) -> dict:
        """The jobs that worked on the same state before this one, and their seconds."""
        with suppress(OSError, json.JSONDecodeError):
            found = files.read_json(self.path)
            if found.get("state") == self.folder.name:
                # Older versions wrote neither.
                return {"jobs": found.get("jobs", 1), "seconds": found.get("seconds", 0.0)}
        return {"jobs": 0, "seconds": 0.0}

    def jobs(self) -> dict:
        """What ``jobs.json`` holds: earlier jobs. The last job's own time is in ``benchmark.tsv``."""
        return {"earlier_jobs": self.earlier["jobs"], "seconds_of_earlier_jobs": self.earlier["seconds"]}

    def write_now_and_then(self, **position) -> None:
        if time.monotonic() - self.written > WRITE_SECONDS:
            self.write(**position)

    def write(self, **position) -> None:
        """Args: ``position``, what ``History`` knows."""
        if not self.writes:
            return
        with suppress(OSError):  # a full disk shall be noticed where the state is saved
            process = {"pid": os.getpid(), "state": self.folder.name}
            files.write_json(self.path, process | self._spent() | position)
        self.written = time.monotonic()

    def _spent(self) -> dict:
        """How many jobs have worked on the stage, and for how long, this one included."""
        seconds = self.earlier["seconds"] + time.monotonic() - self.started
        return {"jobs": self.earlier["jobs"] + 1, "seconds": seconds}


def duration(seconds: float) -> str:
    """A time in words: seconds below two minutes, minutes below two hours, and hours."""
    minutes = round(seconds / 60)
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02} min"
