"""Scoring at the size of COCO's validation split: seconds and memory of each evaluator."""

import json
import subprocess
import sys

import numpy as np
import pytest
from test_evaluators import EVALUATORS, agree

from mtpd import files
from mtpd.evaluation import metrics

MEASURE = """
import json, resource, sys, time
from mtpd.evaluation.truth import Truth
annotations, predictions, evaluator = sys.argv[1:]
rows = json.load(open(predictions))
start = time.monotonic()
stats = Truth(annotations, evaluator).stats(rows, "bbox")
seconds, peak = time.monotonic() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"stats": stats, "seconds": seconds, "peak": peak / 1024**2}))
"""


@pytest.mark.slow
def test_the_evaluators_at_the_size_of_coco(tmp_path, capsys):
    """5,000 images, 36,000 objects of 80 classes, 500,000 predictions."""
    rng = np.random.default_rng(0)
    images, classes = np.arange(1, 5001), np.arange(1, 81)
    places = np.concatenate([rng.random((36000, 2)) * 400, 5 + 200 * rng.random((36000, 2))], 1).round(2)
    of, kinds = rng.choice(images, 36000), rng.choice(classes, 36000)
    objects = [
        {
            "id": i + 1,
            "image_id": image,
            "category_id": kind,
            "bbox": place,
            "area": place[2] * place[3],
            "iscrowd": 0,
        }
        for i, (image, kind, place) in enumerate(
            zip(of.tolist(), kinds.tolist(), places.tolist(), strict=True)
        )
    ]
    found = rng.integers(0, 36000, 500000)
    shifted = (places[found] + rng.normal(0, 8, (500000, 4))).clip(1).round(3)
    labels = np.where(rng.random(500000) < 0.8, kinds[found], rng.choice(classes, 500000))
    scores = rng.random(500000).round(5)
    columns = (of[found].tolist(), labels.tolist(), shifted.tolist(), scores.tolist())
    rows = [
        dict(zip(("image_id", "category_id", "bbox", "score"), row, strict=True))
        for row in zip(*columns, strict=True)
    ]
    content = {
        "images": [{"id": i, "width": 640, "height": 640} for i in images.tolist()],
        "categories": [{"id": i, "name": str(i)} for i in classes.tolist()],
        "annotations": objects,
    }
    files.write_json(tmp_path / "val.json", content, indent=None)
    files.write_json(tmp_path / "rows.json", rows, indent=None)
    told = []
    for evaluator in EVALUATORS:
        command = [sys.executable, "-c", MEASURE, tmp_path / "val.json", tmp_path / "rows.json", evaluator]
        told.append(json.loads(subprocess.run(command, capture_output=True, check=True).stdout))
        with capsys.disabled():
            print(f"\n{evaluator}: {told[-1]['seconds']:.0f} s, peak {told[-1]['peak']:.2f} GiB")
    slow, fast = (dict(zip(metrics.NAMES, found["stats"], strict=True)) for found in told)
    agree(slow, fast)
    assert 0 < slow["AP"] < 1
