"""A stage: a student checkpoint and its teachers (or none) -> the next student checkpoint and its metrics."""

from __future__ import annotations

import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import is_main_process
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner, find_latest_checkpoint
from torch import nn

import mtpd
from mtpd import detectors, evaluation, files
from mtpd.distiller import Distiller
from mtpd.inherit import inherit


@dataclass(frozen=True)
class Stage:
    """Everything that can change a stage's result.

    ``student`` and ``teachers`` are detectors (``config``, ``overrides``, ``image_scale``); ``dataset`` is as
    for ``detectors.add_data``, with a ``name``; ``recipe`` is as in the experiment file.
    """

    dataset: dict
    student: dict
    recipe: dict
    epochs: int
    seed: int
    teachers: tuple[dict, ...] = ()
    teacher_weights: tuple[str, ...] = ()
    parent: str | None = None
    workers: int = 0

    def fingerprint(self, config: Config) -> str:
        """Of the resolved config, the checksums of all inputs, and the library's version."""
        inputs = [*self.teacher_weights, *([self.parent] if self.parent else [])]
        inputs += [self.dataset[split]["annotations"] for split in ("train", "val")]
        return files.fingerprint(
            [config.pretty_text, self.recipe, self.epochs, self.seed, self.teachers]
            + [files.sha256(path) for path in inputs]
            + [mtpd.__version__]
        )


def train(stage: Stage, out: Path, work: Path, progress: str = "/dev/stderr", label: str = "") -> None:
    """Train a stage and write student.pth, metrics.json, predictions.json and history.csv into ``out``.

    Args:
        stage: what to train.
        out: folder of the results.
        work: folder of resumable state; a subfolder is keyed by the stage's fingerprint.
        progress: where a line an epoch goes.
        label: begins those lines.
    """
    classes = files.classes_of(stage.dataset["train"]["annotations"])
    config = detectors.load_config(stage.student["config"], stage.student["overrides"], classes)
    if stage.parent:
        config = detectors.without_pretraining(config)
    dataset = detectors.at_scale(stage.dataset, stage.student)
    detectors.add_data(config, dataset, classes, stage.recipe["batch_size"], stage.workers)
    work = work / stage.fingerprint(config)
    newest = find_latest_checkpoint(str(work)) if (work / "last_checkpoint").exists() else None
    model, inherited = _model(stage, config, classes, resuming=newest is not None)
    metric = evaluation.CocoPredictions(stage.dataset["val"]["annotations"], classes)
    history = History(work / "history.json", progress, label, stage.epochs)
    runner = _runner(stage, model, config, work, newest, metric, history)
    runner.train()
    if history.first == stage.epochs:  # the last epoch was over before this run
        runner.val_loop.run()
    if is_main_process():
        files.write_json(out / "inherited.json", inherited)
        _write_results(stage, runner.model, config, classes, metric.predictions, history.rows, out)


def _runner(stage: Stage, model, config: Config, work: Path, newest, metric, history: History) -> Runner:
    """mmengine's runner, resuming from the newest checkpoint in ``work`` if there is one."""
    return Runner(
        model=model,
        work_dir=str(work),
        train_dataloader=config.train_dataloader,
        val_dataloader=config.val_dataloader,
        val_evaluator=Evaluator(metric),
        val_cfg={},
        train_cfg={
            "by_epoch": True,
            "max_epochs": stage.epochs,
            "val_interval": stage.recipe["validate_every"],
        },
        optim_wrapper=_optimizer(stage.recipe),
        param_scheduler=_schedule(stage.recipe, stage.epochs),
        default_hooks={
            "checkpoint": {"type": "CheckpointHook", "interval": 1, "max_keep_ckpts": 2},
            "logger": {"type": "LoggerHook", "interval": 20},
        },
        custom_hooks=[SeedEpochs(stage.seed), PlainCheckpoints(), history],
        load_from=newest,
        resume=newest is not None,
        launcher="pytorch" if torch.distributed.is_torchelastic_launched() else "none",
        randomness={"seed": stage.seed},
        default_scope="mmdet",
        experiment_name=work.name,
    )


