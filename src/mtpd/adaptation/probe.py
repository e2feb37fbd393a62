"""Adaptation costs between checkpoints, measured on probe images of the training split."""

from __future__ import annotations

import numpy as np
import pandas as pd
from mmdet.registry import DATASETS
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from torch.utils.data import DataLoader, Subset

from mtpd.adaptation import cost
from mtpd.data import coco, pipelines, views
from mtpd.detectors import checkpoints, configs


def adaptation_costs(
    dataset: dict, specs: dict[str, dict], weights: list[str], settings: dict
) -> pd.DataFrame:
    """Costs between all the detectors, by level (see ``cost.measure``).

    Args:
        dataset: as made by ``mtpd.experiment.data_specs.dataset``.
        specs: detectors by name, as made by ``mtpd.experiment.specs.tapped_detector``.
        weights: their checkpoints, in that order.
        settings: ``probe_images`` and ``seed``.
    """
    classes = coco.classes_of(dataset["train"]["annotations"])
    models = {
        name: checkpoints.load(spec, path, classes).to(get_device()).eval()
        for (name, spec), path in zip(specs.items(), weights, strict=True)
    }
    scales = {name: spec["image_scale"] for name, spec in specs.items()}
    modules = {name: spec["taps"] for name, spec in specs.items()}
    images = _training_images(dataset, classes, next(iter(specs.values())), scales)
    count = min(settings["probe_images"], len(images))
    chosen = np.random.default_rng(settings["seed"]).permutation(len(images))[:count]
    batches = DataLoader(Subset(images, chosen.tolist()), batch_size=1, collate_fn=pseudo_collate)
    return cost.measure(models, modules, scales, batches, count // 2)


def _training_images(dataset: dict, classes: tuple[str, ...], spec: dict, scales: dict[str, float]):
    """The training split as a data set, prepared as for validation (no flips), at every scale."""
    config = configs.load_config(spec["config"], spec["overrides"], classes)
    swapped = {**dataset, "val": dataset["train"]}
    pipelines.add_validation(config, swapped, classes, workers=0)
    return DATASETS.build(views.at_scales(config.val_dataloader, [*scales.values()]).dataset)
