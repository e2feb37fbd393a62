"""COCO 2017 in miniature: its folders, names, ids and kinds of annotations, through the whole graph."""

import contextlib
import io
import json

import pytest
import yaml
from conftest import PROJECT
from mmdet.datasets import CocoDataset
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from snakes import snakemake

from mtpd.datasets import shapes

pytestmark = pytest.mark.slow  # more than two minutes of computing

ABSENT = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}  # the ids up to 90 that COCO does not use
IDS = [number for number in range(1, 91) if number not in ABSENT]
SHAPES = {1: 1, 2: 13, 3: 27, 4: 44, 5: 70, 6: 90}  # the category that each drawn shape gets
SIZE = 64
NO_AREA = ([10.5, 20.25, 8.0, 0.0], [30.0, 12.0, 0.0, 5.5])  # COCO's training split has two such boxes
SHOW_ALL = {"model.test_cfg.rcnn.score_thr": 0.0}  # so little training gives low scores
ALONE = {
    "optimizer": {"type": "AdamW", "lr": 2e-3},
    "batch_size": 4,
    "schedule": {"kind": "one-cycle"},
    "validate_every": 4,
}
EXPERIMENT = {
    "experiment": "miniature",
    "dataset": {
        "name": "coco2017",
        **{
            split: {
                "annotations": f"data/coco/annotations/instances_{split}2017.json",
                "images": f"data/coco/{split}2017",
            }
            for split in ("train", "val")
        },
        "scale": [SIZE, SIZE],
        "decode": "none",  # what both splits show is the same: see split_of
    },
    "detectors": {
        "student": {
            "config": "config/detectors/mask_rcnn_w8.py",
            "overrides": SHOW_ALL,
            "train": {"recipe": "alone", "epochs": 4},
        },
        "swin": {
            "config": "config/detectors/mask_rcnn_swin.py",
            "overrides": SHOW_ALL,
            "train": {"recipe": "alone", "epochs": 4},
        },
    },
    "students": ["student"],
    "recipes": {"alone": ALONE, "pkd": {**ALONE, "loss": {"name": "pkd"}}},
    "arms": {
        "alone": {"recipe": "alone", "chain": "none@4"},
        "direct": {"recipe": "pkd", "chain": "swin@4"},
    },
}


def split_of(folder, name, images, first):
    """Write one split as COCO is published; image ids begin at ``first``, with gaps.

    Validation images show what some training images show, so that little training finds something.
    """
    drawn = folder / "drawn"
    drawn.mkdir(exist_ok=True)
    coco = shapes.generate(drawn, "train", images, SIZE, seed=6)  # with crowds and empty images
    target = folder / f"data/coco/{name}2017"
    target.mkdir(parents=True)
    ids = {image["id"]: first + 7 * image["id"] for image in coco["images"]}
    for image in coco["images"]:
        number = ids[image["id"]]
        with Image.open(drawn / image["file_name"]) as opened:
            opened.save(target / f"{number:012d}.jpg", quality=95)
        image |= {"id": number, "file_name": f"{number:012d}.jpg", "license": 4}
        image["coco_url"] = f"http://images.cocodataset.org/{name}2017/{number:012d}.jpg"
    for item in coco["annotations"]:
        item |= {
            "id": 2_000_000 - 13 * item["id"],
            "image_id": ids[item["image_id"]],
            "category_id": SHAPES[item["category_id"]],
        }
        if item["iscrowd"]:  # COCO begins the ids of crowds so
            item["id"] = 900_100_000_000 + item["id"]
    if name == "train":
        for number, box in enumerate(NO_AREA, 1):
            x, y, width, height = box
            outline = [x, y, x + width, y + height, x + width, y]
            own = {"id": number, "image_id": ids[1], "category_id": 18, "bbox": box, "area": 0.0}
            coco["annotations"].append({**own, "iscrowd": 0, "segmentation": [outline]})
    coco["categories"] = [
        {"supercategory": "thing", "id": number, "name": label}
        for number, label in zip(IDS, CocoDataset.METAINFO["classes"], strict=True)
    ]
    coco |= {"info": {"year": 2017}, "licenses": [{"id": 4, "name": "a license", "url": "http://h"}]}
    path = folder / f"data/coco/annotations/instances_{name}2017.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(coco))
    return coco


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of the experiment, run by real Snakemake, and the annotations of each split."""
    folder = tmp_path_factory.mktemp("miniature")
    splits = {"train": split_of(folder, "train", 24, 2), "val": split_of(folder, "val", 12, 132)}
    (folder / "config").symlink_to(PROJECT / "config")
    (folder / "experiment.yaml").write_text(yaml.safe_dump(EXPERIMENT))
    code, said = snakemake(folder, config=folder / "experiment.yaml")
    assert code == 0, said
    return folder, splits, said


def results(folder):
    found = sorted((folder / "results/coco2017").rglob("metrics.json"))
    assert len(found) == 2 + 2 + 1  # detectors, their stages, and the one with the teacher
    for path in found:
        yield path, json.loads(path.read_text()), json.loads(path.with_name("predictions.json").read_text())


def test_the_miniature_has_what_coco_has(finished):
    for split in finished[1].values():
        with_objects = {item["image_id"] for item in split["annotations"]}
        assert any(image["id"] not in with_objects for image in split["images"])
        assert any(item["iscrowd"] for item in split["annotations"])
    assert len(IDS) == 80
    assert sum(not min(item["bbox"][2:]) for item in finished[1]["train"]["annotations"]) == 2
    told = f"train: left out: objects: boxes without area: 2 (object 1: {NO_AREA[0]}, object 2: {NO_AREA[1]})"
    assert told in finished[2]


def test_metrics_are_what_pycocotools_says_of_the_predictions(finished):
    folder, _, _ = finished
    best = {"bbox": 0.0, "segm": 0.0}
    for path, metrics, predictions in results(folder):
        for kind in best:
            # Masks without their boxes, as mmdet does; otherwise pycocotools takes areas from the boxes.
            rows = [{k: v for k, v in row.items() if kind == "bbox" or k != "bbox"} for row in predictions]
            with contextlib.redirect_stdout(io.StringIO()):
                truth = COCO(str(folder / "data/coco/annotations/instances_val2017.json"))
                evaluation = COCOeval(truth, truth.loadRes(rows), kind)
                evaluation.evaluate()
                evaluation.accumulate()
                evaluation.summarize()
            assert list(metrics[kind].values()) == [100 * value for value in evaluation.stats], path
            best[kind] = max(best[kind], evaluation.stats[0])
    assert min(best.values()) > 0, best


def test_predictions_have_the_published_ids(finished):
    """Of images and categories; the ids of classes that are never drawn are not renumbered away."""
    folder, splits, _ = finished
    images = {image["id"] for image in splits["val"]["images"]}
    found = set()
    for _, _, predictions in results(folder):
        assert {row["image_id"] for row in predictions} <= images
        found |= {row["category_id"] for row in predictions}
    assert found <= set(IDS)
    assert found & set(SHAPES.values())
    assert max(found) > 80, found
