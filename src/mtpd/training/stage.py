"""One stage: a student checkpoint and teachers (or none) give the next student checkpoint and its metrics."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import broadcast_object_list, init_dist, is_distributed, is_main_process
from mmengine.evaluator import Evaluator
from mmengine.model import BaseModel, MMDistributedDataParallel
from mmengine.runner import Runner
from torch import nn

import mtpd
from mtpd import files
from mtpd.data import coco, pipelines
from mtpd.detectors import checkpoints, configs
from mtpd.detectors.inherit import inherit
from mtpd.distill.distiller import Distiller
from mtpd.evaluation import metrics
from mtpd.training import lock, optimisation
from mtpd.training.checkpointing import SaveState, newest_checkpoint
from mtpd.training.history import History
from mtpd.training.progress import teller
from mtpd.training.randomness import Seeds, reproducible, seed_everything
from mtpd.training.stopping import Stop


@dataclass(frozen=True)
class Stage:
    """Everything that can change the result of a stage.

    ``student`` and ``teachers`` are specs of detectors (``config``, ``overrides``, ``image_scale``; with a
    teacher also ``taps``). ``dataset`` is as for ``pipelines.add_data``, with a ``name``; ``recipe`` is as in
    the experiment file.
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
        """Hash of the resolved detectors, the settings, the checksums of all inputs, and this version."""
        inputs = [*self.teacher_weights, *([self.parent] if self.parent else [])]
        inputs += [self.dataset[split]["annotations"] for split in ("train", "val")]
        return files.fingerprint(
            [config.model.to_dict(), self.dataset, self.recipe, self.epochs, self.seed]
            + [configs.resolved(spec) for spec in self.teachers]
            + [files.sha256(path) for path in inputs]
            + [mtpd.__version__]
        )


def train(stage: Stage, out: Path, work: Path, progress: str = "/dev/stderr", label: str = "") -> None:
    """Train a stage and write its five results (see ``_write_results``) into ``out``.

    Args:
        stage: what to train.
        out: folder of the results.
        work: folder of resumable state; a subfolder is keyed by the stage's fingerprint.
        progress: file that the lines of progress go to.
        label: begins those lines.

    Raises:
        StoppedEarly: the job has to stop; the same call resumes.
        LockedError: another process works on the stage.
        DivergedError: a loss or weight is not finite.
    """
    _join_processes()
    say = teller(label, progress)
    with lock.held(work), Stop() as stop:
        _train(stage, out, work, stop, say)


def _join_processes() -> None:
    """Under torchrun, before anything asks for the rank. mmengine's own function would need GPUs."""
    if not torch.distributed.is_torchelastic_launched() or is_distributed():
        return
    if torch.cuda.is_available():
        init_dist("pytorch")
    else:
        torch.distributed.init_process_group("gloo")


def _train(stage: Stage, out: Path, work: Path, stop: Stop, say) -> None:
    classes = coco.classes_of(stage.dataset["train"]["annotations"])
    config = configs.load_config(stage.student["config"], stage.student["overrides"], classes)
    if stage.parent:
        config = configs.without_pretraining(config)
    folder = work / stage.fingerprint(config)
    found = [_newest_state(folder, say) if is_main_process() else None]
    broadcast_object_list(found)
    newest = found[0]
    dataset = pipelines.at_scale(stage.dataset, stage.student)
    pipelines.add_data(config, dataset, classes, stage.recipe["batch_size"], stage.workers)
    model, inherited = _model(stage, config, classes, resuming=newest is not None)
    metric = metrics.CocoPredictions(stage.dataset["val"]["annotations"], classes)
    history = History(say, stage.epochs, stage.recipe["validate_every"])
    hooks = [Seeds(stage.seed), history, SaveState(folder, stop)]
    runner = _runner(stage, model, config, folder, newest, metric, hooks)
    runner.train()
    if is_main_process():
        files.write_json(out / "inherited.json", inherited)
        _write_results(stage, runner.model, config, classes, metric.predictions, history.rows, out)


