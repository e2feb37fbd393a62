"""Lines of progress for the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable

from mmengine.dist import is_main_process


def teller(label: str, path: str) -> Callable[[str], None]:
    """A function that writes lines of progress to ``path``, or to stderr where that is no file (a socket)."""

    def say(text: str) -> None:
        if not is_main_process():
            return
        line = f"{label}: {text}\n"
        try:
            with open(path, "a") as terminal:
                terminal.write(line)
        except OSError:
            sys.stderr.write(line)

    return say
