"""What a recipe says reaches mmengine: rates by parameter, sizes of training images."""

from conftest import PROJECT, RECIPE, build
from mmdet.registry import DATASETS
from mmengine.optim import build_optim_wrapper

from mtpd.data import pipelines, shapes
from mtpd.detectors import configs
from mtpd.training import optimisation
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
