"""pycocotools and faster-coco-eval give the same numbers, but for the last bit of precisions."""

import json
from importlib.metadata import version

import numpy as np
import pytest
import torch
import yaml
from conftest import PROJECT, spec
from pycocotools import mask as rle

from mtpd.evaluation import evaluate, metrics
from mtpd.evaluation.truth import Truth
from mtpd.experiment import specs
from mtpd.experiment.folders import Layout
from mtpd.experiment.reading import load_experiment

EVALUATORS = ("pycocotools", "faster-coco-eval")
CATEGORIES = (1, 3, 17, 90)  # not contiguous
HEIGHT, WIDTH = 220, 300


def box(rng):
    """A box from a few pixels to most of the image."""
    width, height = 4 + np.array([WIDTH - 5, HEIGHT - 5]) * rng.random(2) ** 3
    return [
        float(v)
        for v in np.round(
            [rng.random() * (WIDTH - width), rng.random() * (HEIGHT - height), width, height], 2
        )
    ]


def polygon(found):
    x, y, width, height = found
    return [[x, y + height / 2, x + width / 2, y, x + width, y + height / 2, x + width / 2, y + height]]


def mask(found):
    """A mask as predictions have it."""
    return metrics.encoded(
        torch.tensor(rle.decode(rle.frPyObjects(polygon(found), HEIGHT, WIDTH))).permute(2, 0, 1)
    )[0]


def crowd(found):
    """An uncompressed run-length encoding, as COCO has it."""
    image = np.zeros((HEIGHT, WIDTH), int)
    x, y, width, height = (int(v) for v in found)
    image[y : y + height, x : x + width] = 1
    flat = image.T.ravel()
    ends = [0, *(np.flatnonzero(np.diff(flat)) + 1), flat.size]
    return {"size": [HEIGHT, WIDTH], "counts": [0] * int(flat[0]) + np.diff(ends).tolist()}


def annotated(rng, images):
    """Images of which the first has no object, some objects of others being crowds."""
    objects = []
    for image in range(2, images + 1):
        for _ in range(rng.integers(1, 9)):
            found, many = box(rng), bool(rng.random() < 0.15)
            objects.append(
                {
                    "id": len(objects) + 1,
                    "image_id": image,
                    "category_id": int(rng.choice(CATEGORIES[:3])),
                    "bbox": found,
                    "area": found[2] * found[3] * (1 if many else 0.5),
                    "iscrowd": int(many),
                    "segmentation": crowd(found) if many else polygon(found),
                }
            )
    return {
        "images": [
            {"id": i, "file_name": f"{i}.png", "width": WIDTH, "height": HEIGHT} for i in range(1, images + 1)
        ],
        "categories": [{"id": i, "name": f"class {i}"} for i in CATEGORIES],
        "annotations": objects,
    }


def detected(rng, content):
    """Objects found twice, the worse first or second, and others; many scores are equal."""
    rows = []
    for item in content["annotations"]:
        for _ in range(2):
            shift = rng.normal(0, 0.1, 4) * [*item["bbox"][2:], *item["bbox"][2:]]
            found = np.clip(np.array(item["bbox"]) + shift, 1, [WIDTH - 9, HEIGHT - 9, WIDTH, HEIGHT]).round(
                2
            )
            kind = item["category_id"] if rng.random() < 0.9 else rng.choice(CATEGORIES)
            rows.append((item["image_id"], kind, found.tolist()))
    rows += [(int(rng.integers(1, 4)), rng.choice(CATEGORIES), box(rng)) for _ in range(300)]
    return [
        {
            "image_id": image,
            "category_id": int(kind),
            "bbox": found,
            "score": round(float(rng.random()), 1),
            "segmentation": mask(found),
        }
        for image, kind, found in rows
        if image != 4  # an image without predictions
    ]


def both(path, rows, kind):
    return [metrics.score(Truth(path, evaluator), rows, kind) for evaluator in EVALUATORS]


