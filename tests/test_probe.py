"""The images on which adaptation costs are measured."""

import pytest
import torch
from conftest import build, spec

from mtpd.adaptation import cost, probe

NAMES = ("r18_w8", "r18_w16")


@pytest.fixture
def probed(dataset, tmp_path, monkeypatch):
    """Function of a seed: the paths of the probe images of two detectors, and the costs between them."""
    paths = [tmp_path / f"{name}.pth" for name in NAMES]
    for seed, (name, path) in enumerate(zip(NAMES, paths, strict=True)):
        torch.save({"state_dict": build(name, seed).state_dict()}, path)
    seen, measure = [], cost.measure

    def watched(models, modules, scales, batches, half):
        seen.append([batch["data_samples"][0].img_path for batch in batches])
        return measure(models, modules, scales, batches, half)

    def run(seed):
        settings = {"probe_images": 4, "seed": seed}
        costs = probe.adaptation_costs(
            dataset, {name: spec(name) for name in NAMES}, list(map(str, paths)), settings
        )
        return seen[-1], costs["cost"].tolist()

    monkeypatch.setattr(cost, "measure", watched)
    return run


def test_the_seed_of_the_order_draws_the_probe_images(probed, dataset):
    images, costs = probed(0)
    assert len(set(images)) == 4
    assert all(path.startswith(dataset["train"]["images"]) for path in images)
    assert probed(0) == (images, costs)
    others, changed = probed(1)
    assert set(others) != set(images)
    assert all(new != old for new, old in zip(changed, costs, strict=True))
