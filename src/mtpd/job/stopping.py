"""Why a stage has to stop before its end: signals, and the time limit of its Slurm job."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from datetime import datetime

MARGIN_SECONDS = 120  # before a job's time limit, to write a checkpoint


class Stop:
    """Watches for the reasons to stop early: SIGTERM, Ctrl-C, and the time limit of the batch job.

    Inside its ``with`` block, ``reason`` says why to stop, or is None. A second Ctrl-C stops immediately.
    """

    def __init__(self):
        ends = job_ends()
        self._deadline = ends - MARGIN_SECONDS if ends else float("inf")
        self._signal: str | None = None

    @property
    def reason(self) -> str | None:
        if self._signal:
            return self._signal
        return "the job's time limit is near" if time.time() > self._deadline else None

    def __enter__(self) -> Stop:
        self._before = {n: signal.signal(n, self._note) for n in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame) -> None:
        if self._signal and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._signal = f"received {signal.Signals(number).name}"


def job_ends() -> float | None:
    """When this Slurm job reaches its time limit (seconds since 1970); None outside Slurm or without a limit.

    Slurm 23.02 and later say so in the environment; for older versions, squeue is asked.
    """
    if "SLURM_JOB_END_TIME" in os.environ:
        return float(os.environ["SLURM_JOB_END_TIME"])
    if "SLURM_JOB_ID" not in os.environ:
        return None
    command = ["squeue", "--noheader", "--jobs", os.environ["SLURM_JOB_ID"], "--format", "%e"]
    try:
        said = subprocess.run(command, capture_output=True, encoding="utf-8", check=False).stdout.strip()
        return datetime.fromisoformat(said).timestamp()
    except (OSError, ValueError):  # no squeue on this node, no limit, or no answer
        return None


def keep_loading(_worker: int) -> None:
    """Make a data loader end at SIGTERM only if the trainer sends it.

    A batch system sends it to every process of a job. If a loader ended then, its trainer would fail before
    it has saved the state.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # of this thread and those that it starts
    threading.Thread(target=_end_with_trainer, daemon=True).start()


def _end_with_trainer() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)
