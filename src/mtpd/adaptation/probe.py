"""Looking at detectors without training them: adaptation costs on probe images, and complexity."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from mmdet.registry import DATASETS
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from torch.utils.data import DataLoader, Subset

from mtpd import adaptation, detectors, files
from mtpd.complexity import complexity


def adaptation_costs(
    dataset: dict, specs: dict[str, dict], weights: list[str], settings: dict
) -> pd.DataFrame:
    """Costs between all the detectors, by level (see ``adaptation.measure``).

    Args:
        dataset: as in ``training.Stage``.
        specs: detectors as in ``training.Stage``, by name.
        weights: their checkpoints, in that order.
        settings: ``probe_images``, ``ridge`` and ``seed``.
    """
    classes = files.classes_of(dataset["train"]["annotations"])
    models = {
        name: detectors.load(spec, path, classes).to(get_device()).eval()
        for (name, spec), path in zip(specs.items(), weights, strict=True)
    }
    scales = {name: spec["image_scale"] for name, spec in specs.items()}
    modules = {name: spec["taps"] for name, spec in specs.items()}
    images = _training_images(dataset, classes, next(iter(specs.values())))
    count = min(settings["probe_images"], len(images))
    chosen = np.random.default_rng(settings["seed"]).permutation(len(images))[:count]
    batches = DataLoader(Subset(images, chosen.tolist()), batch_size=1, collate_fn=pseudo_collate)
    return adaptation.measure(models, modules, scales, batches, count // 2, settings["ridge"])


def _training_images(dataset: dict, classes: tuple[str, ...], spec: dict):
    """The training split as a data set, prepared as for validation (no flips)."""
    config = detectors.load_config(spec["config"], spec["overrides"], classes)
    swapped = {**dataset, "val": dataset["train"]}
    detectors.add_data(config, swapped, classes, batch_size=1, workers=0)
    return DATASETS.build(config.val_dataloader.dataset)


def complexities(dataset: dict, specs: dict[str, dict]) -> pd.DataFrame:
    """Complexity of each detector on an image as large as it sees them, by detector (index)."""
    classes = files.classes_of(dataset["train"]["annotations"])
    found = {}
    for name, spec in specs.items():
        config = detectors.load_config(spec["config"], spec["overrides"], classes)
        detector = detectors.build(detectors.without_pretraining(config)).to(get_device()).eval()
        width, height = detectors.at_scale(dataset, spec)["scale"]
        image = torch.zeros(1, 3, height, width, device=get_device())
        found[name] = complexity(detector, image)
    return pd.DataFrame.from_dict(found, orient="index").rename_axis("detector")
