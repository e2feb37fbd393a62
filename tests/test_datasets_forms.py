"""A random sound data set, in any form and with any dirt that has one meaning, gives the same objects."""

import json
import random
import tempfile
from pathlib import Path

import data_folders as make
import pytest
from data_folders import CLASSES, ROBOFLOW, Folder, known_objects, write_images, write_json
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

COUNTS = {"train": 8, "val": 5}
NAMES = {split: [f"{split} {number:02}.v{number}.png" for number in range(n)] for split, n in COUNTS.items()}
LAYOUTS = ("{split}/images", "images/{split}", "{split}")
some = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for split, names in NAMES.items():
        write_images(folder / split, names)
    return folder


def folder_with(images, layout):
    """A folder to write annotations in, with links to images."""
    folder = Folder(Path(tempfile.mkdtemp(dir=images)))
    for split, names in NAMES.items():
        place = folder.data / layout.format(split=split)
        place.mkdir(parents=True)
        for name in names:
            (place / name).symlink_to(images / split / name)
    return folder


def objects(seed):
    return {split: known_objects(names, seed + n) for n, (split, names) in enumerate(NAMES.items())}


def each(part, change):
    """Dirt that changes every item of one part of a COCO object."""

    def spoil(content, chance):
        for item in content[part]:
            change(item, chance)

    return spoil


def shift_ids(content, chance):
    shift = chance.choice([-1, 5, -1000, 2**70])
    for part in ("images", "annotations", "categories"):
        for item in content[part]:
            for key in item.keys() & {"id", "image_id", "category_id"}:
                item[key] += shift


def write_ids_as(kind):
    def spoil(content, chance):
        for part in ("images", "annotations", "categories"):
            for item in content[part]:
                item.update({key: kind(item[key]) for key in item.keys() & {"id", "image_id", "category_id"}})

    return spoil


def double_objects(content, chance):
    content["annotations"] += [dict(item) for item in content["annotations"] if chance.random() < 0.3]


def double_images(content, chance):
    for image in chance.sample(content["images"], 2):
        content["images"].append({**image, "id": image["id"] + 5000, "file_name": "./" + image["file_name"]})


def shuffle(content, chance):
    for part in content:
        chance.shuffle(content[part])


def misname(image, chance):
    forms = ["{}", "./{}", " {} ", "C:\\data\\{}", "/home/me/{}", "https://host/a/{}", "0a1b2c3d-{}"]
    image["file_name"] = chance.choice(forms).format(image["file_name"])


COCO_DIRT = {
    "objects twice": double_objects,
    "images twice": double_images,
    "ids moved": shift_ids,
    "ids as text": write_ids_as(str),
    "ids as floats": write_ids_as(lambda value: float(value) if len(str(value)) < 10 else value),
    "another order": shuffle,
    "names of images": each("images", misname),
    "sizes as text": each("images", lambda image, chance: image.update(width=str(image["width"]))),
    "no area": each("annotations", lambda item, chance: item.pop("area")),
    "iscrowd": each(
        "annotations", lambda item, chance: item.update(iscrowd=chance.choice([False, None, "0", 0.0]))
    ),
    "boxes as text": each(
        "annotations", lambda item, chance: item.update(bbox=[str(value) for value in item["bbox"]])
    ),
    "blanks in names": each("categories", lambda item, chance: item.update(name=f" {item['name']} ")),
}
SEEDS = st.integers(0, 2**32)


@some
@given(
    seed=SEEDS, layout=st.sampled_from(LAYOUTS), dirt=st.sets(st.sampled_from(sorted(COCO_DIRT)), max_size=5)
)
def test_coco(images, seed, layout, dirt):
    known, folder, chance = objects(seed), folder_with(images, layout), random.Random(seed)
    for split, own in known.items():
        content = make.coco(own)
        for kind in [kind for kind in COCO_DIRT if kind in dirt]:
            COCO_DIRT[kind](content, chance)
        write_json(folder.data / f"annotations/{split}.json", content)
    folder.imported()
    folder.check_splits(known)


@some
@given(seed=SEEDS, parent=st.sampled_from(["cells", None]), first=st.integers(0, 1), valid=st.booleans())
def test_roboflow(images, seed, parent, first, valid):
    known, folder = objects(seed), folder_with(images, "{split}")
    if valid:
        (folder.data / "val").rename(folder.data / "valid")
    for split, own in known.items():
        place = "valid" if valid and split == "val" else split
        write_json(folder.data / place / ROBOFLOW, make.coco(own, first=first, parent=parent))
    folder.imported()
    folder.check_splits(known)


