"""Scores against pycocotools called by hand."""

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mtpd.datasets import shapes
from mtpd.evaluation import metrics
from mtpd.evaluation.truth import Truth


@pytest.fixture(scope="module")
def annotations(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    path = folder / "val.json"
    shapes.write(shapes.generate(folder, "val", 20, 96, 0), path)
    return path


def predictions(annotations):
    """Most objects found, boxes a bit off, some of the wrong class."""
    return [
        {
            "image_id": item["image_id"],
            "category_id": item["category_id"] if number % 5 else 1 + item["category_id"] % 6,
            "bbox": [item["bbox"][0] + number % 3, *item["bbox"][1:]],
            "score": 1 - number / 1000,
        }
        for number, item in enumerate(json.loads(annotations.read_text())["annotations"])
        if number % 7
    ]


def by_hand(annotations, results, kind="bbox"):
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(annotations))
        evaluation = COCOeval(truth, truth.loadRes(results), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [100 * value for value in evaluation.stats]


def test_scores_are_those_of_pycocotools(annotations):
    found = metrics.score(annotations, predictions(annotations), "bbox")
    assert list(found) == list(metrics.NAMES)
    assert list(found.values()) == by_hand(annotations, predictions(annotations))
    assert 20 < found["AP"] < 95


def test_scoring_leaves_the_predictions_as_they_were(annotations):
    results = predictions(annotations)
    found = metrics.summary(annotations, results, "shapes")
    assert results == predictions(annotations)
    assert "segm" not in found
    assert found["images"] == 20


def test_a_detector_with_masks_that_finds_nothing_has_an_ap_of_masks(annotations):
    """Otherwise its seed would be missing in the mean, which would be too high."""
    nothing = InstanceData(bboxes=torch.zeros(0, 4), scores=torch.zeros(0), labels=torch.zeros(0).long())
    for masks, kinds in ((torch.zeros(0, 40, 33, dtype=torch.bool), {"bbox", "segm"}), (None, {"bbox"})):
        metric = metrics.CocoPredictions(annotations, shapes.CLASSES)
        found = nothing if masks is None else InstanceData(**dict(nothing.items()), masks=masks)
        metric.process({}, [{"img_id": 1, "pred_instances": found}])
        metric.compute_metrics(metric.results)
        summary = metric.summary("shapes")
        assert kinds == {"bbox", "segm"} & summary.keys()
        assert all(summary[kind]["AP"] == 0 for kind in kinds)


def test_no_predictions_score_nothing(annotations):
    found = metrics.score(annotations, [], "bbox")
    assert found["AP"] == 0
    assert found["APl"] == by_hand(annotations, predictions(annotations))[5] == -100


def sample(masks):
    """What a detector with masks says of the first image, as mmengine hands it on."""
    number = len(masks)
    boxes = torch.tensor([[4.0, 5.0, 30.0, 40.0]]).repeat(number, 1)
    labels = torch.arange(number) % len(shapes.CLASSES)
    found = {"bboxes": boxes, "scores": torch.rand(number), "labels": labels, "masks": masks}
    return {"img_id": 1, "pred_instances": found}


def test_detections_are_written_as_coco_wants_them(annotations, tmp_path):
    """Corner and size; the ids of the file, by the names of the classes."""
    content = json.loads(annotations.read_text(encoding="utf-8"))
    categories = [{"id": 40 - 3 * item["id"], "name": item["name"]} for item in content["categories"]]
    objects = [{**content["annotations"][0], "category_id": categories[0]["id"]}]
    content = {"images": content["images"], "annotations": objects, "categories": categories}
    shapes.write(content, tmp_path / "val.json")
    metric = metrics.CocoPredictions(tmp_path / "val.json", shapes.CLASSES)
    boxes, labels = torch.tensor([[4.0, 5.0, 30.5, 41.0]]), torch.tensor([1])
    found = InstanceData(bboxes=boxes, scores=torch.tensor([0.25]), labels=labels)
    metric.process({}, [{"img_id": 7, "pred_instances": found}])
    box = [4.0, 5.0, 26.5, 36.0]
    assert metric.results == [[{"image_id": 7, "category_id": 34, "bbox": box, "score": 0.25}]]


def test_masks_are_encoded_as_one_by_one(annotations):
    masks = torch.rand(7, 40, 33) > 0.6
    masks[3] = False
    metric = metrics.CocoPredictions(annotations, shapes.CLASSES)
    metric.process({}, [sample(masks), sample(masks[:0])])
    found = [row["segmentation"] for row in metric.results[0]]
    assert metric.results[1] == []
    expected = [rle.encode(np.asfortranarray(mask.numpy().astype(np.uint8))) for mask in masks]
    assert found == [{"size": [40, 33], "counts": mask["counts"].decode()} for mask in expected]


def test_scores_keep_five_digits(annotations):
    """With fewer, the order of detections changes."""
    found = sample(torch.ones(2, 4, 4, dtype=torch.bool))
    found["pred_instances"]["scores"] = torch.tensor([0.123456, 0.12341])
    metric = metrics.CocoPredictions(annotations, shapes.CLASSES)
    metric.process({}, [found])
    assert [row["score"] for row in metric.results[0]] == [0.12346, 0.12341]


def test_every_image_has_its_own_masks(annotations):
    """Also after images with other masks, with none, and of a detector without masks."""
    first, second = torch.rand(2, 9, 8) > 0.5, torch.rand(1, 9, 8) > 0.5
    without = sample(second)
    del without["pred_instances"]["masks"]
    metric = metrics.CocoPredictions(annotations, shapes.CLASSES)
    for found in (sample(first), sample(first[:0]), without, sample(second)):
        metric.process({}, [found])
    masks = [[row.get("segmentation") for row in rows] for rows in metric.results]
    assert masks == [metrics.encoded(first), [], [None], metrics.encoded(second)]


def thin(width, height):
    """A mask of one row within a box of this size, at the left and top."""
    mask = np.zeros((96, 96), np.uint8)
    mask[0, :width] = 1
    mask[:height, 0] = 1
    return metrics.encoded(torch.from_numpy(mask)[None])[0]


@pytest.mark.parametrize("evaluator", ["pycocotools", "faster-coco-eval"])
def test_a_mask_has_its_own_size_not_that_of_its_box(evaluator, tmp_path):
    """Each false detection is small, but its box is not."""
    sizes = {"small": (20, 20), "medium": (60, 60)}
    objects, rows = [], []
    for number, (width, height) in enumerate(sizes.values(), 1):
        corners = [30, 30, 30 + width, 30, 30 + width, 30 + height, 30, 30 + height]
        common = {"image_id": 1, "category_id": number, "bbox": [30, 30, width, height]}
        objects.append(
            {**common, "id": number, "iscrowd": 0, "area": width * height, "segmentation": [corners]}
        )
        drawn = rle.merge(rle.frPyObjects([corners], 96, 96))
        drawn["counts"] = drawn["counts"].decode()
        rows.append({**common, "score": 0.5, "segmentation": drawn})
        rows.append({**common, "bbox": [0, 0, 60, 60], "score": 0.9, "segmentation": thin(60, 60)})
    categories = [{"id": number, "name": name} for number, name in enumerate(sizes, 1)]
    image = {"id": 1, "file_name": "1.png", "width": 96, "height": 96}
    content = {"images": [image], "annotations": objects, "categories": categories}
    (tmp_path / "val.json").write_text(json.dumps(content), encoding="utf-8")
    without = [{key: value for key, value in row.items() if key != "bbox"} for row in rows]
    expected = by_hand(tmp_path / "val.json", without, "segm")
    found = metrics.score(Truth(tmp_path / "val.json", evaluator), rows, "segm")
    assert list(found.values()) == pytest.approx(expected, abs=1e-9)
    assert (found["APs"], found["APm"]) == (pytest.approx(50, abs=1), pytest.approx(100, abs=1))


def test_an_image_keeps_no_tensor_and_is_transferred_once(annotations, monkeypatch):
    moved = []
    cpu = torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, "cpu", lambda self: moved.append(tuple(self.shape)) or cpu(self))
    metric = metrics.CocoPredictions(annotations, shapes.CLASSES)
    metric.process({}, [sample(torch.rand(7, 40, 33) > 0.6)])
    assert len([shape for shape in moved if len(shape) > 2]) == 1
    assert json.loads(json.dumps(metric.results)) == metric.results


