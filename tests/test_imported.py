"""An experiment on data as their owner has them: imported before the first job, by real Snakemake."""

import re
import shutil

import one_stage
import pytest
from conftest import PROJECT
from first_files import draw
from PIL import Image
from snakes import checked, planned, snakemake

from mtpd import files
from mtpd.experiment import data_specs, folders
from mtpd.experiment.schema import Dataset

WILDCARDS = "dataset=cells,student=student,recipe=alone,chain=none@1,seed=0"
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
    also = ("--report", "report.html", "--report-after-run")
    targets = (f"{STAGE}/metrics.json", "results/cells/data/import.json")
    code, said = snakemake(folder, *also, "--", *targets, config=checked(folder, write(folder)))
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


def test_reports_show_what_was_imported(finished_import):
    """Snakemake's own, and the page: it needs what the import says, and its pictures."""
    shown = (finished_import / "report.html").read_text(encoding="utf-8")
    assert "train_samples.jpg" in shown and "counts.png" in shown and "images with rare classes" in shown
    code, said = snakemake(finished_import, "-n", "--", "reported", config=write(finished_import))
    inputs = re.search("rule write_page:\n.*input: (.*)", said).group(1)
    names = ("import.json", "train_samples.jpg", "counts.png")
    assert code == 0 and all(f"results/cells/data/{name}" in inputs for name in names)


def test_nothing_changed_means_nothing_to_do(folder):
    code, said = snakemake(folder, "-n", "--", f"{STAGE}/metrics.json", config=write(folder))
    assert code == 0 and "Nothing to be done" in said, said


@pytest.mark.parametrize("change", ["blank", "settings"])
def test_what_changes_nothing_trains_nothing(change, folder):
    """The data are imported again, and what is in them decides."""
    options = {"allowed_share": 0.2} if change == "settings" else {}
    if change == "blank":
        path = folder / "cells/valid/_annotations.coco.json"
        path.write_text(path.read_text(encoding="utf-8") + " ", encoding="utf-8")
    config = write(folder, **options)
    assert planned(folder, config, f"{STAGE}/metrics.json") == {}
    code, said = snakemake(folder, "--", f"{STAGE}/metrics.json", config=config)
    assert code == 0, said
    code, said = snakemake(folder, "-n", "--", f"{STAGE}/metrics.json", config=config)
    assert code == 0 and "Nothing to be done" in said, said


def change_training_data(folder, change):
    """Change what a stage is trained with; the experiment file."""
    path = folder / "cells/train/_annotations.coco.json"
    options = {"classes": {"leucocyte": ["cell"]}} if change == "classes" else {}
    if change == "label":
        content = files.read_json(path)
        content["annotations"][0]["bbox"] = [4, 4, 20, 10]
        files.write_json(path, content)
    if change == "image":
        image = next((folder / "cells/train").glob("*.png"))
        with Image.open(image) as opened:
            size = opened.size
        Image.new("RGB", size, "red").save(image)
    return write(folder, **options)


CHANGES = ["label", "image", "classes"]


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_trained_with_decides(change, folder):
    jobs = planned(folder, change_training_data(folder, change), f"{STAGE}/metrics.json")
    assert jobs.pop("train_stage") == 1
    # Of an image that shows something else, the annotations are the same.
    assert jobs == {"label": {"take_imported": 1}, "image": {}, "classes": {"take_imported": 2}}[change]


@pytest.mark.slow  # the plans are compared above; test_old_results trains again after a change of the recipe
@pytest.mark.parametrize("change", CHANGES)
def test_the_stage_is_trained_again(change, folder):
    student = (folder / STAGE / "student.pth").read_bytes()
    config = checked(folder, change_training_data(folder, change))
    code, said = snakemake(folder, "--", f"{STAGE}/metrics.json", config=config)
    assert code == 0 and "epoch 1/1" in said and "trained already" not in said, said
    assert (folder / STAGE / "student.pth").read_bytes() != student


@pytest.mark.slow  # test_old_results has a validation file that was replaced
def test_corrected_validation_annotations_train_nothing(folder):
    path = folder / "cells/valid/_annotations.coco.json"
    content = files.read_json(path)
    content["annotations"][0]["bbox"] = [4, 4, 20, 10]
    files.write_json(path, content)
    code, said = snakemake(folder, "--", f"{STAGE}/metrics.json", config=checked(folder, write(folder)))
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


def test_files_that_are_named_are_the_same_data(folder):
    """Each split with its files, in place of the folder that they lie in: nothing is trained again."""
    where = {"train": "train", "val": "valid"}
    named = {
        name: {"annotations": f"cells/{at}/_annotations.coco.json", "images": f"cells/{at}"}
        for name, at in where.items()
    }
    config = checked(folder, write(folder, source=None, **named))
    code, said = snakemake(folder, "--", f"{STAGE}/metrics.json", config=config)
    assert code == 0 and "trained already: only its scores are made again" in said, said


def test_a_set_that_is_named_is_divided(folder):
    train = {"annotations": "cells/train/_annotations.coco.json", "images": "cells/train"}
    config = checked(folder, write(folder, source=None, train=train, val={"fraction": 0.25}))
    code, said = snakemake(folder, "--", "results/cells/data/import.json", config=config)
    assert code == 0, said
    report = files.read_json(folder / "results/cells/data/import.json")
    assert {name: split["images"] for name, split in report["splits"].items()} == {"train": 6, "val": 2}


def test_what_is_decoded_is_a_setting_of_the_import(finished_import, monkeypatch):
    monkeypatch.chdir(finished_import)
    told = {}
    for decode in ("all", "sample", "none"):
        found = data_specs.data_import(Dataset(name="cells", source="cells", decode=decode))
        assert found["decode"] == decode
        told[decode] = folders.imported(found)
    assert len(set(told.values())) == 3
    with pytest.raises(ValueError, match="decode: only for data that are imported"):
        Dataset(name="drawn", generate={}, decode="none")


def test_results_in_the_folder_of_the_data_are_refused(tmp_path):
    code, said = snakemake(tmp_path, "-n", config=write(tmp_path, source="."))
    assert code != 0 and "dataset.source: found '.', in which this run writes its results" in said, said


def test_another_version_of_the_import_imports_again(finished_import, monkeypatch):
    monkeypatch.chdir(finished_import)
    data = Dataset(name="cells", source="cells")
    assert data_specs.import_report(data)
    monkeypatch.setattr(data_specs, "IMPORT_VERSION", 10**6)
    assert data_specs.import_report(data) is None


def test_an_import_that_is_not_whole_is_made_again(folder):
    for path in (folder / "work/imports").glob("*/val.json"):
        path.unlink()
    code, said = snakemake(folder, "-n", "--", f"{STAGE}/metrics.json", config=write(folder))
    assert code == 0 and "import: val: reading" in said and "Nothing to be done" in said, said


def test_a_job_whose_data_have_changed_meanwhile_is_refused(folder):
    """As on a cluster: the process of a job finds other data than those that the results have."""
    content = files.read_json(folder / "results/cells/data/train.json")
    content["annotations"].pop()
    files.write_json(folder / "results/cells/data/train.json", content)
    job = ("--mode", "remote", "--force", "--target-jobs", f"train_stage:{WILDCARDS}")
    code, said = snakemake(folder, *job, "--allowed-rules", "train_stage", config=write(folder))
    assert code != 0 and "dataset: files have changed since this run began (cells)" in said, said
