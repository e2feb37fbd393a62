"""How many objects an image has, and detectors return, and COCO scores; how many images order teachers."""

import json
import shutil

import pytest
import yaml
from conftest import PROJECT, spec
from first_files import draw, new
from snakes import as_checked, changed, snakemake
from test_checks import settings  # noqa: F401, a fixture

from mtpd import files
from mtpd.checks import counts
from mtpd.checks.problems import Checks
from mtpd.checks.subjects import Passed
from mtpd.datasets import shapes
from mtpd.detectors import configs


def crowded(path, objects, of_the_first, crowds=0):
    """An annotation file whose first image gets so many objects, so many of them of the first class."""
    content = json.loads(path.read_text(encoding="utf-8"))
    first, model = content["images"][0]["id"], content["annotations"][0]
    kinds = [0] * of_the_first + [1 + number % 5 for number in range(objects - of_the_first)] + [0] * crowds
    content["annotations"] = [
        {
            **model,
            "id": number + 1,
            "image_id": first,
            "bbox": [
                number % 40,
                number // 40,
                9,
                9,
            ],  # different: of equal ones, an import keeps one
            "category_id": content["categories"][kind]["id"],
            "iscrowd": int(number >= objects),
        }
        for number, kind in enumerate(kinds)
    ]
    path.write_text(json.dumps(content), encoding="utf-8")
    return str(path)


@pytest.fixture
def dense(settings, tmp_path):  # noqa: F811
    """What an experiment asks for whose images have many objects."""
    for split, numbers in (("train", (60, 30)), ("val", (140, 120))):
        path = tmp_path / f"{split}.json"
        shutil.copy(settings["dataset"][split]["annotations"], path)
        settings["dataset"][split]["annotations"] = crowded(path, *numbers, crowds=200)
    return settings


def test_crowds_are_not_counted(dense):
    found = counts.most(files.read_json(dense["dataset"]["val"]["annotations"]))
    assert found == {"objects": 140, "of_a_class": 120}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (spec("r18_w8")["config"], {"model.test_cfg.max_per_img": 50}),
        (
            spec("mask_rcnn_w8")["config"],
            {"model.test_cfg.rpn.max_per_img": 64, "model.test_cfg.rcnn.max_per_img": 50},
        ),
        ("mmdet::retinanet/retinanet_r50_fpn_1x_coco.py", {"model.test_cfg.max_per_img": 100}),
        ("mmdet::deformable_detr/deformable-detr_r50_16xb2-50e_coco.py", {"model.test_cfg.max_per_img": 100}),
        ("mmdet::yolox/yolox_tiny_8xb8-300e_coco.py", {}),
    ],
)
def test_limits_of_detectors(config, expected):
    model = configs.load_config(config, {}, shapes.CLASSES).model
    assert counts.limits(model.test_cfg) == expected


def test_more_objects_than_a_detector_returns_are_told(dense, tmp_path):
    """By the facts of the checks, so at every start, until an override raises the limit."""
    checks, passed = Checks(dense, print), Passed(dense, tmp_path / "passed")
    for split in ("train", "val"):
        passed.add(("split", split), checks.split(split))
    passed.add(("detector", "student"), checks.detector("student"))
    assert list(counts.warnings(dense, passed)) == [
        "detectors.student: finds at most 50 objects in an image, but train has up to 60 and val has up "
        "to 140; expected overrides: {model.test_cfg.max_per_img: 140}, or more",
        "dataset.val: up to 120 objects of one class in an image, but COCO scores only 100 detections of "
        "a class: AP is lower than what a detector finds",
    ]
    dense["detectors"]["student"]["overrides"] = {"model.test_cfg.max_per_img": 140}
    checks, passed = Checks(dense, print), Passed(dense, tmp_path / "passed")
    passed.add(("detector", "student"), checks.detector("student"))
    assert len(list(counts.warnings(dense, passed))) == 1


def test_what_passed_in_an_older_version_gives_no_warning(dense, tmp_path):
    passed = Passed(dense, tmp_path)
    passed.add(("split", "val"), {"images": 6})
    passed.add(("detector", "student"), {"numbers": 1, "masks": False})
    assert list(counts.warnings(dense, passed)) == []


def test_one_training_image_orders_no_teachers(settings, tmp_path):  # noqa: F811
    passed = Passed(settings, tmp_path)
    passed.add(("split", "train"), {"images": 1})
    (line,) = counts.problems(settings, passed)
    assert "found 1 image; expected at least 2, because an arm has a policy" in line
    assert counts.problems({**settings, "ordered": False}, passed) == []
    passed.add(("split", "train"), {"images": 2})
    assert counts.problems(settings, passed) == []


def test_a_run_says_both(dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = {"name": "own", "scale": [64, 64], "train": dataset["train"], "val": dataset["val"]}
    config = changed(tmp_path, "own", lambda content: content.update(dataset=own))
    limits, most = {"model.test_cfg.max_per_img": 50}, {"objects": 60, "of_a_class": 60}
    snakemake(tmp_path, "-n", config=config)  # imports the data
    as_checked(tmp_path, config, images=1, limits=limits, most=most)
    code, said = snakemake(tmp_path, "--", "checked", config=config)
    assert code == 1 and "dataset.train: found 1 image; expected at least 2" in said
    assert "detectors.student: finds at most 50 objects in an image, but " in said


@pytest.mark.parametrize(("gpus", "default"), [(0, (50, 200)), (1, (100, 1000))])
def test_make_new_raises_the_limits_where_images_have_more_objects(gpus, default, tmp_path):
    for split in ("train", "val"):
        draw(tmp_path / "data", f"{split}.json", split, [f"{number}.png" for number in range(4)])
    expected = {"model.test_cfg.max_per_img": 150, "model.test_cfg.nms_pre": 150 * default[1] // default[0]}
    for name, objects in (("few", default[0]), ("many", 120)):
        crowded(tmp_path / "data/val.json", objects, objects)
        code, said = new(tmp_path, name, tmp_path / "data", "--gpus", gpus)
        assert code == 0, said
        content = yaml.safe_load((tmp_path / f"{name}.yaml").read_text(encoding="utf-8"))
        given = [detector.get("overrides") for detector in content["detectors"].values()]
        assert given == [expected if name == "many" else None] * 3
    config = content["detectors"][content["students"][0]]["config"]
    model = configs.load_config(config.replace("config/", f"{PROJECT}/config/", 1), {}, ("one",)).model
    assert (model.test_cfg.max_per_img, model.test_cfg.nms_pre) == default  # what the file is written for
