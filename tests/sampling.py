"""A stand-in for py-spy: runs a Python program and notes, 100 times a second, where it is.

sampling.py ... --output FILE -- python PROGRAM ...
"""

import collections
import runpy
import sys
import threading


def stack(frame):
    """Outermost first, as py-spy writes it."""
    lines = []
    while frame:
        code = frame.f_code
        lines.append(
            f"{code.co_qualname} ({code.co_filename.partition('site-packages/')[2]}:{frame.f_lineno})"
        )
        frame = frame.f_back
    return ";".join(reversed(lines))


def main(words):
    at = words.index("--")
    stacks, done = collections.Counter(), threading.Event()

    def watch():
        while not done.wait(0.01):
            stacks[stack(sys._current_frames()[threading.main_thread().ident])] += 1

    watching = threading.Thread(target=watch)
    watching.start()
    sys.argv = words[at + 2 :]
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    finally:
        done.set()
        watching.join()
        with open(words[words.index("--output") + 1], "w", encoding="utf-8") as file:
            file.writelines(f"{where} {count}\n" for where, count in stacks.items())


if __name__ == "__main__":
    main(sys.argv[1:])
