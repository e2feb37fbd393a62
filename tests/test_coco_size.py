"""The size of COCO: seconds and memory of scoring, planning and checking."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import PROJECT
from PIL import Image
from snakes import changed, snakemake
from test_evaluators import EVALUATORS, agree

from mtpd import files
from mtpd.evaluation import metrics
from mtpd.experiment import specs
from mtpd.experiment.folders import Layout
from mtpd.experiment.reading import load_with_files

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


def coco(folder, split, images, objects):
    """A split of COCO's size: polygons of COCO's usual length; all images share a few files."""
    rng = np.random.default_rng(1)
    of = rng.integers(1, images + 1, objects).tolist()
    kinds = rng.integers(1, 81, objects).tolist()
    corners = (rng.random((objects, 2)) * 300).round(2).tolist()
    outline = (rng.random(60) * 100).round(2).tolist()
    content = {
        "images": [
            {"id": i, "file_name": f"{i % 5}.jpg", "width": 640, "height": 480} for i in range(1, images + 1)
        ],
        "categories": [{"id": i, "name": f"class {i}"} for i in range(1, 81)],
        "annotations": [
            {
                "id": number,
                "image_id": image,
                "category_id": kind,
                "bbox": [*corner, 100.0, 100.0],
                "segmentation": [outline],
                "area": 10000.0,
                "iscrowd": 0,
            }
            for number, (image, kind, corner) in enumerate(zip(of, kinds, corners, strict=True), 1)
        ],
    }
    files.write_json(folder / f"{split}.json", content, indent=None)
    (folder / split).mkdir()
    for name in range(5):
        Image.new("RGB", (640, 480)).save(folder / split / f"{name}.jpg")
    return {"annotations": str(folder / f"{split}.json"), "images": str(folder / split)}


# Runs a program and counts how often it opens a file.
COUNT = """
import json, resource, runpy, sys, time
counted, script, *sys.argv[1:] = sys.argv[1:]
opened = 0
def watch(event, arguments):
    global opened
    opened += event == "open" and str(arguments[0]) == counted
sys.addaudithook(watch)
start = time.monotonic()
try:
    runpy.run_path(script, run_name="__main__")
except SystemExit:
    pass
seconds, peak = time.monotonic() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"opened": opened, "seconds": seconds, "peak": peak / 1024**2}))
"""


@pytest.mark.slow
def test_an_experiment_on_coco_is_planned_and_checked_with_one_reading(tmp_path, capsys, monkeypatch):
    """118,287 and 5,000 images with 860,000 and 36,000 objects, and a detector that needs masks."""
    monkeypatch.chdir(tmp_path)
    splits = {"train": coco(tmp_path, "train", 118287, 860000), "val": coco(tmp_path, "val", 5000, 36000)}
    size = Path(splits["train"]["annotations"]).stat().st_size / 2**20
    told = {"size": f"{size:.0f} MiB of training annotations"}

    def change(experiment):
        experiment["dataset"] = {"name": "coco", **splits}
        masks = {"config": "config/detectors/mask_rcnn_w8.py", "train": {"recipe": "alone", "epochs": 1}}
        experiment["detectors"]["masks"] = masks

    config = changed(tmp_path, "coco", change)
    start = time.monotonic()
    code, said = snakemake(tmp_path, "-n", config=config)
    assert code == 0, said
    told["plan"] = f"{time.monotonic() - start:.1f} s"
    experiment = load_with_files(yaml.safe_load(config.read_text()), str(config), PROJECT)
    layout = Layout(experiment.experiment, experiment.dataset.name)
    spec = specs.checks(experiment, layout)
    for detector in spec["detectors"].values():
        detector["files"] = []
    files.write_json(tmp_path / "spec.json", spec)
    script = PROJECT / "workflow/scripts/check.py"
    options = ["--spec", "spec.json", "--passed", "passed", "--wrong", "wrong"]
    command = [sys.executable, "-c", COUNT, splits["train"]["annotations"], script, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not (tmp_path / "wrong").exists(), (tmp_path / "wrong").read_text()
    found = json.loads(done.stdout.splitlines()[-1])
    told["checks"] = f"{found['seconds']:.0f} s, peak {found['peak']:.1f} GiB"
    assert found["opened"] == 1
    # Later jobs read the class names from a small file.
    names = "from mtpd.data import coco; print(len(coco.classes_of(sys.argv[1])))"
    script = tmp_path / "names.py"
    script.write_text(f"import sys\n{names}\n")
    path = splits["train"]["annotations"]
    command = [sys.executable, "-c", COUNT, path, script, path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    *_, count, found = done.stdout.splitlines()
    assert (int(count), json.loads(found)["opened"]) == (80, 0)
    with capsys.disabled():
        print("", *(f"{what}: {figures}" for what, figures in told.items()), sep="\n")