def _newest_state(folder: Path, say) -> Path | None:
    """The checkpoint to resume from. Saved state with other settings is kept, and reported."""
    newest = newest_checkpoint(folder, say)
    others = [other.name for other in folder.parent.iterdir() if other.is_dir() and other != folder]
    if others and not newest:
        names = ", ".join(others)
        say(f"starting over: the saved state in {folder.parent} has different settings or inputs ({names})")
    folder.mkdir(exist_ok=True)
    return newest


def _runner(stage: Stage, model, config: Config, work: Path, newest, metric, hooks: list) -> Runner:
    """mmengine's runner; it resumes from the checkpoint ``newest`` if there is one."""
    if is_distributed() and not torch.cuda.is_available():
        model = MMDistributedDataParallel(module=model, broadcast_buffers=False)  # mmengine's would need GPUs
    return Runner(
        model=model,
        work_dir=str(work),
        train_dataloader=reproducible(config.train_dataloader, stage.seed),
        val_dataloader=config.val_dataloader,
        val_evaluator=Evaluator(metric),
        val_cfg={},
        train_cfg={
            "by_epoch": True,
            "max_epochs": stage.epochs,
            "val_interval": stage.recipe["validate_every"],
        },
        optim_wrapper=optimisation.optim_wrapper(stage.recipe),
        param_scheduler=optimisation.schedules(stage.recipe, stage.epochs),
        default_hooks={"checkpoint": None, "logger": {"type": "LoggerHook", "interval": 20}},
        custom_hooks=hooks,
        load_from=str(newest) if newest else None,
        resume=newest is not None,
        launcher="pytorch" if torch.distributed.is_torchelastic_launched() else "none",
        randomness={"seed": stage.seed},
        default_scope="mmdet",
        experiment_name=work.name,
    )


def _write_results(stage: Stage, model, config, classes, predictions, history, out: Path) -> None:
    """student.pth, metrics.json, predictions.json and history.csv."""
    model = getattr(model, "module", model)  # DDP wraps it
    annotations = stage.dataset["val"]["annotations"]
    provenance = {"teachers": list(stage.teacher_weights), "parent": stage.parent, "seed": stage.seed}
    files.write_json(out / "predictions.json", predictions)
    files.write_json(out / "metrics.json", metrics.summary(annotations, predictions, stage.dataset["name"]))
    files.write_text(out / "history.csv", pd.DataFrame(history).to_csv(index=False))
    checkpoints.save_student(
        out / "student.pth", getattr(model, "student", model), config, classes, provenance
    )


def _model(stage: Stage, config: Config, classes: tuple[str, ...], resuming: bool) -> tuple[BaseModel, dict]:
    """The student with the weights it starts from, alone or in a distiller; and what it inherited."""
    seed_everything(stage.seed)
    student = configs.build(config)
    if stage.parent:
        checkpoints.load_weights(student, stage.parent)
    elif not resuming:
        student.init_weights()
    teachers = [
        checkpoints.load(spec, path, classes)
        for spec, path in zip(stage.teachers, stage.teacher_weights, strict=True)
    ]
    inherited = {}
    if teachers and stage.recipe["inherit"] and not stage.parent:
        others = teachers[0].dataset_meta["classes"] != classes
        per_class = configs.class_dependent(stage.student, classes) if others else set()
        inherited = inherit(student, teachers[0].state_dict(), per_class)
    _keep_weights(student)
    if not teachers:
        return student, inherited
    scales = [spec["image_scale"] / stage.student["image_scale"] for spec in stage.teachers]
    loss = stage.recipe["loss"]
    taps = [spec["taps"] for spec in (stage.student, *stage.teachers)]
    distiller = Distiller(student, teachers, loss["name"], loss["options"], taps, scales, get_device())
    return distiller, inherited


def _keep_weights(student: nn.Module) -> None:
    """The runner calls init_weights() before training; it must not overwrite the weights of this stage."""
    for module in student.modules():
        if hasattr(module, "_is_init"):
            module._is_init = True
