"""Checkpoints of a stage: written so that an interrupted stage resumes, and read back if they are whole."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook

from mtpd.job.errors import DivergedError, StoppedEarly
from mtpd.job.stopping import Stop

KEEP = 2
SAVE_SECONDS = 600  # between two checkpoints within an epoch


def newest_checkpoint(folder: Path, say: Callable[[str], None]) -> Path | None:
    """The newest undamaged checkpoint of a stage; damaged ones are renamed, with a warning."""
    for path in sorted(folder.glob("iter_*.pth"), reverse=True):
        if _is_undamaged(path):
            return path
        aside = path.replace(path.with_suffix(".damaged"))
        say(f"warning: {path} is damaged, renamed to {aside.name}; resuming from the checkpoint before it")
    return None


def _is_undamaged(path: Path) -> bool:
    """torch writes zip files, but does not verify their checksums."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, OSError):
        return False


class SaveState(Hook):
    """Writes a checkpoint after every epoch, every ten minutes, and before a stop; keeps the last two.

    Raises:
        DivergedError: a weight is not finite; earlier checkpoints are kept.
        StoppedEarly: there is a reason to stop, and the state is saved.
    """

    priority = "VERY_LOW"  # after the learning-rate schedules have stepped

    def __init__(self, folder: Path, stop: Stop):
        self.folder, self.stop = folder, stop

    def before_train(self, runner) -> None:
        self.saved = time.monotonic()

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        if self.stop.reason or time.monotonic() - self.saved > SAVE_SECONDS:
            self._save(runner, runner.iter + 1, by_epoch=False)
            self._stop_if_asked()

    def after_train_epoch(self, runner) -> None:
        self._save(runner, runner.iter, by_epoch=True)
        self._stop_if_asked()

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        self._stop_if_asked()

    def _stop_if_asked(self) -> None:
        if self.stop.reason and is_main_process():
            raise StoppedEarly(self.stop.reason)

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
        except OSError as error:  # torch does not name the file when the disk is full
            raise OSError(error.errno, error.strerror, str(partial)) from error
        finally:
            partial.unlink(missing_ok=True)
        for old in sorted(self.folder.glob("iter_*.pth"))[:-KEEP]:
            old.unlink()
        self.saved = time.monotonic()

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Remove Python objects, so that the checkpoint loads with ``weights_only=True``.

        mmengine's smoothed logs hold methods; a one-cycle schedule holds a function, which it creates again.
        """
        checkpoint["message_hub"]["log_scalars"] = {}
        for schedule in checkpoint["param_schedulers"]:
            schedule.pop("anneal_func", None)
