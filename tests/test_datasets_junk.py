"""Whatever stands in an annotation file: an import gives sound files, or stops with words."""

import copy
import json
import math
import random
import shutil
import tempfile
from pathlib import Path

import pytest
from data_folders import CLASSES, Folder, coco, known_objects, write_images, write_json, write_voc, write_yolo
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO

from mtpd.datasets.changes import ImportStopped

KNOWN = {
    split: known_objects([f"{split}{n}.png" for n in range(4)], seed=n)
    for n, split in enumerate(("train", "val"))
}
JUNK = [
    None,
    True,
    -1,
    0,
    2**70,
    1e300,
    math.nan,
    math.inf,
    "",
    " ",
    "x",
    "1",
    [],
    {},
    [[]],
    [None],
    {"a": 1},
    ["1", 2],
]
KEYS = [
    "id",
    "image_id",
    "category_id",
    "bbox",
    "area",
    "iscrowd",
    "segmentation",
    "file_name",
    "width",
    "name",
]
some = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("junk")
    for split, own in KNOWN.items():
        write_images(place / "images" / split, own)
    return place


def new_folder(place):
    folder = Folder(Path(tempfile.mkdtemp(dir=place)))
    shutil.copytree(place / "images", folder.data)
    return folder


def check(folder):
    try:
        folder.imported(allowed_share=1.0)
    except ImportStopped as stopped:
        assert all(stopped.stops)
        return
    for split in folder.report["splits"]:
        read = COCO(folder.out / f"{split}.json")
        sizes = {image["id"]: (image["width"], image["height"]) for image in read.dataset["images"]}
        assert set(sizes.values()) == {(64, 48)}
        for item in read.dataset["annotations"]:
            assert (
                item["category_id"] in read.cats and item["image_id"] in sizes and item["iscrowd"] in (0, 1)
            )
            assert len(item["bbox"]) == 4 and min(item["bbox"][2:]) > 0 and item["area"] > 0
            assert not item.get("segmentation") or read.annToMask(item).any()


@some
@given(seed=st.integers(0, 2**32), count=st.integers(1, 6))
def test_junk_in_coco(place, seed, count):
    folder, chance = new_folder(place), random.Random(seed)
    for split, own in KNOWN.items():
        content = copy.deepcopy(coco(own))
        for item in content["annotations"]:
            x, y, width, height = item["bbox"]
            item["segmentation"] = [[x, y, x + width, y, x + width, y + height]]
        for _ in range(count):
            items = content[chance.choice(list(content))]
            item = chance.choice(items)
            if chance.random() < 0.1:
                items.append(chance.choice(JUNK))
            elif isinstance(item, dict) and (keys := [key for key in KEYS if key in item]):
                item[chance.choice(keys)] = chance.choice(JUNK)
            if isinstance(item, dict) and isinstance(box := item.get("bbox"), list) and len(box) == 4:
                box[chance.randrange(4)] = chance.choice([1, *JUNK])
        write_json(folder.data / f"{split}.json", content)
    check(folder)


@some
@given(
    content=st.recursive(st.sampled_from(JUNK), st.lists, max_leaves=3),
    part=st.sampled_from([*"ab", *coco({})]),
)
def test_junk_in_place_of_a_part(place, content, part):
    folder = new_folder(place)
    for split, own in KNOWN.items():
        write_json(folder.data / f"{split}.json", coco(own) | {part: content})
    check(folder)


def spoilt(text, chance):
    """Some characters replaced, or the end cut off."""
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(text))
        text = (
            text[:at]
            + chance.choice(["nan", "\x00", "é", "<", ">", "-", "9999", " ", "\n", ""])
            + text[at + 1 :]
        )
    return text[: chance.choice([len(text), len(text) // 2])]


@some
@given(seed=st.integers(0, 2**32), form=st.sampled_from(["YOLO", "VOC", "data.yaml"]))
def test_spoilt_text(place, seed, form):
    folder, chance = new_folder(place), random.Random(seed)
    for split, own in KNOWN.items():
        if form == "VOC":
            write_voc(folder.data / split, own)
        else:
            write_yolo(folder.data / split, own)
    settings = f"train: ../train\nval: ../val\nnames: {json.dumps(CLASSES)}\n"
    (folder.data / "data.yaml").write_text(
        spoilt(settings, chance) if form == "data.yaml" else settings, encoding="utf-8"
    )
    files = sorted(path for path in folder.data.rglob("*") if path.suffix in (".xml", ".txt"))
    for path in chance.sample(files, 3) if form != "data.yaml" else ():
        path.write_text(spoilt(path.read_text(encoding="utf-8"), chance), encoding="utf-8")
    check(folder)