def test_annotations_are_read_once_for_all_passes(annotations, monkeypatch):
    reads = []
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda self: reads.append(self) or read(self))
    monkeypatch.setattr(COCO, "__init__", no_file(COCO.__init__))
    metric = metrics.CocoPredictions(annotations, shapes.CLASSES)
    for _ in range(2):
        metric.compute_metrics([predictions(annotations)])
    found = metric.summary("shapes")
    assert reads == [annotations]
    monkeypatch.undo()
    assert found == metrics.summary(annotations, predictions(annotations), "shapes")
    assert list(found["bbox"].values()) == by_hand(annotations, predictions(annotations))


def no_file(original):
    """COCO's constructor, which may not read a file."""

    def initialise(self, annotation_file=None):
        assert annotation_file is None
        original(self)

    return initialise


@pytest.mark.parametrize("objects", [0, 3])
def test_a_split_without_an_object_that_is_scored_is_refused(objects, annotations, tmp_path):
    content = json.loads(annotations.read_text())
    content["annotations"] = [{**item, "iscrowd": 1} for item in content["annotations"][:objects]]
    (tmp_path / "val.json").write_text(json.dumps(content))
    with pytest.raises(
        ValueError, match=rf"val\.json: found no object that is scored \(no crowd\) among {objects}"
    ):
        metrics.CocoPredictions(tmp_path / "val.json", shapes.CLASSES)
