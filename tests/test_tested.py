"""An experiment on data with a test split: scored on it after training, reported beside, never chosen by."""

import contextlib
import io
import re
import runpy
import shutil
import sys
from itertools import permutations
from pathlib import Path

import numpy as np
import one_stage
import pandas as pd
import pytest
from conftest import PROJECT
from few import FIND_ANYTHING
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from snakes import checked, snakemake

from mtpd import files
from mtpd.detectors.checkpoints import CheckpointError
from mtpd.experiment import policies, scores

RESULTS = "results/cells"
STAGE = f"{RESULTS}/students/student/alone/none@1/seed0"
TABLES = [f"results/one/tables/{name}.csv" for name in ("main", "comparison")]
REPORTED = {"test_student": 1, "list_rows": 1, "write_tables": 1, "write_comparison": 1}
FROM_FILE = {"config": "config/detectors/r18_w4.py", "file": "any.pth"}


def draw(folder, split, count):
    """Images with a bright box each, at another place in each image."""
    (folder / split).mkdir(parents=True)
    draws = np.random.default_rng([ord(letter) for letter in split])
    images, objects = [], []
    for number in range(count):
        x, y = (int(value) for value in draws.integers(4, 24, 2))
        pixels = draws.integers(0, 60, (64, 64, 3), dtype=np.uint8)
        pixels[y : y + 30, x : x + 30] += 150
        Image.fromarray(pixels).save(folder / split / f"{number}.png")
        images.append({"id": number + 1, "file_name": f"{number}.png", "width": 64, "height": 64})
        box = {"bbox": [x, y, 30, 30], "area": 900, "iscrowd": 0}
        objects.append({"id": number + 1, "image_id": number + 1, "category_id": 1, **box})
    content = {"images": images, "annotations": objects, "categories": [{"id": 1, "name": "cell"}]}
    files.write_json(folder / split / "_annotations.coco.json", content)


def experiment():
    """Two arms that end in the same stage."""
    content = one_stage.experiment({"source": "cells"})
    content["detectors"]["student"]["overrides"] = FIND_ANYTHING
    content["arms"]["again"] = {**content["arms"]["alone"], "against": ["alone"]}
    return content


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """Its tables."""
    folder = tmp_path_factory.mktemp("tested")
    (folder / "config").symlink_to(PROJECT / "config")
    for split, count in (("train", 8), ("valid", 4), ("test", 5)):
        draw(folder / "cells", split, count)
    config = checked(folder, one_stage.write(folder, experiment()))
    code, said = snakemake(folder, "--", *TABLES, config=config)
    assert code == 0, said
    return folder


@pytest.fixture
def folder(reported, tmp_path):
    shutil.copytree(reported, tmp_path / "copy", symlinks=True)
    return tmp_path / "copy"


def jobs(said):
    """How many jobs of each rule a dry run has planned."""
    table = re.findall(r"^(\w+) +(\d+)$", said.partition("Job stats:")[2], re.MULTILINE)
    return {rule: int(count) for rule, count in table if rule != "total"}


def plan(folder, content, *arguments):
    """What a dry run says."""
    code, said = snakemake(folder, "-n", *arguments, config=one_stage.write(folder, content))
    assert code == 0, said
    return said


