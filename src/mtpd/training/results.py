"""The results of a stage: written after its training, and again where only its scoring has changed."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd
from mmengine.config import Config
from mmengine.dist import barrier, is_main_process
from mmengine.logging import print_log
from torch import nn

import mtpd
from mtpd import files
from mtpd.detectors import checkpoints
from mtpd.evaluation import samples
from mtpd.evaluation.evaluate import evaluate
from mtpd.evaluation.metrics import CocoPredictions
from mtpd.experiment import identity
from mtpd.job import took
from mtpd.job.progress import JOBS
from mtpd.training.settings import Stage

STUDENT, HISTORY, INHERITED, INITIAL = "student.pth", "history.csv", "inherited.json", "initial.json"
# In student.pth, which holds nothing that is only scored with: so it is the same file if it is trained again.
FINGERPRINT, TRAINED_WITH = "fingerprint", "trained_with"
SCORED_ON = "annotations"  # in history.csv: begins the hash of the validation file that an AP was measured on


def write(
    stage: Stage, student: nn.Module, config: Config, metric: CocoPredictions, rows: list[dict], out: Path
) -> None:
    """Write the scores, ``history.csv`` and, last, ``student.pth``; ``val_samples.jpg`` if possible."""
    (out / STUDENT).unlink(missing_ok=True)  # an earlier one belongs to none of the other files
    _write_scores(stage, metric, out)
    history = pd.DataFrame(rows)
    _write_history(history, metric, out)
    provenance = {
        FINGERPRINT: stage.fingerprint(),
        TRAINED_WITH: identity.trained_with(stage.made_with),
        "results_version": mtpd.RESULTS_VERSION,
        "teachers": list(stage.teacher_weights),
        "inherited": stage.inherited_weights,
        "parent": stage.parent,
        "initial": stage.initial_weights,
        "seed": stage.seed,
    }
    checkpoints.save_student(out / STUDENT, student, config, metric.classes, provenance)


def write_origins(out: Path, took: dict[str, dict]) -> None:
    """Write where the student's weights came from: ``took`` of ``models.student_and_teachers``.

    ``initial.json`` is there only if the stage started from such weights; no rule names it.
    """
    files.write_json(out / INHERITED, took["inherited"])
    (out / INITIAL).unlink(missing_ok=True)  # of an earlier training with other settings
    if took["initial"]:
        files.write_json(out / INITIAL, took["initial"])


def is_trained(stage: Stage, out: Path) -> bool:
    """Whether the student in ``out`` was trained with all that the stage would train it with."""
    if not all((out / name).exists() for name in (STUDENT, HISTORY, INHERITED)):
        return False
    try:
        return checkpoints.provenance(out / STUDENT).get(FINGERPRINT) == stage.fingerprint()
    except checkpoints.CheckpointError:
        return False


def score_again(stage: Stage, out: Path, work: Path) -> None:
    """Score the student in ``out``, which is trained. Its epochs keep the AP of the same annotations only.

    Args:
        work: folder for the runner's logs.
    """
    metric = evaluate(stage.dataset, stage.student, out / STUDENT, work, stage.workers)
    if is_main_process():
        _write_jobs(out)
        _write_scores(stage, metric, out)
        history = pd.read_csv(out / HISTORY, dtype={SCORED_ON: str})
        history.loc[history.index[-1], "AP"] = metric.scores["AP"]
        history.loc[history.index[-1], SCORED_ON] = metric.truth.version
        _write_history(history, metric, out)
    barrier()


def _write_scores(stage: Stage, metric: CocoPredictions, out: Path) -> None:
    files.write_json(out / "predictions.json", metric.predictions, indent=None)
    about = {identity.KEY: stage.made_with, "results_version": mtpd.RESULTS_VERSION}
    files.write_json(out / "metrics.json", {**metric.summary(stage.dataset["name"]), **about})
    _draw_samples(stage, metric, out)


def _write_history(history: pd.DataFrame, metric: CocoPredictions, out: Path) -> None:
    other = history[SCORED_ON] != metric.truth.version
    history.loc[other, ["AP", SCORED_ON]] = None
    files.write_text(out / HISTORY, history.to_csv(index=False))


def _write_jobs(out: Path) -> None:
    """Count the job that trained as an earlier one: this job's benchmark takes the place of its own."""
    if spent := took.read(out):
        earlier = files.read_json(out / JOBS)["earlier_jobs"] if (out / JOBS).exists() else 0
        files.write_json(out / JOBS, {"earlier_jobs": earlier + 1, "seconds_of_earlier_jobs": spent.seconds})


def _draw_samples(stage: Stage, metric: CocoPredictions, out: Path) -> None:
    images = Path(stage.dataset["val"]["images"])
    (out / samples.FILE).unlink(missing_ok=True)  # of an earlier training with other settings
    try:
        samples.draw(metric.truth, images, metric.predictions, out / samples.FILE)
    except Exception as error:  # a picture must not cost a trained student
        text = f"{samples.FILE} is not written: {type(error).__name__}: {error}"
        print_log(text, "current", logging.WARNING)
