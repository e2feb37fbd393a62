"""Damaged files and wrong settings for ``test_bad_input``: what is spoilt, and how it is reported."""

import json

import torch
from conftest import build
from PIL import Image


def with_annotations(split, change):
    def spoil(folder, experiment):
        path = folder / f"data/{split}.json"
        coco = json.loads(path.read_text())
        change(coco)
        path.write_text(json.dumps(coco))

    return spoil


def annotation(**values):
    return with_annotations("train", lambda coco: coco["annotations"][0].update(values))


def image(change):
    def spoil(folder, experiment):
        change(folder / "data/train/train_000001.png")

    return spoil


def text(content):
    return lambda folder, experiment: (folder / "data/train.json").write_text(content)


def checkpoint(change):
    """The teacher's file, changed or replaced by what ``change`` returns."""

    def spoil(folder, experiment):
        content = torch.load(folder / "swin.pth", weights_only=True)
        torch.save(change(content) or content, folder / "swin.pth")

    return spoil


def without_a_bias(content):
    del content["state_dict"]["neck.lateral_convs.0.conv.bias"]


def setting(key, value):
    def spoil(folder, experiment):
        *parents, last = key.split(".")
        node = experiment
        for name in parents:
            node = node.setdefault(name, {})
        node[last] = value

    return spoil


def masked_student(folder, experiment):
    experiment["detectors"]["student"]["config"] = "mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py"
    annotation(segmentation=[])(folder, experiment)


def no_common_stride(folder, experiment):
    experiment["detectors"]["student"]["taps"] = ["backbone.conv1"]


def nothing_in_common(folder, experiment):
    """A RepPoints teacher with another width: no tensor of its neck and head fits a RetinaNet student."""
    narrow = dict.fromkeys(
        ["model.neck.out_channels", "model.bbox_head.in_channels", "model.bbox_head.feat_channels"], 32
    )
    teacher = {"config": "config/detectors/reppoints_w8.py", "overrides": narrow}
    experiment["detectors"]["points"] = {**teacher, "train": {"recipe": "alone", "epochs": 1}}
    experiment["pools"]["all"] = ["points"]


def needs_more_than_boxes(folder, experiment):
    """HTC trains with a semantic segmentation of every image."""
    experiment["detectors"]["student"]["config"] = "mmdet::htc/htc_r50_fpn_1x_coco.py"


def without_objects(coco):
    """All that is left is a crowd."""
    coco["annotations"] = [{**coco["annotations"][0], "iscrowd": 1}]


def ignored(coco):
    for item in coco["annotations"][2:]:
        item["ignore"] = 1


def zebra(coco):
    """The first object is of a class that training does not have."""
    first = coco["annotations"][0]["category_id"]
    next(one for one in coco["categories"] if one["id"] == first)["name"] = "zebra"


def save_turned(path, size, orientation=6):
    """An image that viewers show turned, by default by 90 degrees."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", size).save(path, exif=exif)


DATA = {
    "not-json": (text("{"), "data/train.json: is not a JSON file"),
    "a-list": (text("[]"), "data/train.json: expected an object with images, annotations and categories"),
    "empty-split": (with_annotations("val", lambda c: c.update(images=[], annotations=[])), "val: data/val.json: lists no images"),
    "box-outside": (annotation(bbox=[70, 5, 9, 9]), "train: 1 of 9 objects cannot be used, more than the allowed share of 0.05 (objects: boxes outside their image: 1 (object 1: [70, 5, 9, 9]))"),
    "no-segmentation": (masked_student, "dataset.train: 1 of 9 objects have no mask, which detectors with a mask head need (objects 1)"),
    "no-object": (with_annotations("train", without_objects), "train: has no objects that can be used"),
    "no-object-to-score": (with_annotations("val", without_objects), "val: has no objects that can be used"),
    "too-few-objects": (with_annotations("train", ignored), "dataset.train: 3 of 4 images, 2 of 9 objects are trained with, without 1 images without objects (dataset.skip_empty_images), 7 objects with `ignore`; expected at least half of the objects"),
    "image-missing": (image(lambda path: path.unlink()), "train: 1 of 4 images cannot be used, more than the allowed share of 0.05 (images: missing: 1 ('train_000001.png', "),
    "turned-image": (image(lambda path: save_turned(path, (64, 60))), "images: of another size than listed: 1 (train_000001.png: listed 64 x 64, found 60 x 64)"),
    "strange-category": (with_annotations("val", zebra), "val: has objects of classes that training does not have: 'zebra' ("),
    "checkpoint-of-another": (checkpoint(lambda c: {"state_dict": build("r18_w16").state_dict()}), "swin.pth: does not fit its detector"),
    "tensor-missing": (checkpoint(without_a_bias), "1 missing (neck.lateral_convs.0.conv.bias)"),
    "tensor-misshapen": (checkpoint(lambda c: c["state_dict"].update({"neck.lateral_convs.0.conv.bias": torch.zeros(3)})), "1 misshapen (neck.lateral_convs.0.conv.bias)"),
    "other-classes": (checkpoint(lambda c: c["meta"]["dataset_meta"].update(classes=tuple("uvwxyz"))), "swin.pth: none of its classes is a class of the data set: the data do not have 'u', 'v', 'w'"),
    "no-checkpoint": (lambda folder, _: (folder / "swin.pth").write_text("hello"), "swin.pth: refused, not a plain checkpoint"),
    "wrong-hash": (setting("detectors.swin.sha256", "0123456789abcdef"), "swin.pth: found SHA-256"),
    "half-a-checkpoint": (lambda folder, _: (folder / "swin.pth").write_bytes((folder / "swin.pth").read_bytes()[:9999]), "swin.pth: refused, not a plain checkpoint: a zip file that is cut off"),
    "no-such-mmdet-config": (setting("detectors.swin.config", "mmdet::swin/none.py"), "detectors.swin: mmdet::swin/none.py: FileNotFoundError"),
    "wrong-override": (setting("detectors.student.overrides", {"model.backbone.dpth": 18}), "detectors.student: config/detectors/r18_w8.py: TypeError"),
    "cannot-be-trained": (needs_more_than_boxes, "detectors.student: mmdet::htc/htc_r50_fpn_1x_coco.py: cannot be trained here, its loss fails with boxes and masks alone: AttributeError: 'DetDataSample' object has no attribute '_gt_sem_seg'"),
    "unknown-optimiser": (setting("recipes.pkd.optimizer.type", "Adaam"), "recipes.pkd.optimizer.type: found 'Adaam'; did you mean 'Adam'?"),
    "wrong-optimiser-argument": (setting("recipes.pkd.optimizer.momentun", 0.9), "recipes.pkd.optimizer: TypeError"),
    "tap-of-tokens": (setting("detectors.swin.taps", ["backbone.stages.2"]), "detectors.swin: taps: 'backbone.stages.2' gives no features in the form N x C x H x W"),
    "tap-in-the-head": (setting("detectors.swin.taps", ["bbox_head.retina_cls"]), "detectors.swin: taps: 'bbox_head.retina_cls' gives no features"),
    "unknown-tap": (setting("detectors.swin.taps", ["neck.nothing"]), "detectors.swin: taps: the detector has no module 'neck.nothing'"),
    "nothing-to-inherit": (nothing_in_common, "detectors.student and points: nothing to inherit: "),
    "no-common-stride": (no_common_stride, "detectors.student and swin: student and teacher share no stride: [2] and [8, 16, 32]"),
}  # fmt: skip
