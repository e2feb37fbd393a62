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

    ``student`` and ``teachers`` are detectors (``config`` and ``overrides``), ``dataset`` as for
    ``detectors.add_data`` (and ``name``), ``recipe`` as in the experiment file.
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
    detectors.add_data(config, stage.dataset, classes, stage.recipe["batch_size"], stage.workers)
    work = work / stage.fingerprint(config)
    metric = evaluation.CocoPredictions(stage.dataset["val"]["annotations"], classes)
    history = History(progress, label, stage.epochs)
    resume_from = find_latest_checkpoint(str(work)) if (work / "last_checkpoint").exists() else None
    runner = Runner(
        model=_model(stage, config, classes, resume_from is not None),
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
        optim_wrapper={
            "optimizer": stage.recipe["optimizer"],
            "clip_grad": {"max_norm": stage.recipe["clip_grad"], "norm_type": 2},
        },
        param_scheduler=_schedule(stage.recipe, stage.epochs),
        default_hooks={
            "checkpoint": {"type": "CheckpointHook", "interval": 1, "max_keep_ckpts": 2},
            "logger": {"type": "LoggerHook", "interval": 20},
        },
        custom_hooks=[SeedEpochs(stage.seed), history],
        load_from=resume_from,
        resume=resume_from is not None,
        launcher="pytorch" if torch.distributed.is_torchelastic_launched() else "none",
        randomness={"seed": stage.seed},
        default_scope="mmdet",
        experiment_name=work.name,
        log_level="INFO",
    )
    if resume_from:
        print(f"{label} resumes from {resume_from}", file=sys.stderr)
    runner.train()
    if runner.epoch == stage.epochs and not metric.predictions:  # the stage was over before this run
        runner.val_loop.run()
    if is_main_process():
        _write_results(stage, runner, config, classes, metric, out)


def _write_results(stage, runner, config, classes, metric, out: Path) -> None:
    model = runner.model.module if hasattr(runner.model, "module") else runner.model
    provenance = {"teachers": list(stage.teacher_weights), "parent": stage.parent, "seed": stage.seed}
    out.mkdir(parents=True, exist_ok=True)
    files.write_json(out / "predictions.json", metric.predictions)
    scores = evaluation.metrics(
        stage.dataset["val"]["annotations"], metric.predictions, stage.dataset["name"]
    )
    files.write_json(out / "metrics.json", scores)
    rows = runner.message_hub.get_info("history")
    if not rows[-1].get("AP"):
        rows[-1]["AP"] = scores["bbox"]["AP"]
    files.write_text(out / "history.csv", pd.DataFrame(rows).to_csv(index=False))
    student = getattr(model, "student", model)
    detectors.save_student(out / "student.pth", student, config, classes, provenance)


def _model(stage: Stage, config: Config, classes: tuple[str, ...], resuming: bool) -> BaseModel:
    """The student, started as the stage wants it, alone or in a distiller."""
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
    if teachers and stage.recipe["inherit"] and not stage.parent:
        report = inherit(student, teachers[0].state_dict())
        print(f"inherited {len(report['inherited'])} tensors, skipped {report['skipped']}", file=sys.stderr)
    _keep_weights(student)
    if not teachers:
        return student
    loss = stage.recipe["loss"]
    taps = tuple(stage.recipe["taps"]) if stage.recipe["taps"] else None
    return Distiller(student, teachers, loss["name"], loss["options"], taps, get_device())


def _keep_weights(student: nn.Module) -> None:
    """The runner calls init_weights() before training; what this stage starts from must survive that."""
    for module in student.modules():
        if hasattr(module, "_is_init"):
            module._is_init = True


def evaluate(dataset: dict, detector: dict, weights: str, work: Path) -> tuple[dict, list[dict]]:
    """Score a detector's checkpoint on the validation split.

    Args:
        dataset: as in ``Stage``.
        detector: ``config`` and ``overrides``.
        weights: its checkpoint.
        work: folder for the runner's logs.

    Returns:
        Metrics, and the predictions they are computed from.
    """
    classes = files.classes_of(dataset["train"]["annotations"])
    config = detectors.load_config(detector["config"], detector["overrides"], classes)
    detectors.add_data(config, dataset, classes, batch_size=1, workers=0)
    metric = evaluation.CocoPredictions(dataset["val"]["annotations"], classes)
    runner = Runner(
        model=detectors.load(detector, weights, classes),
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


class SeedEpochs(Hook):
    """Each epoch draws from a seed of its own, so a resumed run sees what the uninterrupted one saw."""

    def __init__(self, seed: int):
        self.seed = seed

    def before_train_epoch(self, runner) -> None:
        seed_everything(self.seed, 1 + runner.epoch)


class History(Hook):
    """A row an epoch (mean losses, learning rate, AP), kept in the checkpoints, and a line to watch."""

    priority = "ABOVE_NORMAL"

    def __init__(self, progress: str, label: str, epochs: int):
        self.progress, self.label, self.epochs = progress, label, epochs

    def before_train(self, runner) -> None:
        self.started, self.first = time.monotonic(), runner.epoch
        if "history" not in runner.message_hub.runtime_info:
            runner.message_hub.update_info("history", [])

    def before_train_epoch(self, runner) -> None:
        self.sums: dict[str, float] = {}

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        for name, value in outputs.items():
            self.sums[name] = self.sums.get(name, 0.0) + value.item()

    def after_train_epoch(self, runner) -> None:
        done, steps = runner.epoch + 1, len(runner.train_dataloader)
        row = {"epoch": done, "lr": runner.optim_wrapper.get_lr()["lr"][0]}
        row |= {name: total / steps for name, total in self.sums.items()}
        rows = [*runner.message_hub.get_info("history"), row]
        runner.message_hub.update_info("history", rows)
        seconds = (time.monotonic() - self.started) / (done - self.first) * (self.epochs - done)
        ap = next((f"  AP {r['AP']:.1f}" for r in reversed(rows) if "AP" in r), "")
        line = f"{self.label} epoch {done}/{self.epochs}  loss {row['loss']:.3f}{ap}  {seconds:.0f} s left\n"
        if is_main_process():
            say(line, self.progress)

    def after_val_epoch(self, runner, metrics=None) -> None:
        rows = runner.message_hub.get_info("history")
        rows[-1]["AP"] = metrics["AP"]
        runner.message_hub.update_info("history", rows)
