"""Trackers that people watch training with, through mmengine's own backends. They change no result."""

from __future__ import annotations

import os
from pathlib import Path

from filelock import FileLock
from mmengine.config import Config
from mmengine.dist import is_main_process

from mtpd import files

KEPT = ("dataset", "student", "teachers", "recipe", "epochs", "seed", "parent")


def visualizer(names: tuple[str, ...], folder: Path, project: str) -> dict:
    """Config of mmengine's visualizer. A stage that resumes goes on with its run.

    Args:
        names: ``tensorboard``, ``wandb``, ``mlflow``; without any, nothing is written.
        folder: of the stage's state. Its name is the stage's fingerprint; the folders above it, student,
            recipe, chain and seed, name the run.
        project: what W&B and MLflow group runs by.
    """
    run = "/".join(folder.parts[-5:-1])
    backends = [BACKENDS[name](folder, project, run) for name in names if is_main_process()]
    return {"type": "Visualizer", "name": str(folder), "vis_backends": backends, "save_dir": str(folder)}


def settings(stage: dict, folder: Path) -> Config:
    """What a tracker keeps beside the curves. Args: the fields of the ``Stage``, the folder of its state."""
    return Config({"work_dir": str(folder), **{name: stage[name] for name in KEPT}})


def _tensorboard(folder: Path, project: str, run: str) -> dict:
    """Settings for ``tensorboard --logdir work``, where folders name the runs."""
    return {"type": "TensorboardVisBackend", "save_dir": str(folder / "tensorboard")}


def _wandb(folder: Path, project: str, run: str) -> dict:
    settings = {"project": project, "name": run, "id": folder.name, "resume": "allow"}
    return {"type": "WandbVisBackend", "save_dir": str(folder / "wandb"), "init_kwargs": settings}


def _mlflow(folder: Path, project: str, run: str) -> dict:
    """The run is made here, and its id kept: the backend would make a new one at each resume."""
    import mlflow

    address = os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{Path('work/mlflow.db').absolute()}")
    kept = folder / "mlflow_run.txt"
    if not kept.exists():
        Path("work").mkdir(exist_ok=True)
        with FileLock("work/mlflow.lock"):  # of stages that start together, one makes database and experiment
            client = mlflow.MlflowClient(address)
            known = client.get_experiment_by_name(project)
            experiment = known.experiment_id if known else client.create_experiment(project)
        files.write_text(kept, client.create_run(experiment, run_name=run).info.run_id)
    os.environ["MLFLOW_RUN_ID"] = kept.read_text(encoding="utf-8")  # the backend's calls go to this run
    names = {"exp_name": project, "run_name": run, "tracking_uri": address}
    return {"type": "MLflowVisBackend", "save_dir": str(folder / "mlflow"), **names}


BACKENDS = {"tensorboard": _tensorboard, "wandb": _wandb, "mlflow": _mlflow}
