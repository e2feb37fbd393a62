"""Bad input, with real Snakemake: it stops before any job, says where and what, and keeps earlier results."""

import json
import shutil

import pytest
import torch
import yaml
from bad_keys import GONE, KEYS
from conftest import PROJECT, build
from PIL import Image
from snakes import snakemake

from mtpd.data import shapes
from mtpd.detectors import checkpoints, configs

EXPERIMENT = {
    "experiment": "own",
    "dataset": {
        "name": "mine",
        "train": {"annotations": "data/train.json", "images": "data/train"},
        "val": {"annotations": "data/val.json", "images": "data/val"},
        "scale": [64, 64],
    },
    "detectors": {
        "student": {"config": "config/detectors/r18_w8.py", "train": {"recipe": "alone", "epochs": 1}},
        "swin": {"config": "config/detectors/swin_w32.py", "file": "swin.pth"},
    },
    "students": ["student"],
    "pools": {"all": ["swin"]},
    "recipes": {
        "alone": {"optimizer": {"type": "AdamW", "lr": 1e-3}},
        "pkd": {"optimizer": {"type": "AdamW", "lr": 1e-3}, "loss": {"name": "pkd"}},
    },
    "arms": {"direct": {"recipe": "pkd", "policy": "bgs", "pool": "all", "epochs": 1}},
}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Good input: data, a teacher's checkpoint, and a result that must stay."""
    folder = tmp_path_factory.mktemp("template")
    for split, images in (("train", 4), ("val", 2)):
        (folder / "data" / split).mkdir(parents=True)
        coco = shapes.generate(folder / "data" / split, split, images, 64, 0)
        shapes.write(coco, folder / f"data/{split}.json")
    config = configs.load_config(str(PROJECT / "config/detectors/swin_w32.py"), {}, shapes.CLASSES)
    checkpoints.save_student(folder / "swin.pth", build("swin_w32"), config, shapes.CLASSES, {})
    (folder / "config").symlink_to(PROJECT / "config")
    result = folder / "results/own/tables/main.csv"
    result.parent.mkdir(parents=True)
    result.write_text("an earlier result")
    return folder


@pytest.fixture
def folder(template, tmp_path):
    return shutil.copytree(template, tmp_path / "own", symlinks=True)


@pytest.fixture
def experiment():
    return json.loads(json.dumps(EXPERIMENT))


def refused(folder, experiment):
    """What Snakemake says of it, having run nothing."""
    (folder / "own.yaml").write_text(yaml.safe_dump(experiment, sort_keys=False))
    code, said = snakemake(folder, config=folder / "own.yaml")
    assert code != 0, said
    assert "Traceback" not in said
    assert not list(folder.glob("logs/**/*.log")), said
    assert not (folder / "work/mine").exists()
    assert (folder / "results/own/tables/main.csv").read_text() == "an earlier result"
    assert [path.name for path in (folder / "results").iterdir()] == ["own"]
    return said


def test_the_good_input_is_planned(folder, experiment):
    (folder / "own.yaml").write_text(yaml.safe_dump(experiment))
    code, said = snakemake(folder, "-n", config=folder / "own.yaml")
    assert code == 0, said


@pytest.mark.parametrize(
    ("key", "value", "words"), KEYS, ids=[f"{key}={str(value)[:20]}" for key, value, _ in KEYS]
)
def test_a_wrong_key_is_named(key, value, words, folder, experiment):
    *parents, last = key.split(".")
    node = experiment
    for name in parents:
        node = node.setdefault(name, {})
    if value is GONE:
        del node[last]
    else:
        node[last] = value
    said = refused(folder, experiment)
    assert f"own.yaml: {words}" in said, said


def test_more_stages_than_epochs_are_refused(folder, experiment):
    experiment["detectors"]["other"] = experiment["detectors"]["swin"]
    experiment["pools"]["all"] = ["swin", "other"]
    assert "arms.direct.epochs: found 1; expected one for each of up to 2 stages" in refused(
        folder, experiment
    )


def test_a_config_that_is_no_python_is_refused(folder, experiment):
    (folder / "mine.py").write_text("model = dict(")
    experiment["detectors"]["student"]["config"] = "mine.py"
    assert "mine.py: cannot be read as an mmdet config" in refused(folder, experiment)


def test_a_file_that_is_no_yaml_is_refused(folder):
    (folder / "own.yaml").write_text("experiment: [")
    code, said = snakemake(folder, config=folder / "own.yaml")
    assert code != 0
    assert "Config file is not valid JSON or YAML" in said  # Snakemake's own words


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


