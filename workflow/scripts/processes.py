"""Run a script in several processes on this machine; ends with the status of the first that fails."""

import signal
import sys
from contextlib import suppress

import psutil
from torch.distributed import run
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError


def pass_on(number, _frame):
    """Tell the processes to stop. Each ends when it has saved its state, and torchrun notices that."""
    for process in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


count, *script = sys.argv[1:]
signal.signal(signal.SIGTERM, pass_on)
signal.signal(signal.SIGINT, lambda *_: None)  # the terminal sends Ctrl-C to all processes itself
# torchrun's own handlers kill after 30 seconds and lose the status of what they end: they get SIGQUIT only.
torchrun = ["--standalone", "--signals-to-handle", "SIGQUIT", "--nproc-per-node", count]
try:
    run.main([*torchrun, *script])
except ChildFailedError as error:
    _, failure = error.get_first_failure()
    sys.exit(failure.exitcode)
