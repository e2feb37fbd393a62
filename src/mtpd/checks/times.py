"""Files whose time is in the future: Snakemake removes what a job has made from one, at every start again."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Iterable
from pathlib import Path

EXACT_SECONDS = 2  # some file systems keep no more digits


def problems(paths: Iterable[str], folder: Path) -> list[str]:
    """A line if some files have a time in the future, with the command that corrects them.

    Args:
        paths: files that jobs read; a missing one has no time.
        folder: where a file is touched to learn the time: the clock of a file system may be another one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "now").touch()
    now = os.stat(folder / "now").st_mtime
    there = (path for path in sorted(set(paths)) if os.path.exists(path))
    late = {path: when for path in there if (when := os.stat(path).st_mtime) > now + EXACT_SECONDS}
    if not late:
        return []
    last = max(late, key=late.get)
    until = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(late[last]))
    return [
        f"{last}: has a time in the future ({until}): Snakemake would remove what a job makes from it; "
        f"correct the clock of this machine, or call: touch {shlex.join(late)}"
    ]
