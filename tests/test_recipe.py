"""What a recipe says reaches torch and mmengine: rates by parameter, sizes of training images, TF32."""

import dataclasses

import pytest
import torch
from conftest import PROJECT, RECIPE, build, progressive_stage
from mmdet.registry import DATASETS
from mmengine.optim import build_optim_wrapper
from test_rows import LAYOUT, experiment, small

from mtpd import files
from mtpd.data import pipelines
from mtpd.datasets import shapes
from mtpd.detectors import configs
from mtpd.experiment import specs
from mtpd.experiment.recipe_schema import Recipe
from mtpd.job.errors import StoppedEarly
from mtpd.training import optimisation
from mtpd.training import stage as stages
from mtpd.training.randomness import seed_everything

SWIN_DECAY = {"norm_decay_mult": 0.0, "custom_keys": {"relative_position_bias_table": {"decay_mult": 0.0}}}


def test_some_parameters_have_their_own_weight_decay():
    optimizer = {"type": "AdamW", "lr": 1e-3, "weight_decay": 0.05}
    recipe = {**RECIPE, "optimizer": optimizer, "paramwise": SWIN_DECAY}
    model = build("swin_w32")
    wrapper = build_optim_wrapper(model, optimisation.optim_wrapper(recipe))
    decays = {id(p): group["weight_decay"] for group in wrapper.param_groups for p in group["params"]}
    without = {name for name, p in model.named_parameters() if decays[id(p)] == 0}
    assert any("relative_position_bias_table" in name for name in without)
    assert any(".norm" in name for name in without)
    assert all("norm" in name or "relative_position_bias_table" in name or ".bn" in name for name in without)
    plain = build_optim_wrapper(model, optimisation.optim_wrapper(RECIPE))
    assert len(plain.param_groups) == 1


def test_a_recipe_without_newer_keys_is_what_it_was():
    """The hash is that of the version before ``schedule.flat``; another one would train everything again."""
    assert files.fingerprint(Recipe().model_dump()) == "4b3543c808f3"


@pytest.mark.parametrize("limit", [0.5, 3.0, 10.0])
def test_gradients_are_clipped_at_the_norm_of_the_recipe(limit):
    """With rate 1, the step is the gradient, whose norm is 5."""
    layer = torch.nn.Linear(2, 1, bias=False)
    before = layer.weight.detach().clone()
    recipe = {**RECIPE, "optimizer": {"type": "SGD", "lr": 1.0}, "clip_grad": limit}
    wrapper = build_optim_wrapper(layer, optimisation.optim_wrapper(recipe))
    wrapper.update_params(layer(torch.tensor([[3.0, 4.0]])).sum())
    assert (layer.weight - before).norm().item() == pytest.approx(min(5.0, limit), rel=1e-4)


def test_training_images_have_the_sizes_of_the_recipe(dataset):
    config = configs.load_config(str(PROJECT / "config/detectors/r18_w8.py"), {}, shapes.CLASSES)
    several = {**dataset, "scales": [[64, 64], [96, 96], [128, 128]]}
    scaled = pipelines.at_scale(several, {"image_scale": 0.5})
    pipelines.add_training(config, scaled, shapes.CLASSES, batch_size=2, workers=0)
    pipelines.add_validation(config, scaled, shapes.CLASSES, workers=0)
    images = DATASETS.build(config.train_dataloader.dataset)
    seed_everything(0)
    sizes = [tuple(images[i % len(images)]["inputs"].shape[1:]) for i in range(60)]
    assert set(sizes) == {(16, 32), (32, 16), (24, 48), (48, 24), (32, 64), (64, 32)}
    validation = DATASETS.build(config.val_dataloader.dataset)
    assert {tuple(image["inputs"].shape[1:]) for image in validation} == {(16, 32), (32, 16)}


@pytest.mark.parametrize(("given", "allowed"), [({}, True), ({"tf32": True}, True), ({"tf32": False}, False)])
def test_convolutions_use_tf32_if_the_recipe_allows_it(
    given, allowed, dataset, teacher, tmp_path, monkeypatch
):
    """Without the key as by torch's default. It is set before student and teacher are built."""
    seen = []

    def look(*_, **__):
        seen.append(torch.backends.cudnn.allow_tf32)
        raise StoppedEarly

    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", not allowed)
    monkeypatch.setattr(stages, "student_and_teachers", look)
    stage = progressive_stage(dataset, teacher)
    stage.recipe.update(given)
    with pytest.raises(StoppedEarly):
        stages.train(stage, tmp_path / "out", tmp_path / "work")
    assert seen == [allowed]
    assert not torch.backends.cuda.matmul.allow_tf32


def test_tf32_changes_a_stage_only_where_it_is_not_the_default(dataset, teacher):
    def spec(**given):
        recipes = small()["recipes"]
        recipes["pkd"] |= given
        return specs.stage(experiment(recipes=recipes), LAYOUT, "r18w8", "pkd", "swin32@1", 0)

    assert spec() == spec(tf32=True)
    assert "tf32" not in spec()["recipe"]
    assert spec(tf32=False)["recipe"] == {**spec()["recipe"], "tf32": False}
    stage = progressive_stage(dataset, teacher)
    without = dataclasses.replace(stage, recipe={**stage.recipe, "tf32": False})
    assert stage.fingerprint() != without.fingerprint()
