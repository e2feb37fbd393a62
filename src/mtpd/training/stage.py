"""One stage: a student checkpoint and teachers (or none) give the next student checkpoint and its metrics."""

from __future__ import annotations

import ctypes
import signal
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import broadcast_object_list, init_dist, is_distributed, is_main_process
from mmengine.evaluator import Evaluator
from mmengine.model import MMDistributedDataParallel
from mmengine.runner import Runner

from mtpd import files
from mtpd.data import coco, pipelines, views
from mtpd.detectors import configs
from mtpd.evaluation import metrics
from mtpd.evaluation.truth import DEFAULT
from mtpd.job import failures, lock, trackers
from mtpd.job.progress import JOBS, ProgressFile, teller
from mtpd.job.stopping import Stop, keep_loading
from mtpd.training import optimisation, precision, results, schedules, versions
from mtpd.training.averaging import AverageWeights
from mtpd.training.checkpointing import SaveState, newest_checkpoint
from mtpd.training.history import History
from mtpd.training.models import student_and_teachers, student_of
from mtpd.training.preflight import Preflight, facts
from mtpd.training.settings import Stage
from mtpd.training.steps import StepLoop, reproducible

PR_SET_PDEATHSIG = 1  # of Linux's prctl: the signal that a process gets when its parent ends
WAIT_SECONDS = 3 * 3600  # for each other: one process scores while the others wait


def train(stage: Stage, out: Path, work: Path, progress: str = "/dev/stderr", label: str = "") -> None:
    """Train a stage and write its results into ``out``; where these are trained already, only score them.

    Args:
        stage: what to train.
        out: folder of the results.
        work: folder of resumable state; a subfolder is keyed by the stage's fingerprint.
        progress: file that the lines of progress go to.
        label: begins those lines.

    Raises:
        StoppedEarly: the job has to stop; the same call resumes.
        DivergedError: a loss or weight is not finite, now or in an earlier call with the same fingerprint.
        OtherVersionError: the saved state is of code that trains otherwise.
    """
    _join_processes()
    say = teller(label, progress) if is_main_process() else lambda text: None
    with Stop() as stop, lock.held(work, stop, say), failures.final_written(work, stop):
        if is_main_process():
            (work / failures.FINAL).unlink(missing_ok=True)
        precision.allow_tf32(stage.recipe)
        if _told_by_the_first_process(lambda: results.is_trained(stage, out)):
            say("trained already: only its scores are made again")
            results.score_again(stage, out, work / "scoring")
            return
        folder = work / stage.fingerprint()
        with failures.divergence_remembered(folder):
            _train(stage, out, folder, stop, say)


def _join_processes() -> None:
    """Under torchrun, before anything asks for the rank. mmengine's own function would need GPUs."""
    if not torch.distributed.is_torchelastic_launched() or is_distributed():
        return
    # A worker of a killed launcher would go on, on GPUs that another job may take.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if torch.cuda.is_available():
        init_dist("pytorch", timeout=WAIT_SECONDS)
    else:
        torch.distributed.init_process_group("gloo", timeout=timedelta(seconds=WAIT_SECONDS))


def _told_by_the_first_process(ask: Callable[[], Any]) -> Any:
    """Ask one process, which holds the lock: another one may see files that are being written."""
    found = [ask() if is_main_process() else None]
    broadcast_object_list(found)
    return found[0]


def _train(stage: Stage, out: Path, folder: Path, stop: Stop, say) -> None:
    classes = coco.classes_of(stage.dataset["train"]["annotations"])
    config = configs.load_config(stage.student["config"], stage.student["overrides"], classes)
    if stage.parent or stage.initial or not stage.pretrained:
        config = configs.without_pretraining(config)
    newest = _told_by_the_first_process(lambda: _newest_state(folder, say))
    shown = {"scales": stage.recipe["scales"], "augment": stage.recipe.get("augment")}
    dataset = pipelines.at_scale({**stage.dataset, **shown}, stage.student)
    pipelines.add_training(config, dataset, classes, stage.images_of_process(), stage.workers)
    pipelines.add_validation(config, dataset, classes, stage.workers)
    model, took = student_and_teachers(stage, config, classes, resuming=newest is not None)
    evaluator = stage.dataset.get("evaluator", DEFAULT)
    metric = metrics.CocoPredictions(stage.dataset["val"]["annotations"], classes, evaluator)
    metric.collect_dir = str(folder / "collected")  # by default mmengine writes into the working folder
    told = ProgressFile(folder, writes=is_main_process())
    history = History(say, stage.epochs, stage.recipe["validate_every"], metric.truth.version, told)
    hooks = [history, SaveState(folder, stop)]
    if average := stage.recipe.get("ema"):
        hooks.append(AverageWeights(**average))
    if is_main_process():
        hooks.append(Preflight(model, facts(stage, model, took), folder, say))
    runner = _runner(stage, model, config, folder, newest, metric, hooks)
    runner.visualizer.add_config(trackers.settings(asdict(stage), folder))
    runner.train()
    if is_main_process():
        results.write_origins(out, took)
        files.write_json(out / JOBS, told.jobs())
        results.write(stage, student_of(runner.model), config, metric, history.rows, out)


def _newest_state(folder: Path, say) -> Path | None:
    """The checkpoint to resume from. Saved state with other settings is kept, and reported.

    Raises:
        OtherVersionError: as ``versions.require_same_results``.
    """
    newest = newest_checkpoint(folder, say)
    if newest:
        versions.require_same_results(folder)
    others = sorted({path.parent.name for path in folder.parent.glob("*/iter_*.pth")} - {folder.name})
    if others and not newest:
        names = ", ".join(others)
        say(f"starting over: the saved state in {folder.parent} has different settings or inputs ({names})")
    versions.write(folder)
    return newest


def _runner(stage: Stage, model, config: Config, work: Path, newest, metric, hooks: list) -> Runner:
    """mmengine's runner; it resumes from the checkpoint ``newest`` if there is one."""
    if is_distributed() and not torch.cuda.is_available():
        model = MMDistributedDataParallel(module=model, broadcast_buffers=False)  # mmengine's would need GPUs
    recipe, position = stage.recipe, stage.position()
    batch_size, micro_batch = recipe["batch_size"], stage.micro_batch()
    loaders = {"worker_init_fn": {"type": keep_loading}}
    training = views.at_scales(config.train_dataloader, stage.teacher_scales())  # not in the student's config
    return Runner(
        model=model,
        work_dir=str(work),
        train_dataloader=reproducible(training, batch_size, micro_batch, **position) | loaders,
        val_dataloader=config.val_dataloader | loaders,
        val_evaluator=Evaluator(metric),
        val_cfg={},
        train_cfg={
            "type": StepLoop,
            "max_epochs": stage.epochs,
            "val_interval": recipe["validate_every"],
            **position,
            "micro_batch": micro_batch,
        },
        optim_wrapper=optimisation.optim_wrapper(recipe, stage.images_of_process() // micro_batch),
        param_scheduler=schedules.schedules(recipe, stage.epochs),
        default_hooks={"checkpoint": None, "logger": {"type": "LoggerHook", "interval": 20}},
        custom_hooks=hooks,
        load_from=str(newest) if newest else None,
        resume=newest is not None,
        launcher="pytorch" if torch.distributed.is_torchelastic_launched() else "none",
        randomness={"seed": stage.seed},
        default_scope="mmdet",
        experiment_name=work.name,
        visualizer=trackers.visualizer(stage.trackers, work, stage.dataset["name"]),
    )