DATA = {
    "not-json": (text("{"), "data/train.json: not a JSON file"),
    "a-list": (text("[]"), "data/train.json: expected a COCO object with images, annotations and categories, found: list"),
    "no-categories": (with_annotations("train", lambda c: c.pop("categories")), "data/train.json: expected lists, missing: categories"),
    "empty-split": (with_annotations("val", lambda c: c.update(images=[], annotations=[])), "data/val.json: expected images, found: an empty split"),
    "image-twice": (with_annotations("train", lambda c: c["images"].append(c["images"][0])), "images: duplicate ids: 1"),
    "id-no-number": (annotation(id="first"), "annotations: values of id have the wrong type: number 0 ('first')"),
    "id-zero": (annotation(id=0), "ids of annotations must be 1 or more, found: 0"),
    "category-twice": (with_annotations("train", lambda c: c["categories"][1].update(name="disc")), "categories: duplicate names: disc"),
    "unknown-category": (annotation(category_id=99), "objects of unknown categories: annotation 1 (category 99)"),
    "unknown-image": (annotation(image_id=99), "objects in images that are not listed: annotation 1 (image 99)"),
    "box-nan": (annotation(bbox=[1, 1, float("nan"), 5]), "boxes must be four finite numbers (x, y, width, height): annotation 1 ([1, 1, nan, 5])"),
    "box-of-three": (annotation(bbox=[1, 1, 5]), "boxes must be four finite numbers"),
    "box-empty": (annotation(bbox=[5, 5, 0, 3]), "boxes empty or outside their image (correct them, or set dataset.skip_bad_boxes): annotation 1"),
    "box-outside": (annotation(bbox=[70, 5, 9, 9]), "boxes empty or outside their image"),
    "no-area": (with_annotations("train", lambda c: c["annotations"][0].pop("area")), "annotations without area: number 0"),
    "no-segmentation": (masked_student, "objects without the segmentation that a mask head needs: annotation 1"),
    "image-missing": (image(lambda path: path.unlink()), "images missing: data/train/train_000001.png"),
    "image-broken": (image(lambda path: path.write_bytes(b"no image")), "images that cannot be read: data/train/train_000001.png"),
    "image-of-other-size": (image(lambda path: Image.new("RGB", (60, 64)).save(path)), "data/train/train_000001.png (60x64, not 64x64)"),
    "strange-category": (with_annotations("val", lambda c: c["categories"][0].update(name="zebra")), "data/val.json: categories that the training split does not have: zebra"),
    "checkpoint-of-another": (checkpoint(lambda c: {"state_dict": build("r18_w16").state_dict()}), "swin.pth: does not fit its detector"),
    "tensor-missing": (checkpoint(without_a_bias), "1 missing (neck.lateral_convs.0.conv.bias)"),
    "tensor-misshapen": (checkpoint(lambda c: c["state_dict"].update({"neck.lateral_convs.0.conv.bias": torch.zeros(3)})), "1 misshapen (neck.lateral_convs.0.conv.bias)"),
    "other-classes": (checkpoint(lambda c: c["meta"]["dataset_meta"].update(classes=tuple("uvwxyz"))), "swin.pth: none of its classes is a class of the data set: u, v, w"),
    "no-checkpoint": (lambda folder, _: (folder / "swin.pth").write_text("hello"), "swin.pth: refused, not a plain checkpoint"),
    "wrong-hash": (setting("detectors.swin.sha256", "0123456789abcdef"), "swin.pth: found SHA-256"),
    "half-a-checkpoint": (lambda folder, _: (folder / "swin.pth").write_bytes((folder / "swin.pth").read_bytes()[:9999]), "swin.pth: refused, not a plain checkpoint"),
    "no-such-mmdet-config": (setting("detectors.swin.config", "mmdet::swin/none.py"), "detectors.swin: mmdet::swin/none.py: FileNotFoundError"),
    "wrong-override": (setting("detectors.student.overrides", {"model.backbone.dpth": 18}), "detectors.student: config/detectors/r18_w8.py: TypeError"),
    "unknown-optimiser": (setting("recipes.pkd.optimizer.type", "Adaam"), "recipes.pkd.optimizer.type: found 'Adaam'; did you mean 'Adam'?"),
    "wrong-optimiser-argument": (setting("recipes.pkd.optimizer.momentun", 0.9), "recipes.pkd.optimizer: TypeError"),
    "unknown-tap": (setting("detectors.swin.taps", ["neck.nothing"]), "detectors.swin: taps: the detector has no module 'neck.nothing'"),
    "nothing-to-inherit": (nothing_in_common, "detectors.student and points: nothing to inherit: "),
    "no-common-stride": (no_common_stride, "detectors.student and swin: student and teacher share no stride: [2] and [8, 16, 32]"),
}  # fmt: skip


@pytest.mark.parametrize("case", DATA)
def test_bad_files_and_settings_are_found_before_the_first_job(case, folder, experiment):
    spoil, words = DATA[case]
    spoil(folder, experiment)
    said = refused(folder, experiment)
    assert "Nothing was run" in said
    assert words in said, said


def test_bad_boxes_are_accepted_where_the_experiment_says_so(folder, experiment):
    annotation(bbox=[5, 5, 0, 3])(folder, experiment)
    setting("dataset.skip_bad_boxes", True)(folder, experiment)
    setting("detectors.swin.overrides", {"model.backbone.dpth": 18})(
        folder, experiment
    )  # something must stop it
    said = refused(folder, experiment)
    assert "boxes empty" not in said
    assert "detectors.swin" in said


def test_too_little_disk_space_is_reported(folder, experiment):
    experiment["seeds"] = list(range(200_000))
    assert "free: make room" in refused(folder, experiment)


def test_all_problems_are_reported_at_once(folder, experiment):
    for split in ("train", "val"):
        with_annotations(split, lambda c: c["annotations"][0].update(bbox=[0, 0, 0, 0]))(folder, experiment)
    image(lambda path: path.unlink())(folder, experiment)
    said = refused(folder, experiment)
    assert said.count("boxes empty") == 2
    assert "images missing" in said