def test_the_numbers_are_those_of_pycocotools_on_the_test_split(reported):
    metrics = files.read_json(reported / STAGE / "test_metrics.json")
    predictions = files.read_json(reported / STAGE / "test_predictions.json")
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(reported / RESULTS / "data/test.json"))
        evaluation = COCOeval(truth, truth.loadRes(predictions), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert list(metrics["bbox"].values()) == [100 * value for value in evaluation.stats]
    assert (metrics["images"], len(truth.imgs)) == (5, 5) and metrics["bbox"]["AR100"] > 0


def test_tables_have_both_splits(reported):
    main, compared = (pd.read_csv(reported / path) for path in TABLES)
    val, test = (
        files.read_json(reported / STAGE / name)["bbox"]["AP"]
        for name in ("metrics.json", "test_metrics.json")
    )
    assert abs(val - test) > 1  # which one a number is can be told
    assert main["AP"].tolist() == pytest.approx([val] * 3)
    assert main["test AP"].tolist() == pytest.approx([test] * 3)
    assert compared["test AP"].tolist() == pytest.approx([test])
    assert compared["test difference"].tolist() == [0.0] and compared["test verdict"][0] == "the same runs"
    seeds = pd.read_csv(reported / "results/one/tables/seeds.csv")
    assert seeds["test AP"].tolist() == pytest.approx([test] * 2)


def test_finished_training_is_only_scored(folder):
    """As after a version that did not score on the test split."""
    for path in folder.rglob("test_*.json"):
        path.unlink()
    rows = files.read_json(folder / "results/one/rows.json")
    old = [{key: value for key, value in row.items() if key != "tested_with"} for row in rows]
    files.write_json(folder / "results/one/rows.json", old)
    assert jobs(plan(folder, experiment(), "--", *TABLES)) == REPORTED


def test_nothing_changed_means_nothing_to_do(folder):
    assert jobs(plan(folder, experiment(), "--", *TABLES)) == {}


def test_a_changed_test_label_makes_only_these_scores_again(folder):
    path = folder / "cells/test/_annotations.coco.json"
    content = files.read_json(path)
    content["annotations"][0]["bbox"] = [2, 2, 40, 40]
    files.write_json(path, content)
    assert jobs(plan(folder, experiment(), "--", *TABLES)) == {"take_imported": 1, **REPORTED}


@pytest.mark.parametrize("named", [("train", "val", "test"), ("train", "val")])
def test_a_test_split_that_is_named_is_scored_on(named, folder):
    content = experiment()
    del content["dataset"]["source"]
    for name in named:
        images = f"cells/{'valid' if name == 'val' else name}"
        content["dataset"][name] = {"annotations": f"{images}/_annotations.coco.json", "images": images}
    assert jobs(plan(folder, content, "--", *TABLES)).get("test_student", 0) == ("test" in named)


def test_scores_of_other_settings_are_made_again(folder):
    """Whatever Snakemake remembers."""
    path = folder / STAGE / "test_metrics.json"
    content = files.read_json(path)
    content["made_with"]["dataset"]["test"]["content"] = "other"
    files.write_json(path, content)
    said = plan(folder, experiment(), "--", *TABLES)
    assert "to be made again: dataset.test.content: found" in said
    assert jobs(said) == {name: REPORTED[name] for name in REPORTED if name != "list_rows"}


def test_weights_that_are_scored_already_are_not_scored_again(folder, monkeypatch):
    """What trained them ran again for the validation split. Other weights are scored."""
    monkeypatch.chdir(folder)
    path = folder / STAGE / "test_metrics.json"
    spec = next((folder / "logs").rglob("test-*.json"))
    arguments = ["--spec", spec, "--weights", "student.pth", "--metrics", path]
    arguments += ["--predictions", path.with_name("test_predictions.json")]
    monkeypatch.setattr(sys, "argv", ["evaluate.py", *map(str, arguments)])
    before = path.read_bytes()
    shutil.copy(folder / STAGE / "student.pth", "student.pth")
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(PROJECT / "workflow/scripts/evaluate.py"), run_name="__main__")
    assert ended.value.code is None and path.read_bytes() == before
    Path("student.pth").write_bytes(b"of another training")
    with pytest.raises(CheckpointError):
        runpy.run_path(str(PROJECT / "workflow/scripts/evaluate.py"), run_name="__main__")


def test_only_tables_read_the_test_split_so_nothing_is_chosen_by_it(folder):
    """On the validation split, ``a`` is the strongest teacher; on the test split, ``b``."""
    content = experiment()
    content["detectors"] |= {"a": FROM_FILE, "b": FROM_FILE}
    content["pools"] = {"both": ["a", "b"]}
    content["recipes"]["pkd"] = {**content["recipes"]["alone"], "loss": {"name": "pkd"}}
    policy = {"recipe": "pkd", "pool": "both", "epochs": 2}
    content["arms"] |= {name: {**policy, "policy": name} for name in ("strongest", "by-ap")}
    (folder / "any.pth").touch()
    for name, ap in {"student": (1, 1), "a": (30, 10), "b": (20, 40)}.items():
        for file, value in zip(("metrics.json", "test_metrics.json"), ap, strict=True):
            files.write_json(folder / RESULTS / "detectors" / name / file, {"bbox": {"AP": float(value)}})
    said = plan(folder, content, "--forceall", "--printshellcmds", "--", "all", "reported")
    readers = re.findall(
        r"^(?:rule|checkpoint) (\w+):\n +input: .*test(?:_metrics)?\.json", said, re.MULTILINE
    )
    assert set(readers) == {"test_detector", "test_student", "write_tables", "write_comparison"}
    names = re.search(r"order_teachers\.py .* --metrics (.*) --costs", said)[1].split()
    ap = {Path(name).parent.name: scores.read(folder / name)["bbox"]["AP"] for name in names}
    costs = dict.fromkeys(permutations(ap, 2), 0.5)
    found, _ = policies.orders_by_policy("student", ap, costs, 2)
    assert found["strongest"] == [["a"]] and found["by-ap"] == [["b", "a"]]
