"""One stage: a student checkpoint and teachers (or none) give the next student checkpoint and its metrics."""

from __future__ import annotations

import ctypes
import signal
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
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
from mtpd.experiment import identity
from mtpd.monitoring import trackers
from mtpd.monitoring.progress import JOBS, ProgressFile, teller
from mtpd.training import failures, lock, optimisation, precision, results, schedules, steps, versions
from mtpd.training.checkpointing import SaveState, newest_checkpoint
from mtpd.training.history import History
from mtpd.training.models import student_and_teachers
from mtpd.training.preflight import Preflight, facts
from mtpd.training.steps import StepLoop, reproducible
from mtpd.training.stopping import Stop, keep_loading

PR_SET_PDEATHSIG = 1  # of Linux's prctl: the signal that a process gets when its parent ends
WAIT_SECONDS = 3 * 3600  # for each other: one process scores while the others wait


@dataclass(frozen=True)
class Stage:
    """Everything that can change the result of a stage.

    ``student``, ``teachers`` and ``inherits`` (the detector whose neck and heads the student takes, if any)
    are specs of detectors (``config``, ``overrides``, ``image_scale``; with a teacher also ``taps``).
    ``dataset`` is as for ``pipelines.add_training``; ``recipe`` is as in the experiment file.
    ``epochs_before`` are those of the chain's earlier stages.
    ``parent`` is the checkpoint that the student starts from, if not from its config's own weights; these are
    random if not ``pretrained``, as in a rehearsal.
    ``initial`` says how the student starts from the checkpoint ``initial_weights``, if from such a one.
    ``backbones`` are files of pretrained weights, by the names that the student's config gives them.
    """

    dataset: dict
    student: dict
    recipe: dict
    epochs: int
    seed: int
    epochs_before: int = 0
    teachers: tuple[dict, ...] = ()
    inherits: dict | None = None
    teacher_weights: tuple[str, ...] = ()
    inherited_weights: str | None = None
    parent: str | None = None
    initial: dict | None = None
    initial_weights: str | None = None
    backbones: dict[str, str] = field(default_factory=dict)
    pretrained: bool = True
    # These cannot change the result.
    made_with: dict = field(default_factory=dict)  # of ``mtpd.experiment.identity``: written into the results
    workers: int = 0
    trackers: tuple[str, ...] = ()

    def position(self) -> dict[str, int]:
        """What all random numbers depend on, beside the place within the stage."""
        return {"seed": self.seed, "epochs_before": self.epochs_before}

    def micro_batch(self) -> int:
        """Images of one forward and backward pass."""
        return self.recipe["micro_batch_size"] or self.recipe["batch_size"]

    def teacher_scales(self) -> list[float]:
        """Scale of the images that each teacher sees, relative to the student's."""
        return [spec["image_scale"] / self.student["image_scale"] for spec in self.teachers]

    def images_of_process(self) -> int:
        """Images of a step that this process works on; a ValueError if a step cannot be divided evenly."""
        return steps.images_of_process(self.recipe["batch_size"], self.micro_batch())

    def fingerprint(self) -> str:
        """Hash of all that can change the weights: settings, resolved configs, the content of input files.

        Not the code: see ``versions``. Not what only scores: see ``identity.ONLY_SCORING``.
        """
        dataset = {key: value for key, value in self.dataset.items() if key != "train"}
        settings = identity.trained_with({"dataset": dataset, "recipe": self.recipe})
        backbones = {name: files.known_sha256(path) for name, path in self.backbones.items()}
        initial = self.initial_weights and [self.initial, files.known_sha256(self.initial_weights)]
        return files.fingerprint(
            {
                "settings": [settings, self.epochs, self.pretrained],
                "position": self.position(),
                "student": configs.resolved(self.student, backbones),
                "teachers": [configs.resolved(spec) for spec in self.teachers],
                "inherits": self.inherits and configs.resolved(self.inherits),
                "annotations": self._annotations(),
                "weights": [files.known_sha256(path) for path in self.teacher_weights],
                "inherited": self.inherited_weights and files.known_sha256(self.inherited_weights),
                "parent": self.parent and files.known_sha256(self.parent),
                "backbones": sorted(backbones.values()),
                **({"initial": initial} if initial else {}),  # without it, as before there was such a key
            }
        )

    def _annotations(self) -> str:
        """The hash of the training split: of imported data that of their content, else of the file."""
        train = self.dataset["train"]
        content = train.get("content")
        return content if isinstance(content, str) else files.known_sha256(train["annotations"])


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
    dataset = pipelines.at_scale({**stage.dataset, "scales": stage.recipe["scales"]}, stage.student)
    pipelines.add_training(config, dataset, classes, stage.images_of_process(), stage.workers)
    pipelines.add_validation(config, dataset, classes, stage.workers)
    model, took = student_and_teachers(stage, config, classes, resuming=newest is not None)
    evaluator = stage.dataset.get("evaluator", DEFAULT)
    metric = metrics.CocoPredictions(stage.dataset["val"]["annotations"], classes, evaluator)
    metric.collect_dir = str(folder / "collected")  # by default mmengine writes into the working folder
    told = ProgressFile(folder, writes=is_main_process())
    history = History(say, stage.epochs, stage.recipe["validate_every"], metric.truth.version, told)
    hooks = [history, SaveState(folder, stop)]
    if is_main_process():
        hooks.append(Preflight(model, facts(stage, model, took), folder, say))
    runner = _runner(stage, model, config, folder, newest, metric, hooks)
    runner.visualizer.add_config(trackers.settings(asdict(stage), folder))
    runner.train()
    if is_main_process():
        results.write_origins(out, took)
        files.write_json(out / JOBS, told.jobs())
        model = getattr(runner.model, "module", runner.model)  # DDP wraps it
        results.write(stage, getattr(model, "student", model), config, metric, history.rows, out)


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
