"""What each detector gets of an image: at its own scale, in its own normalisation, with the same padding."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import PROJECT, build, progressive_stage, spec
from distillers import PKD, batch
from mmdet.registry import DATASETS
from mmengine.registry import init_default_scope
from PIL import Image
from torch.nn.functional import pad

from mtpd.adaptation.cost import measure
from mtpd.data import pipelines, views
from mtpd.data.views import View, at_scales, key
from mtpd.datasets import shapes
from mtpd.detectors import checkpoints, configs
from mtpd.distill.distiller import Distiller
from mtpd.training.randomness import seed_everything
from mtpd.training.stage import train

LSJ = "mmdet::fcos/fcos_r18_fpn_gn-head-center-normbbox-centeronreg-giou_8xb8-amp-lsj-200e_coco.py"


def pixels(path):
    """A file as mmdet reads it: 3 x H x W, blue first."""
    return torch.from_numpy(np.array(Image.open(path).convert("RGB"))[..., ::-1].transpose(2, 0, 1).copy())


def loaded(dataset, scales, flip):
    """The training images of a student at half the scale."""
    init_default_scope("mmdet")
    config = configs.load_config(str(PROJECT / "config/detectors/r18_w8.py"), {}, shapes.CLASSES)
    half = pipelines.at_scale({**dataset, "flip": flip, "scales": None}, {"image_scale": 0.5})
    pipelines.add_training(config, half, shapes.CLASSES, 2, 0)
    return DATASETS.build(at_scales(config.train_dataloader, scales).dataset)


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_a_teacher_at_full_scale_gets_the_file_itself(flip, dataset):
    """The images have the data set's scale, so at twice the student's half nothing is resized."""
    seed_everything(0)
    images = loaded(dataset, [0.5, 1.0, 2.0], flip)
    for number in range(len(images)):
        packed = images[number]
        file = pixels(packed["data_samples"].img_path)
        height, width = file.shape[1:]
        assert packed["inputs"].shape == (3, height // 2, width // 2)
        assert packed[key(0.5)].shape == (3, height // 4, width // 4)
        assert torch.equal(packed[key(2.0)], file.flip(2) if flip else file)


def test_a_student_at_half_the_scale_is_taught_on_sharp_images(dataset, teacher, monkeypatch, tmp_path):
    """In a real stage, it sees what its own preprocessor makes of a file, or of its mirror."""
    seen = []
    original = Distiller._teacher_features

    def watched(link, detector, images):
        seen.extend(images)
        return original(link, detector, images)

    monkeypatch.setattr(Distiller, "_teacher_features", staticmethod(watched))
    stage = progressive_stage(dataset, teacher, epochs=1, student={**spec("r18_w8"), "image_scale": 0.5})
    train(stage, tmp_path / "out", tmp_path / "work", str(tmp_path / "said"))
    own = build("swin_w32").data_preprocessor
    files = map(pixels, Path(dataset["train"]["images"]).iterdir())
    expected = [
        pad(own({"inputs": [image]}, False)["inputs"][0], (0, 64 - image.shape[2], 0, 64 - image.shape[1]))
        for file in files
        for image in (file, file.flip(2))
    ]
    assert len(seen) == 12
    assert all(any(torch.equal(image, other) for other in expected) for image in seen)
    saved = checkpoints.read_checkpoint(tmp_path / "out/student.pth")["meta"]["cfg"]
    assert "PackDetInputs" in saved and "AtScales" not in saved  # stock mmdet knows its transforms


def test_padding_is_the_same_part_of_the_batch_at_every_scale():
    preprocessor = build("r18_w8").data_preprocessor
    sizes = ((35, 50), (40, 21))
    for scale in (1, 1.5):
        images = [torch.ones(3, round(height * scale), round(width * scale)) for height, width in sizes]
        seen = View(preprocessor, scale)({key(scale): images}, (64, 64))
        assert seen.shape == (2, 3, 64 * scale, 64 * scale)
        for one, image in zip(seen, images, strict=True):
            assert ((one[0] != 0).nonzero().max(0).values + 1).tolist() == list(image.shape[1:])
    assert preprocessor.pad_size_divisor == 32  # the detector's own is as it was


@pytest.mark.parametrize("scale", [0.1, 0.5, 0.75, 1.25, 1.5, 2])
def test_no_image_is_cut_at_any_scale(scale):
    """The padded batch is as large as its largest image; sides that end in a half are rounded alike."""
    preprocessor = build("r18_w8").data_preprocessor
    for height in range(1, 12):
        width = 13 - height
        pixels = np.full((height, width, 3), 255, np.uint8)
        image = views._at_scale({"unresized": pixels, "img_shape": (height, width)}, scale)
        seen = View(preprocessor, scale)({key(scale): [image]}, (height, width))
        assert seen.shape == (1, *image.shape)
        assert min(seen.shape) > 0
        assert (seen != 0).all()


def test_costs_do_not_depend_on_the_padding_of_a_detector():
    """Twins: one pads to a multiple of 1, as the DETR family, one to 32. Nothing has to be adapted."""
    first, second = build("r18_w8").eval(), build("r18_w8").eval()
    second.data_preprocessor.pad_size_divisor = 1
    images = torch.randint(
        0, 256, (6, 3, 70, 90), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    batches = [{"inputs": [image]} for image in images]
    twins = {"first": first, "second": second}
    costs = measure(twins, dict.fromkeys(twins), dict.fromkeys(twins, 1.0), batches, half=3)
    assert costs[costs.stride == 8]["cost"].max() < 1e-3


def test_student_and_teacher_get_the_same_size_where_the_config_augments_whole_batches():
    student = configs.build(configs.without_pretraining(configs.load_config(LSJ, {}, shapes.CLASSES)))
    distiller = Distiller(student, [build("r18_w32")], **PKD)
    data = batch()
    data["inputs"] = [image[:, :40] for image in data["inputs"]]
    for sample in data["data_samples"]:
        sample.set_metainfo({"img_shape": (40, 64)})
    found = distiller.data_preprocessor(data, True)
    assert found["inputs"].shape == found["teacher_inputs"][0].shape == (2, 3, 64, 64)