def _write_results(stage: Stage, model, config, classes, predictions, history, out: Path) -> None:
    model = getattr(model, "module", model)  # what DDP wraps
    annotations = stage.dataset["val"]["annotations"]
    provenance = {"teachers": list(stage.teacher_weights), "parent": stage.parent, "seed": stage.seed}
    files.write_json(out / "predictions.json", predictions)
    files.write_json(
        out / "metrics.json", evaluation.metrics(annotations, predictions, stage.dataset["name"])
    )
    files.write_text(out / "history.csv", pd.DataFrame(history).to_csv(index=False))
    detectors.save_student(out / "student.pth", getattr(model, "student", model), config, classes, provenance)


def _model(stage: Stage, config: Config, classes: tuple[str, ...], resuming: bool) -> tuple[BaseModel, dict]:
    """The student, started as the stage wants it, alone or in a distiller; and what it inherited."""
    seed_everything(stage.seed, 0)
    student = detectors.build(config)
    if stage.parent:
        detectors.load_weights(student, stage.parent)
    elif not resuming:
        student.init_weights()
    teachers = [
        detectors.load(spec, path, classes)
        for spec, path in zip(stage.teachers, stage.teacher_weights, strict=True)
    ]
    inherited = {}
    if teachers and stage.recipe["inherit"] and not stage.parent:
        others = teachers[0].dataset_meta["classes"] != classes
        per_class = detectors.class_dependent(stage.student, classes) if others else set()
        inherited = inherit(student, teachers[0].state_dict(), per_class)
    _keep_weights(student)
    if not teachers:
        return student, inherited
    scales = [spec["image_scale"] / stage.student["image_scale"] for spec in stage.teachers]
    loss = stage.recipe["loss"]
    taps = tuple(stage.recipe["taps"]) if stage.recipe["taps"] else None
    distiller = Distiller(student, teachers, loss["name"], loss["options"], taps, scales, get_device())
    return distiller, inherited


def _keep_weights(student: nn.Module) -> None:
    """The runner calls init_weights() before training; what this stage starts from must survive that."""
    for module in student.modules():
        if hasattr(module, "_is_init"):
            module._is_init = True


def evaluate(dataset: dict, detector: dict, weights: str, work: Path) -> tuple[dict, list[dict]]:
    """Score a detector's checkpoint on the validation split.

    Args:
        dataset: as in ``Stage``.
        detector: ``config``, ``overrides`` and ``image_scale``.
        weights: its checkpoint.
        work: folder for the runner's logs.

    Returns:
        Metrics, and the predictions they are computed from.
    """
    classes = files.classes_of(dataset["train"]["annotations"])
    config = detectors.load_config(detector["config"], detector["overrides"], classes)
    detectors.add_data(config, detectors.at_scale(dataset, detector), classes, batch_size=1, workers=0)
    model = detectors.load(detector, weights, classes)
    metric = evaluation.CocoPredictions(dataset["val"]["annotations"], model.dataset_meta["classes"])
    runner = Runner(
        model=model,
        work_dir=str(work),
        val_dataloader=config.val_dataloader,
        val_evaluator=Evaluator(metric),
        val_cfg={},
        default_scope="mmdet",
        experiment_name="evaluate",
    )
    runner.val()
    scores = evaluation.metrics(dataset["val"]["annotations"], metric.predictions, dataset["name"])
    return scores, metric.predictions


def _optimizer(recipe: dict) -> dict:
    wrapper = {
        "optimizer": recipe["optimizer"],
        "clip_grad": {"max_norm": recipe["clip_grad"], "norm_type": 2},
        "accumulative_counts": recipe["accumulate"],
    }
    if recipe["precision"] == "float32":
        return wrapper
    # bfloat16 has float32's range; only float16 needs its loss scaled.
    scale = {"loss_scale": {"enabled": recipe["precision"] == "float16"}}
    return {"type": "AmpOptimWrapper", "dtype": recipe["precision"], **scale, **wrapper}


