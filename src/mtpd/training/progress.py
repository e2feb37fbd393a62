"""Where the training of a stage is: lines for the terminal, a file for other processes. Needs no torch."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mtpd import files

FILE = "progress.json"
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
    with open(path, "a") as terminal:
        terminal.write(line)


class ProgressFile:
    """``progress.json`` in a stage's folder of work, which ``make status`` reads.

    Args:
        folder: of the stage's state, in its folder of work.
        writes: whether this process is the one that writes it.
    """

    def __init__(self, folder: Path, writes: bool):
        self.folder, self.writes = folder, writes
        self.written = 0.0

    def write_now_and_then(self, **position) -> None:
        if time.monotonic() - self.written > WRITE_SECONDS:
            self.write(**position)

    def write(self, **position) -> None:
        """Args: ``position``, what ``History`` knows."""
        if not self.writes:
            return
        with suppress(OSError):  # a full disk shall be noticed where the state is saved
            files.write_json(
                self.folder.parent / FILE, {"pid": os.getpid(), "state": self.folder.name, **position}
            )
        self.written = time.monotonic()


def duration(seconds: float) -> str:
    """A time in words: seconds below two minutes, minutes below two hours, and hours."""
    minutes = round(seconds / 60)
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02} min"
