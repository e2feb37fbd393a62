"""Run a script in several processes on this machine; ends with the status of the first that fails."""

import os
import signal
import sys
import threading
from contextlib import contextmanager, suppress

import psutil
from torch.distributed import run
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError


def pass_on(number, _frame):
    """Tell the processes to stop. Each ends when it has saved its state, and torchrun notices that."""
    for process in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


@contextmanager
def lines_passed_on(path):
    """Where the processes write to a descriptor of this one by its path, put a pipe in its place.

    If they opened the file behind it again, others that write through the descriptor would overwrite them.
    """
    if not path.startswith(f"/proc/{os.getpid()}/fd/"):
        yield
        return
    number = int(path.rpartition("/")[2])
    target = os.dup(number)
    source, sink = os.pipe()
    os.dup2(sink, number)
    os.close(sink)
    copier = threading.Thread(target=copy, args=(source, target), daemon=True)
    copier.start()
    try:
        yield
    finally:
        os.close(number)
        copier.join(5)  # seconds; a process that outlives its launcher would keep the pipe open


def copy(source, target):
    while line := os.read(source, 65536):
        with suppress(OSError):  # the terminal is gone; a full pipe would stop the processes
            os.write(target, line)


count, *script = sys.argv[1:]
signal.signal(signal.SIGTERM, pass_on)
signal.signal(signal.SIGINT, lambda *_: None)  # the terminal sends Ctrl-C to all processes itself
# torchrun's own handlers kill after 30 seconds and lose the status of what they end: they get SIGQUIT only.
torchrun = ["--standalone", "--signals-to-handle", "SIGQUIT", "--nproc-per-node", count]
progress = script[script.index("--progress") + 1] if "--progress" in script else ""
try:
    with lines_passed_on(progress):
        run.main([*torchrun, *script])
except ChildFailedError as error:
    _, failure = error.get_first_failure()
    sys.exit(failure.exitcode)
