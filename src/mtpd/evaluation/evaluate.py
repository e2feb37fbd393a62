"""Scoring a detector's checkpoint on a split."""

from __future__ import annotations

from pathlib import Path

from mmengine.evaluator import Evaluator
from mmengine.runner import Runner

from mtpd.data import coco, pipelines
from mtpd.detectors import checkpoints, class_names, configs
from mtpd.evaluation.metrics import CocoPredictions
from mtpd.evaluation.truth import DEFAULT


def evaluate(
    dataset: dict, detector: dict, weights: str | Path, work: Path, workers: int = 0, split: str = "val"
) -> CocoPredictions:
    """Score a detector's checkpoint on the validation split, or on another one.

    Args:
        dataset: as made by ``mtpd.experiment.data_specs.scored_dataset``, with the training split (its
            classes) and the one to score.
        detector: as made by ``mtpd.experiment.specs.detector``.
        weights: its checkpoint.
        work: folder for the runner's logs.
        workers: data loaders; cannot change the result.
        split: ``val`` or ``test``.

    Returns:
        The predictions and their scores.
    """
    dataset = {**dataset, "val": dataset[split]}  # mmdet calls every scoring a validation
    classes = coco.classes_of(dataset["train"]["annotations"])
    config = configs.load_config(detector["config"], detector["overrides"], classes)
    pipelines.add_validation(config, pipelines.at_scale(dataset, detector), classes, workers)
    model = checkpoints.load(detector, weights, classes)
    own = model.dataset_meta["classes"]
    if differences := class_names.differences(own, classes):
        print(f"{weights}: only classes of equal names are the same: {differences}")
    evaluator = dataset.get("evaluator", DEFAULT)
    metric = CocoPredictions(dataset["val"]["annotations"], own, evaluator)
    metric.collect_dir = str(work / "collected")  # by default mmengine writes into the working folder
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
    return metric
