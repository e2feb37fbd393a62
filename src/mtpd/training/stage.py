"""A stage: a student checkpoint and its teachers (or none) -> the next student checkpoint and its metrics."""

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
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from mmengine.runner import Runner
from torch import nn

import mtpd
from mtpd import detectors, evaluation, files, state
from mtpd.distiller import Distiller
from mtpd.history import History, teller
from mtpd.inherit import inherit
from mtpd.randomness import Seeds, reproducible, seed_everything


@dataclass(frozen=True)
class Stage:
    """Everything that can change a stage's result.

    ``student`` and ``teachers`` are detectors (``config``, ``overrides``, ``image_scale``; and ``taps`` where
    there is a teacher). ``dataset`` is as for ``detectors.add_data``, with a ``name``, and ``recipe`` as in
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
        """Of the student's resolved config, the checksums of all inputs, and the library's version."""
        inputs = [*self.teacher_weights, *([self.parent] if self.parent else [])]
        inputs += [self.dataset[split]["annotations"] for split in ("train", "val")]
        return files.fingerprint(
            [config.model.to_dict(), self.dataset, self.recipe, self.epochs, self.seed]
            + [detectors.resolved(spec) for spec in self.teachers]
            + [files.sha256(path) for path in inputs]
            + [mtpd.__version__]
        )


def train(stage: Stage, out: Path, work: Path, progress: str = "/dev/stderr", label: str = "") -> None:
    """Train a stage and write its five results (see ``_write_results``) into ``out``.

    Args:
        stage: what to train.
        out: folder of the results.
        work: folder of resumable state; a subfolder is keyed by the stage's fingerprint.
        progress: where lines to watch go.
        label: begins those lines.

    Raises:
        state.ToBeContinued: the job has to stop; the same call goes on.
        state.LockedError: another process works on the stage.
        state.DivergedError: a loss or weight is not finite.
    """
    _join_processes()
    say = teller(label, progress)
    with state.held(work), state.Stop() as stop:
        _train(stage, out, work, stop, say)


def _join_processes() -> None:
    """Under torchrun, before anything asks which process this is. mmengine's own start would need GPUs."""
    if not torch.distributed.is_torchelastic_launched() or is_distributed():
        return
    if torch.cuda.is_available():
        init_dist("pytorch")
    else:
        torch.distributed.init_process_group("gloo")


def _train(stage: Stage, out: Path, work: Path, stop: state.Stop, say) -> None:
    classes = files.classes_of(stage.dataset["train"]["annotations"])
    config = detectors.load_config(stage.student["config"], stage.student["overrides"], classes)
    if stage.parent:
        config = detectors.without_pretraining(config)
    folder = work / stage.fingerprint(config)
    found = [_newest_state(folder, say) if is_main_process() else None]
    broadcast_object_list(found)
    newest = found[0]
    dataset = detectors.at_scale(stage.dataset, stage.student)
    detectors.add_data(config, dataset, classes, stage.recipe["batch_size"], stage.workers)
    model, inherited = _model(stage, config, classes, resuming=newest is not None)
    metric = evaluation.CocoPredictions(stage.dataset["val"]["annotations"], classes)
    history = History(say, stage.epochs, stage.recipe["validate_every"])
    hooks = [Seeds(stage.seed), history, state.SaveState(folder, stop)]
    runner = _runner(stage, model, config, folder, newest, metric, hooks)
    runner.train()
    if is_main_process():
        files.write_json(out / "inherited.json", inherited)
        _write_results(stage, runner.model, config, classes, metric.predictions, history.rows, out)


def _newest_state(folder: Path, say) -> Path | None:
    """Where to go on from. State of the same stage under other settings stays beside it, and is named."""
    newest = state.newest_checkpoint(folder, say)
    others = [other.name for other in folder.parent.iterdir() if other.is_dir() and other != folder]
    if others and not newest:
        say(f"starts afresh: what {folder.parent} holds is of other settings or inputs ({', '.join(others)})")
    folder.mkdir(exist_ok=True)
    return newest


def _runner(stage: Stage, model, config: Config, work: Path, newest, metric, hooks: list) -> Runner:
    """mmengine's runner, resuming from the checkpoint ``newest`` if there is one."""
    if is_distributed() and not torch.cuda.is_available():
        model = MMDistributedDataParallel(module=model, broadcast_buffers=False)  # mmengine's would want GPUs
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
        optim_wrapper=optim_wrapper(stage.recipe),
        param_scheduler=_schedule(stage.recipe, stage.epochs),
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
    seed_everything(stage.seed)
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
    taps = [spec["taps"] for spec in (stage.student, *stage.teachers)]
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
        detector: as in ``Stage``.
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


@OPTIM_WRAPPERS.register_module()
class Mixed(AmpOptimWrapper):
    """mmengine's mixed precision, which would refuse a CPU, where bfloat16 works too."""

    def __init__(self, dtype: str, **kwargs):
        OptimWrapper.__init__(self, **kwargs)
        # bfloat16 has float32's range; only float16 needs its loss scaled.
        self.loss_scaler = torch.amp.GradScaler(get_device(), enabled=dtype == "float16")
        self.cast_dtype = getattr(torch, dtype)
        self._scale_update_param = None


def optim_wrapper(recipe: dict) -> dict:
    """Config of mmengine's optimiser wrapper for a recipe."""
    wrapper = {
        "optimizer": recipe["optimizer"],
        "clip_grad": {"max_norm": recipe["clip_grad"], "norm_type": 2},
        "accumulative_counts": recipe["accumulate"],
    }
    if recipe["precision"] == "float32":
        return wrapper
    return {"type": "Mixed", "dtype": recipe["precision"], **wrapper}


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
