"""An experiment on data as their owner has them: imported before the first job, by real Snakemake."""

import shutil

import one_stage
import pytest
from conftest import PROJECT
from snakes import planned, snakemake
from test_new import draw

from mtpd import files

STAGE = "results/cells/students/student/alone/none@1/seed0"


def write(folder, name="one", **dataset):
    return one_stage.write(folder, one_stage.experiment({"source": "cells", **dataset}), name)


def roboflow(folder):
    """An export with ids from 0, the project as category 0, and splits as folders."""
    for split, count in (("train", 8), ("valid", 4)):
        draw(folder, f"{split}/_annotations.coco.json", split, [f"{n}.rf.0{n}.png" for n in range(count)])
        content = files.read_json(folder / f"{split}/_annotations.coco.json")
        for number, item in enumerate(content["annotations"]):
            item["id"] = number
        parent = {"id": 0, "name": "cells", "supercategory": "none"}
        content["categories"] = [parent, {"id": 1, "name": "cell", "supercategory": "cells"}]
        files.write_json(folder / f"{split}/_annotations.coco.json", content)


@pytest.fixture(scope="module")
def finished_import(tmp_path_factory):
    folder = tmp_path_factory.mktemp("imported")
    (folder / "config").symlink_to(PROJECT / "config")
    roboflow(folder / "cells")
    code, said = snakemake(folder, "--", f"{STAGE}/metrics.json", config=write(folder))
    assert code == 0, said
    (folder / "said").write_text(said, encoding="utf-8")
    return folder


@pytest.fixture
def folder(finished_import, tmp_path):
    shutil.copytree(finished_import, tmp_path / "copy", symlinks=True)
    return tmp_path / "copy"


def test_an_export_is_trained_and_scored_with(finished_import):
    train, val = (files.read_json(finished_import / f"results/cells/data/{n}.json") for n in ("train", "val"))
    for content in (train, val):
        assert [category["name"] for category in content["categories"]] == ["cell"]
        assert all(item["bbox"] == [2, 2, 20, 10] and item["id"] > 0 for item in content["annotations"])
    assert (len(train["images"]), len(val["images"])) == (8, 4)
    metrics = files.read_json(finished_import / STAGE / "metrics.json")
    assert metrics["images"] == 4
    report = files.read_json(finished_import / "results/cells/data/import.json")
    said = (finished_import / "said").read_text(encoding="utf-8")
    assert report["text"] and all(line in said for line in report["text"])


def test_nothing_changed_means_nothing_to_do(folder):
    code, said = snakemake(folder, "-n", "--", f"{STAGE}/metrics.json", config=write(folder))
    assert code == 0 and "Nothing to be done" in said, said


@pytest.mark.parametrize("change", ["annotations", "settings"])
def test_a_change_imports_again(change, folder):
    options = {"allowed_share": 0.2} if change == "settings" else {}
    if change == "annotations":
        path = folder / "cells/valid/_annotations.coco.json"
        path.write_text(path.read_text(encoding="utf-8") + " ", encoding="utf-8")
    jobs = planned(folder, write(folder, **options))
    assert jobs["import_data"] == 1 and jobs["train_stage"] == 1


def test_corrected_validation_annotations_train_nothing(folder):
    path = folder / "cells/valid/_annotations.coco.json"
    content = files.read_json(path)
    content["annotations"][0]["bbox"] = [4, 4, 20, 10]
    files.write_json(path, content)
    code, said = snakemake(folder, "--", f"{STAGE}/metrics.json", config=write(folder))
    assert code == 0 and "trained already: only its scores are made again" in said, said


def test_data_that_mean_two_things_stop_before_the_first_job(folder):
    path = folder / "cells/train/_annotations.coco.json"
    content = files.read_json(path)
    for item in content["annotations"]:
        item["bbox"] = [40, 30, 60, 44]  # corners
    files.write_json(path, content)
    code, said = snakemake(folder, "--", f"{STAGE}/metrics.json", config=write(folder))
    assert code != 0 and "Nothing was run" in said and "corners" in said, said
    assert "Traceback" not in said


def test_keys_of_an_import_need_a_source(tmp_path):
    split = {"annotations": "a.json", "images": "a"}
    config = write(tmp_path, source=None, train=split, val=split, strict=True)
    code, said = snakemake(tmp_path, "-n", config=config)
    assert code != 0 and "strict: only for an import; give 'source', a folder" in said, said


def test_results_in_the_folder_of_the_data_are_refused(tmp_path):
    code, said = snakemake(tmp_path, "-n", config=write(tmp_path, source="."))
    assert code != 0 and "dataset.source: found '.', in which this run writes its results" in said, said