def _schedule(recipe: dict, epochs: int) -> list[dict]:
    schedule = recipe["schedule"]
    if schedule["kind"] == "one-cycle":
        return [
            {
                "type": "OneCycleLR",
                "eta_max": recipe["optimizer"]["lr"],
                "by_epoch": True,
                "total_steps": epochs,
                "convert_to_iter_based": True,
            }
        ]
    milestones = sorted({max(1, round(part * epochs)) for part in schedule["milestones"]})
    warmup = {"type": "LinearLR", "start_factor": 0.001, "by_epoch": False, "end": schedule["warmup_iters"]}
    steps = {"type": "MultiStepLR", "milestones": milestones, "gamma": schedule["gamma"], "end": epochs}
    return [warmup, steps] if schedule["warmup_iters"] else [steps]


def seed_everything(seed: int, epoch: int) -> None:
    number = int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)


def say(line: str, path: str) -> None:
    """Write a progress line; where it cannot be written (a socket has no path), the log has it."""
    try:
        with open(path, "a") as terminal:
            terminal.write(line)
    except OSError:
        sys.stderr.write(line)


def imbalance(means: dict[str, float]) -> str | None:
    """A warning where the distillation loss drowns the detection loss (10 times), or is drowned (1/100)."""
    distilled = sum(value for name, value in means.items() if name.startswith("distill_"))
    detection = means["loss"] - distilled
    if not distilled or detection / 100 <= distilled <= 10 * detection:
        return None
    found = f"distillation loss {distilled:.3g} beside a detection loss of {detection:.3g}"
    return f"warning: {found}: change the weights in the recipe's loss.options"


class SeedEpochs(Hook):
    """Each epoch draws from a seed of its own, so a resumed run sees what the uninterrupted one saw."""

    def __init__(self, seed: int):
        self.seed = seed

    def before_train_epoch(self, runner) -> None:
        seed_everything(self.seed, 1 + runner.epoch)


class PlainCheckpoints(Hook):
    """Keeps code out of checkpoints, so that they load with ``weights_only=True``.

    mmengine's smoothed logs carry methods; a one-cycle schedule carries a function, which it sets anew.
    """

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        checkpoint["message_hub"]["log_scalars"] = {}
        for schedule in checkpoint["param_schedulers"]:
            schedule.pop("anneal_func", None)


class History(Hook):
    """A row an epoch (mean losses, learning rate, AP), kept beside the checkpoints, and a line to watch."""

    priority = "ABOVE_NORMAL"

    def __init__(self, path: Path, progress: str, label: str, epochs: int):
        self.path, self.progress, self.label, self.epochs = path, progress, label, epochs
        self.rows: list[dict] = []

    def before_train(self, runner) -> None:
        self.started, self.first = time.monotonic(), runner.epoch
        if runner.epoch:
            self.rows = files.read_json(self.path)[: runner.epoch]
            self._say(f"goes on after epoch {runner.epoch} of {self.epochs}")

    def before_train_epoch(self, runner) -> None:
        self.sums: dict[str, float] = {}

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        for name, value in outputs.items():
            self.sums[name] = self.sums.get(name, 0.0) + value.item()

    def after_train_epoch(self, runner) -> None:
        done, steps = runner.epoch + 1, len(runner.train_dataloader)
        means = {name: total / steps for name, total in self.sums.items()}
        self._keep({"epoch": done, "lr": runner.optim_wrapper.get_lr()["lr"][0], "AP": None, **means})
        seconds = (time.monotonic() - self.started) / (done - self.first) * (self.epochs - done)
        self._say(f"epoch {done}/{self.epochs}  loss {means['loss']:.3f}  {seconds:.0f} s left")
        if warning := imbalance(means):
            self._say(warning)

    def after_val_epoch(self, runner, metrics=None) -> None:
        self._keep({**self.rows.pop(), "AP": metrics["AP"]})
        self._say(f"AP {metrics['AP']:.1f} after epoch {self.rows[-1]['epoch']}")

    def _keep(self, row: dict) -> None:
        self.rows.append(row)
        if is_main_process():
            files.write_json(self.path, self.rows)

    def _say(self, text: str) -> None:
        if is_main_process():
            say(f"{self.label}: {text}\n", self.progress)