YOLO_DIRT = {
    "confidence": lambda line: f"{line} 0.97",
    "classes as floats": lambda line: f"{float(line.split()[0])} {line.split(maxsplit=1)[1]}",
    "empty lines": lambda line: f"\n{line}\n\n",
    "twice": lambda line: f"{line}\n{line}",
    "blanks": lambda line: f"  {line.replace(' ', '   ')} \r",
    "tabs": lambda line: line.replace(" ", "\t"),
}
SETTINGS = {
    "relative": lambda layout: {split: layout.format(split=split) for split in COUNTS},
    "a folder that is not there": lambda layout: {
        split: "../" + layout.format(split=split) for split in COUNTS
    },
    "another machine": lambda layout: {
        split: "/content/data/" + layout.format(split=split) for split in COUNTS
    },
    "Windows": lambda layout: {
        split: "D:\\x\\" + layout.format(split=split).replace("/", "\\") for split in COUNTS
    },
    "path": lambda layout: {"path": "/datasets/x", **{split: layout.format(split=split) for split in COUNTS}},
    "lists": lambda layout: {split: [layout.format(split=split)] for split in COUNTS},
}


@some
@given(
    seed=SEEDS,
    layout=st.sampled_from(LAYOUTS[:2]),
    dirt=st.sets(st.sampled_from(sorted(YOLO_DIRT)), max_size=3),
    paths=st.sampled_from(sorted(SETTINGS)),
    mapping=st.booleans(),
)
def test_yolo(images, seed, layout, dirt, paths, mapping):
    known, folder = objects(seed), folder_with(images, layout)
    for split, own in known.items():
        place = folder.data / layout.format(split=split).replace("images", "labels")
        make.write_yolo(place, own)
        for path in place.iterdir():
            lines = path.read_text(encoding="utf-8").splitlines()
            for kind in [kind for kind in YOLO_DIRT if kind in dirt]:
                lines = [line for old in lines for line in YOLO_DIRT[kind](old).split("\n")]
                lines = [line for line in lines if line.strip() or kind == "empty lines"]
            path.write_text("\n".join(lines), encoding="utf-8")
    names = dict(enumerate(CLASSES)) if mapping else list(CLASSES)
    make.write_yaml(folder.data / "data.yaml", **SETTINGS[paths](layout), names=names)
    folder.imported()
    folder.check_splits(known, within=0.01)


def swap_corners(text):
    return text.replace("xmin", "swap").replace("xmax", "xmin").replace("swap", "xmax")


VOC_DIRT = {
    "corners in another order": swap_corners,
    "numbers with a point": lambda text: text.replace("</xmin>", ".0</xmin>"),
    "no sizes": lambda text: text.replace("<width>64</width>", "<width>0</width>"),
    "stale file names": lambda text: text.replace("<filename>", "<filename>C:\\old\\"),
    "blanks": lambda text: text.replace("<name>", "<name> ").replace("</name>", "\n</name>"),
}


@some
@given(
    seed=SEEDS,
    layout=st.sampled_from(LAYOUTS),
    dirt=st.sets(st.sampled_from(sorted(VOC_DIRT))),
    lists=st.booleans(),
)
def test_voc(images, seed, layout, dirt, lists):
    known, folder = objects(seed), folder_with(images, layout)
    for split, own in known.items():
        place = folder.data / ("Annotations" if lists else f"Annotations/{split}")
        make.write_voc(place, own)
        if lists:
            path = folder.data / f"ImageSets/Main/{split}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(name[:-4] for name in own), encoding="utf-8")
    for path in folder.data.rglob("*.xml"):
        text = path.read_text(encoding="utf-8")
        for kind in sorted(dirt):
            text = VOC_DIRT[kind](text)
        path.write_text(text, encoding="utf-8")
    folder.imported()
    folder.check_splits(known)


@some
@given(seed=SEEDS, extra=st.dictionaries(st.text(max_size=5), st.integers(), max_size=3))
def test_sound_coco_files_come_through_equal(images, seed, extra):
    known, folder = objects(seed), folder_with(images, "{split}")
    written = {}
    for split, own in known.items():
        content = make.coco(own, first=1) | {"info": {"description": "known"}}
        for item in content["annotations"]:
            item["attributes"] = extra
        write_json(folder.data / f"{split}.json", content)
        for image in content["images"]:
            image["file_name"] = f"{split}/{image['file_name']}"  # below the folder that is imported
        written[split] = content
    folder.imported(strict=True)
    for split, content in written.items():
        assert json.loads((folder.out / f"{split}.json").read_text(encoding="utf-8")) == content
