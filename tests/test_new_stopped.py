"""``make new`` where an import stops: what it says, and how it goes on."""

import re

import pytest
import yaml
from conftest import PROJECT
from first_files import draw, laid_out, new

from mtpd import files
from mtpd.experiment import starter
from mtpd.experiment.reading import load_dataset, load_with_files

NO_FOLDERS = {
    "cells.zip": "an archive: unpack it",
    "data/annotations/instances_train2017.json": "is a file: give the folder .* perhaps .*/data\n",
    "nowhere": "no such folder",
}


@pytest.mark.parametrize("given", NO_FOLDERS)
def test_data_that_are_no_folder(given, tmp_path):
    laid_out(tmp_path / "data", "COCO 2017")
    (tmp_path / "cells.zip").write_bytes(b"PK")
    code, said = new(tmp_path, "cells", tmp_path / given, "--gpus", 0)
    assert code == 1 and re.search(NO_FOLDERS[given], said), said
    assert "nothing was written" in said and not list(tmp_path.glob("*.yaml"))


def test_an_import_that_stopped_goes_on_with_the_edited_file(tmp_path):
    data, target = laid_out(tmp_path / "my data", "COCO 2017"), tmp_path / "cells.yaml"
    val = data / "annotations/instances_val2017.json"
    val.write_text(val.read_text(encoding="utf-8").replace('"cell"', '"Cell"'), encoding="utf-8")
    code, said = new(tmp_path, "cells", data, "--gpus", 0)
    assert code == 1 and f"then again: make new NAME=cells DATA='{data}' GPUS=0\n" in said, said
    text = target.read_text(encoding="utf-8")
    assert "#   val: has objects of classes that training does not have: 'Cell' (3 objects)" in text
    assert new(tmp_path, "cells", data)[0] == 1 and target.read_text(encoding="utf-8") == text
    # The same keys are there as comments.
    edited = re.sub(r"# (classes: \{.*\})", r"\1", text).replace("plate: [plate]", "platelet: [platelet]")
    target.write_text(edited, encoding="utf-8")
    code, said = new(tmp_path, "cells", data, "--gpus", 0)
    assert code == 0 and "cells.yaml: has the data set only, so its keys are taken" in said, said
    content = yaml.safe_load(target.read_text(encoding="utf-8"))
    classes = {"cell": ["cell", "Cell"], "platelet": ["platelet"]}
    assert load_with_files(content, "cells.yaml", PROJECT) and content["dataset"]["classes"] == classes
    assert (
        new(tmp_path, "cells", data)[1] == "cells.yaml is there already: choose another NAME, or remove it\n"
    )


def test_all_keys_that_a_stopped_import_offers_are_keys():
    text = starter.write_stopped("cells", "my data", ["train: one\ntwo"], "make new")
    offered = re.findall(r"^  # (\w+: (?:\{.*\}|\[.*\]|0.*))$", text, re.MULTILINE)
    assert [line.partition(":")[0] for line in offered] == [
        "classes", "classes", "allowed_share", "val", "train", "val"
    ]  # fmt: skip
    source = yaml.safe_load(text)["dataset"]
    for line in offered[:4]:
        assert load_dataset(source | yaml.safe_load(line), "cells.yaml")
    splits = yaml.safe_load("\n".join(offered[4:]))
    assert load_dataset({"name": "cells", **splits}, "cells.yaml").train.images == "my data/train"


def test_splits_in_place_of_the_source(tmp_path):
    """What is advised where two annotation files could be meant."""
    data = laid_out(tmp_path / "data", "COCO 2017")
    first = data / "annotations/instances_train2017.json"
    content = files.read_json(first)
    content["annotations"].pop()
    files.write_json(data / "annotations/corrected_train2017.json", content)
    code, said = new(tmp_path, "cells", data, "--gpus", 0)
    assert code == 1 and "in place of dataset.source" in said and "in place of dataset.source" in said, said
    splits = {
        split: {
            "annotations": str(data / f"annotations/instances_{split}2017.json"),
            "images": str(data / f"{split}2017"),
        }
        for split in ("train", "val")
    }
    begun = {"experiment": "cells", "dataset": {"name": "cells", **splits}}
    (tmp_path / "cells.yaml").write_text(yaml.safe_dump(begun), encoding="utf-8")
    code, said = new(tmp_path, "cells", data, "--gpus", 0)
    assert code == 0 and "train: 8 images, 8 objects" in said, said
    dataset = yaml.safe_load((tmp_path / "cells.yaml").read_text(encoding="utf-8"))["dataset"]
    assert dataset | splits == dataset and "source" not in dataset


def test_data_that_were_moved_are_imported_once_and_no_text_names_where_they_were(tmp_path):
    data = laid_out(tmp_path / "first", "COCO 2017")
    draw(data, "annotations/instances_test2017.json", "test2017", ["t.png"])
    (data / "test2017/t.png").unlink()
    assert new(tmp_path, "cells", data, "--gpus", 0)[0] == 0
    code, said = new(tmp_path, "moved", data.rename(tmp_path / "second"), "--gpus", 0)
    assert code == 0 and "reading" not in said, said
    assert "1 of 1 images are missing ('t.png'): looked for them in the folder of the data and all" in said
    assert "train: 8 images, 8 objects, from annotations/instances_train2017.json (COCO)" in said
    kept = "".join(path.read_text(encoding="utf-8") for path in tmp_path.glob("work/imports/*/import.json"))
    assert "annotations/instances_val2017.json" in kept
    assert str(tmp_path) not in kept and str(tmp_path / "first") not in said
