"""The history of a stage: a row per epoch for ``history.csv``, and lines of progress."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from mmengine.hooks import Hook

from mtpd.job.errors import DivergedError
from mtpd.job.progress import ProgressFile, duration

LINE_SECONDS = 60  # between two lines of progress within an epoch


def parts(losses: dict[str, float]) -> tuple[float, float]:
    """The distillation loss and the detection loss."""
    distilled = sum(value for name, value in losses.items() if name.startswith("distill_"))
    return distilled, losses["loss"] - distilled


def imbalance(means: dict[str, float]) -> str | None:
    """A warning if the distillation loss is over 100 times the detection loss, or below a hundredth of it."""
    distilled, detection = parts(means)
    taught = any(name.startswith("distill_") for name in means)
    if not taught or detection / 100 <= distilled <= 100 * detection:
        return None
    found = f"distillation loss {distilled:.3g}, detection loss {detection:.3g}"
    return f"warning: {found}: change the weights in loss.options of the recipe"


class History(Hook):
    """A row per epoch (learning rate, mean losses, AP), saved within the checkpoints.

    Raises:
        DivergedError: a loss is not finite.
    """

    priority = "ABOVE_NORMAL"

    def __init__(
        self,
        say: Callable[[str], None],
        epochs: int,
        validate_every: int,
        annotations: str,
        progress: ProgressFile,
    ):
        self.say, self.epochs, self.validate_every, self.progress = say, epochs, validate_every, progress
        self.annotations = annotations  # version of those that AP is measured on
        self.rows: list[dict] = []
        self.sums: dict[str, float] = {}

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        checkpoint["history"] = {"rows": self.rows, "sums": self.sums}

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        self.rows, self.sums = checkpoint["history"]["rows"], checkpoint["history"]["sums"]

    def before_train(self, runner) -> None:
        self.steps = len(runner.train_dataloader)
        self.first, self.started, self.said = runner.iter, time.monotonic(), time.monotonic()
        self.progress.write(**self._position(runner.iter))
        if not runner.iter:
            return
        within = f", iteration {runner.iter % self.steps} of {self.steps}" * (runner.iter % self.steps > 0)
        self.say(f"resuming after epoch {runner.epoch} of {self.epochs}{within}")
        if self._unvalidated():
            runner.val_loop.run()

    def _unvalidated(self) -> bool:
        """Whether the last epoch has no validation, or a complete stage must make its predictions again."""
        if not self.rows:
            return False
        epoch = self.rows[-1]["epoch"]
        return epoch == self.epochs or (epoch % self.validate_every == 0 and self.rows[-1]["AP"] is None)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        for name, value in outputs.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        # The total comes last: the term that is not finite says more.
        for name, value in sorted(outputs.items(), key=lambda item: item[0] == "loss"):
            if not math.isfinite(value):
                rate = runner.optim_wrapper.get_lr()["lr"][0]
                where = f"iteration {runner.iter + 1} (epoch {runner.epoch + 1}), learning rate {rate:.3g}"
                raise DivergedError(
                    f"{name} is {value} at {where}: lower the learning rate or the weights of the loss"
                )
        done = runner.iter + 1
        self.progress.write_now_and_then(**self._position(done))
        if time.monotonic() - self.said > LINE_SECONDS:
            left = self._seconds_left(done)
            step = done - runner.epoch * self.steps
            where = f"epoch {runner.epoch + 1}/{self.epochs}, step {step}/{self.steps}"
            self.say(f"{where}  {self._losses_and_ap(outputs)}  {duration(left)} left")
            self.said = time.monotonic()

    def _seconds_of_step(self, done: int) -> float | None:
        """The mean since the start, with validation; None before the first step."""
        return (time.monotonic() - self.started) / (done - self.first) if done > self.first else None

    def _seconds_left(self, done: int) -> float:
        return (self._seconds_of_step(done) or 0) * (self.steps * self.epochs - done)

    def _position(self, done: int) -> dict:
        """What ``progress.json`` says after so many steps."""
        return {
            "steps_done": done,
            "steps_of_epoch": self.steps,
            "epochs": self.epochs,
            "seconds_of_step": self._seconds_of_step(done),
            "AP": self._last_ap(),
        }

    def _last_ap(self) -> float | None:
        return next((row["AP"] for row in reversed(self.rows) if row["AP"] is not None), None)

    def _losses_and_ap(self, losses: dict[str, float]) -> str:
        distilled, detection = parts(losses)
        both = f" (detection {detection:.3f}, distillation {distilled:.3f})" if distilled else ""
        so_far = "" if self._last_ap() is None else f"  AP {self._last_ap():.1f} so far"
        return f"loss {losses['loss']:.3f}{both}{so_far}"

    def after_train_epoch(self, runner) -> None:
        epoch = runner.epoch + 1
        means = {name: total / self.steps for name, total in self.sums.items()}
        self.sums = {}
        rate = runner.optim_wrapper.get_lr()["lr"][0]
        self.rows.append({"epoch": epoch, "lr": rate, "AP": None, "annotations": None, **means})
        self.progress.write(**self._position(runner.iter))
        left = self._seconds_left(runner.iter)
        self.say(f"epoch {epoch}/{self.epochs}  {self._losses_and_ap(means)}  {duration(left)} left")
        if warning := imbalance(means):
            self.say(warning)

    def after_val_epoch(self, runner, metrics=None) -> None:
        self.rows[-1] |= {"AP": metrics["AP"], "annotations": self.annotations}
        self.progress.write(**self._position(runner.iter))
        self.say(f"AP {metrics['AP']:.1f} after epoch {self.rows[-1]['epoch']}")