def agree(slow, fast):
    """Recalls are equal to the last bit. In precisions, only pycocotools adds 2e-16 to the denominator."""
    recalls = [name for name in metrics.NAMES if name.startswith("AR")]
    assert [slow[name] for name in recalls] == [fast[name] for name in recalls]
    assert fast == pytest.approx(slow, rel=0, abs=1e-12)


@pytest.mark.parametrize("kind", ["bbox", "segm"])
@pytest.mark.parametrize("seed", range(5))
def test_the_evaluators_agree(seed, kind, tmp_path):
    """Crowds, ties, images without objects or predictions, over 100 detections an image, a class unseen."""
    rng = np.random.default_rng(seed)
    content = annotated(rng, 12)
    (tmp_path / "val.json").write_text(json.dumps(content))
    slow, fast = both(tmp_path / "val.json", detected(rng, content), kind)
    agree(slow, fast)
    assert 1 < slow["AP"] < slow["AP50"] < 95


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_the_evaluators_agree_where_there_is_nothing(kind, tmp_path):
    rng = np.random.default_rng(0)
    content = annotated(rng, 6)
    rows = detected(rng, content)
    (tmp_path / "val.json").write_text(json.dumps(content))
    (tmp_path / "none.json").write_text(json.dumps({**content, "annotations": []}))
    slow, fast = both(tmp_path / "val.json", [], kind)
    assert slow == fast
    assert slow["AP"] == 0
    slow, fast = both(tmp_path / "none.json", rows, kind)
    assert slow == fast
    assert slow["AP"] == -100


def test_scoring_again_gives_the_same(tmp_path):
    """What is read once serves every later validation, of boxes and masks."""
    rng = np.random.default_rng(0)
    content = annotated(rng, 6)
    rows = detected(rng, content)
    (tmp_path / "val.json").write_text(json.dumps(content))
    for evaluator in EVALUATORS:
        truth = Truth(tmp_path / "val.json", evaluator)
        for kind in ("bbox", "segm", "bbox", "segm"):
            assert metrics.score(truth, rows, kind) == metrics.score(
                Truth(tmp_path / "val.json", evaluator), rows, kind
            )


def test_a_detector_is_scored_by_the_evaluator_of_its_data_set(dataset, teacher, tmp_path):
    """With any number of loaders, the predictions are the same."""
    detector = {**spec("swin_w32"), "overrides": {"model.test_cfg.score_thr": 0.0}}
    first = evaluate.evaluate(dataset, detector, teacher, tmp_path / "slow")
    named = {**dataset, "evaluator": "faster-coco-eval"}
    second = evaluate.evaluate(named, detector, teacher, tmp_path / "fast", workers=1)
    assert second.predictions == first.predictions
    assert len(first.predictions) > 100
    slow, fast = first.summary("few"), second.summary("few")
    agree(slow["bbox"], fast["bbox"])
    assert slow["evaluator"] == f"pycocotools {version('pycocotools')}"
    assert fast["evaluator"] == f"faster-coco-eval {version('faster-coco-eval')}"


def test_only_jobs_that_score_are_told_another_evaluator():
    """The usual one is not named, so results from before it was a key stay valid."""
    content = yaml.safe_load((PROJECT / "tests/data/tiny.yaml").read_text())
    told = []
    for change in ({}, {"evaluator": "pycocotools"}, {"evaluator": "faster-coco-eval"}):
        experiment = load_experiment({**content, "dataset": {**content["dataset"], **change}})
        layout = Layout("tiny", "few-shapes")
        told.append(
            [
                specs.evaluation(experiment, layout, "student"),
                specs.stage(experiment, layout, "student", "pkd", "swin@1", 0),
                specs.complexity(experiment, layout),
                specs.order(experiment, layout, "student", "both"),
            ]
        )
    assert told[0] == told[1]
    assert told[0][2:] == told[2][2:]
    assert [job["dataset"].pop("evaluator") for job in told[2][:2]] == ["faster-coco-eval"] * 2
    assert told[0] == told[2]
