"""What an interrupted stage goes on from: its checkpoints, who may write them, and when it has to stop."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
import zipfile
from collections.abc import Callable
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from mmengine.dist import is_main_process
from mmengine.hooks import Hook

from mtpd import files

KEEP = 2
SAVE_SECONDS = 600  # between two checkpoints within an epoch
WAIT_SECONDS = 60  # for another process's lock: the workers of one that was killed hold it a little longer
REFRESH_SECONDS = 30
FORGET_SECONDS = 300  # after which the holder on another machine counts as dead
MARGIN_SECONDS = 120  # before a job's time limit, to write a checkpoint


class LockedError(RuntimeError):
    """Another process works on the stage; the message names it."""


class DivergedError(RuntimeError):
    """Training ran into NaN or infinity; the message says in what, and when."""


class ToBeContinued(Exception):
    """The stage stopped before its end, its state saved; started again, it goes on."""


def newest_checkpoint(folder: Path, say: Callable[[str], None]) -> Path | None:
    """The newest whole checkpoint of a stage; damaged ones before it are set aside, with a warning."""
    for path in sorted(folder.glob("iter_*.pth"), reverse=True):
        if _is_whole(path):
            return path
        aside = path.replace(path.with_suffix(".damaged"))
        say(f"warning: {path} is damaged, kept as {aside.name}; going on from the checkpoint before it")
    return None


def _is_whole(path: Path) -> bool:
    """torch writes zip files, but does not check their checksums."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, OSError):
        return False


class Stop:
    """Watches for what ends a job early: SIGTERM, Ctrl-C, and the time limit of its batch job.

    Within its ``with`` block ``reason`` says why to stop, or is None. A second Ctrl-C stops at once.
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
    """When the Slurm job around this process reaches its time limit, in seconds since 1970, if there is one.

    Slurm says so in the environment since 23.02; before that, squeue knows.
    """
    if "SLURM_JOB_END_TIME" in os.environ:
        return float(os.environ["SLURM_JOB_END_TIME"])
    if "SLURM_JOB_ID" not in os.environ:
        return None
    command = ["squeue", "--noheader", "--jobs", os.environ["SLURM_JOB_ID"], "--format", "%e"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    try:
        return datetime.fromisoformat(said).timestamp()
    except ValueError:  # no limit, or no answer
        return None


class SaveState(Hook):
    """Writes a checkpoint after every epoch, every ten minutes, and before a stop; the last two stay.

    Raises:
        DivergedError: a weight is not finite; the checkpoints before stay.
        ToBeContinued: there is a reason to stop, and the state is saved.
    """

    priority = "VERY_LOW"  # after the schedules have moved on

    def __init__(self, folder: Path, stop: Stop):
        self.folder, self.stop = folder, stop

    def before_train(self, runner) -> None:
        self.saved = time.monotonic()

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        due = self.stop.reason or time.monotonic() - self.saved > SAVE_SECONDS
        # Gradients that are still being accumulated are not part of a checkpoint.
        if due and runner.optim_wrapper.should_update():
            self._save(runner, runner.iter + 1, by_epoch=False)
            self._stop_if_asked()

    def after_train_epoch(self, runner) -> None:
        self._save(runner, runner.iter, by_epoch=True)
        self._stop_if_asked()

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        self._stop_if_asked()

    def _stop_if_asked(self) -> None:
        if self.stop.reason and is_main_process():
            raise ToBeContinued(self.stop.reason)

    def _save(self, runner, iteration: int, by_epoch: bool) -> None:
        if not is_main_process():
            return
        for name, tensor in runner.model.state_dict().items():
            if not torch.isfinite(tensor).all():
                raise DivergedError(f"{name} is not finite after iteration {iteration}")
        partial = self.folder / "writing.partial"
        try:
            runner.save_checkpoint(str(self.folder), partial.name, by_epoch=by_epoch)
            partial.replace(self.folder / f"iter_{iteration:09d}.pth")
        except OSError as error:  # a full disk is told without the name of a file
            raise OSError(error.errno, error.strerror, str(partial)) from error
        finally:
            partial.unlink(missing_ok=True)
        for old in sorted(self.folder.glob("iter_*.pth"))[:-KEEP]:
            old.unlink()
        self.saved = time.monotonic()

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Keep code out, so that it loads with ``weights_only=True``.

        mmengine's smoothed logs carry methods; a one-cycle schedule carries a function, which it sets anew.
        """
        checkpoint["message_hub"]["log_scalars"] = {}
        for schedule in checkpoint["param_schedulers"]:
            schedule.pop("anneal_func", None)


@contextmanager
def held(folder: Path, wait: float = WAIT_SECONDS):
    """Hold a folder's lock: nobody else works in it meanwhile, on this machine or another.

    The kernel frees a dead process's lock. Where it does not know of other machines' locks, the holder's
    file, refreshed all the time, tells of them.

    Raises:
        LockedError: after ``wait`` seconds another process still has it.
    """
    if not is_main_process():
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    holder = folder / "holder.json"
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=wait)
    except Timeout:
        raise LockedError(_in_use(folder, holder)) from None
    with lock:
        if _alive_elsewhere(holder):
            raise LockedError(_in_use(folder, holder))
        me = {"host": socket.gethostname(), "pid": os.getpid(), "job": os.environ.get("SLURM_JOB_ID")}
        files.write_json(holder, {**me, "since": datetime.now().isoformat(timespec="seconds")})
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
        holder.touch()


def _alive_elsewhere(holder: Path) -> bool:
    if not holder.exists() or files.read_json(holder)["host"] == socket.gethostname():
        return False
    return time.time() - holder.stat().st_mtime < FORGET_SECONDS


def _in_use(folder: Path, holder: Path) -> str:
    who = "another process"
    if holder.exists():
        found = files.read_json(holder)
        job = f", job {found['job']}" if found["job"] else ""
        who = f"process {found['pid']} on {found['host']}{job}, since {found['since']}"
    return f"{folder} is in use by {who}: wait for it, or end it; then start again"
