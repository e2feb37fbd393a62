"""``make new``: an experiment file for a data set, whatever the layout of its folder."""

import json
import shutil
import subprocess
import sys

import pytest
import yaml
from conftest import PROJECT
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from snakes import planned

from mtpd import discover
from mtpd.experiment import starter
from mtpd.experiment.reading import load_with_files

LAYOUTS = {
    "annotations beside the splits": ("annotations/{split}.json", "{split}", ("train", "val")),
    "COCO 2017": ("annotations/instances_{split}2017.json", "{split}2017", ("train", "val")),
    "annotations among the images": ("{split}/_annotations.coco.json", "{split}", ("train", "valid")),
    "images in a folder of their own": ("{split}.json", "images/{split}", ("train", "val")),
    "no val, but test": ("{split}.json", "{split}", ("train", "test")),
}


def draw(folder, annotations, images, names, box=(2, 2, 20, 10), size=(64, 48)):
    """A split of these images, each with one object."""
    for name in names:
        (folder / images / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size).save(folder / images / name)
    listed = [
        {"id": i, "file_name": name, "width": size[0], "height": size[1]} for i, name in enumerate(names)
    ]
    objects = [
        {"id": i + 1, "image_id": i, "category_id": 1, "bbox": list(box), "area": 200.0, "iscrowd": 0}
        for i in range(len(names))
    ]
    categories = [{"id": 1, "name": "cell"}, {"id": 7, "name": "platelet"}]
    content = {"images": listed, "annotations": objects, "categories": categories}
    (folder / annotations).parent.mkdir(parents=True, exist_ok=True)
    (folder / annotations).write_text(json.dumps(content))


def laid_out(folder, layout, **options):
    """A data set of 6 and 3 images; the splits have files of the same names."""
    annotations, images, splits = LAYOUTS[layout]
    for split, count in zip(splits, (6, 3), strict=True):
        names = [f"{number}.png" for number in range(count)]
        draw(folder, annotations.format(split=split), images.format(split=split), names, **options)
    return folder


def found_in(folder):
    return discover.splits(folder, discover.annotation_files(folder))


def new(place, *arguments):
    """Exit status, and all that the script said."""
    command = [sys.executable, PROJECT / "workflow/scripts/new.py", *arguments]
    done = subprocess.run(list(map(str, command)), cwd=place, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("layout", LAYOUTS)
def test_splits_are_found_in_each_layout(layout, tmp_path):
    found = found_in(laid_out(tmp_path, layout))
    annotations, images, splits = LAYOUTS[layout]
    for name, split, count in zip(("train", "val"), splits, (6, 3), strict=True):
        assert found[name].annotations == tmp_path / annotations.format(split=split)
        assert found[name].images == tmp_path / images.format(split=split)
        assert found[name].count == count
        assert found[name].objects == {"cell": count, "platelet": 0}
        assert found[name].size == (64, 48)
        assert found[name].object_side == pytest.approx(200**0.5)


def test_names_with_folders_and_files_of_other_tasks(tmp_path):
    draw(tmp_path, "train.json", "images", [f"a/{i}.png" for i in range(3)])
    draw(tmp_path, "val.json", "images", [f"b/{i}.png" for i in range(3)])
    (tmp_path / "captions_train.json").write_text((tmp_path / "train.json").read_text())
    (tmp_path / "train_settings.json").write_text("[1, 2]")
    assert found_in(tmp_path)["val"].images == tmp_path / "images"


def test_upright_images_do_not_change_the_size(tmp_path):
    draw(tmp_path, "train.json", "train", ["0.png", "1.png"])
    content = json.loads((tmp_path / "train.json").read_text())
    content["images"][0] |= {"width": 48, "height": 64}
    (tmp_path / "train.json").write_text(json.dumps(content))
    assert discover.Split(tmp_path / "train.json", tmp_path / "train").size == (64, 48)


@pytest.mark.parametrize("above", ["training", "valerie"])
def test_names_above_the_folder_tell_no_split(above, tmp_path):
    data = laid_out(tmp_path / above / "cells", "annotations beside the splits")
    shutil.copytree(data / "train", data / "old")  # sorted before "train" and "val"
    found = found_in(data)
    assert {name: split.images for name, split in found.items()} == {
        "train": data / "train",
        "val": data / "val",
    }


@pytest.mark.parametrize("begin", ["", "./", "{folder}/images/"], ids=["plain", "dot", "whole paths"])
def test_unusual_names_of_images(begin, tmp_path):
    begin = begin.format(folder=tmp_path)
    draw(tmp_path, "train.json", "images", [f"{begin}cells [1] {i}.png" for i in range(3)])
    draw(tmp_path, "val.json", "images", [f"{begin}cells [2] {i}.png" for i in range(3)])
    found = found_in(tmp_path)
    assert all(path.exists() for split in found.values() for path in split.files)


def test_the_written_file_is_an_experiment(tmp_path):
    """By real Snakemake: the plan has both teachers, and its arms have the same number of epochs."""
    data = laid_out(tmp_path / "my cells", "COCO 2017")
    (tmp_path / "config").symlink_to(PROJECT / "config")
    code, said = new(tmp_path, "cells", data, "--gpus", 0)
    assert code == 0, said
    assert "cell: 6 objects in train, 3 in val" in said
    assert "platelet: 0 objects in train, 0 in val" in said
    jobs = planned(tmp_path, tmp_path / "cells.yaml")
    assert jobs["take_trained"] == 3 and jobs["write_comparison"] == 1
    content = yaml.safe_load((tmp_path / "cells.yaml").read_text())
    assert content["dataset"]["scale"] == [64, 48]  # never enlarged
    code, said = new(tmp_path, "cells", data)
    assert code == 1 and "cells.yaml is there already" in said


def test_gpus_get_detectors_of_mmdet(tmp_path):
    data = laid_out(tmp_path / "data", "COCO 2017", size=(2000, 1000))
    code, said = new(tmp_path, "big", data, "--gpus", 4)
    assert code == 0, said
    content = yaml.safe_load((tmp_path / "big.yaml").read_text())
    experiment = load_with_files(content, "big.yaml", PROJECT)
    assert (experiment.compute.gpus, experiment.compute.threads) == (1, 8)  # whatever this machine has
    assert content["dataset"]["scale"] == [1333, 666]
    assert all(d.config.startswith("mmdet::") for d in experiment.detectors.values())


def test_bad_boxes_are_left_out_and_said(tmp_path):
    data = laid_out(tmp_path / "data", "COCO 2017")
    draw(data, "annotations/instances_val2017.json", "val2017", ["0.png"], box=(2, 2, 0, 10))
    code, said = new(tmp_path, "cells", data, "--gpus", 0)
    assert code == 0 and "1 boxes that are empty or outside their image" in said
    assert yaml.safe_load((tmp_path / "cells.yaml").read_text())["dataset"]["skip_bad_boxes"] is True


def test_a_name_may_look_like_a_number(tmp_path):
    code, said = new(tmp_path, "2024", laid_out(tmp_path / "data", "COCO 2017"), "--gpus", 0)
    assert code == 0, said
    assert yaml.safe_load((tmp_path / "2024.yaml").read_text())["experiment"] == "2024"


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
