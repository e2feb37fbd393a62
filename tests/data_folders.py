"""Small data sets with known objects, in the forms that people have them in, and their import."""

import json
import os
import random
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
import yaml

from mtpd.datasets.changes import ImportStopped
from mtpd.datasets.importing import import_dataset

WIDTH, HEIGHT = 64, 48
CLASSES = ("cell", "plate")
ROBOFLOW = "_annotations.coco.json"


def known_objects(names, seed=0, classes=CLASSES, most=3):
    """Objects (class, box) of each image; every image has one at least, and every class has one."""
    chance = random.Random(seed)
    known = {}
    for number, name in enumerate(names):
        boxes = [_box(chance) for _ in range(chance.randint(1, most))]
        known[name] = [(classes[(number + n) % len(classes)], box) for n, box in enumerate(boxes)]
    return known


def _box(chance):
    x, y = chance.randint(1, WIDTH - 30), chance.randint(1, HEIGHT - 24)
    return [x, y, chance.randint(6, 28), chance.randint(6, 22)]


def write_images(folder, names, seed=0, size=(WIDTH, HEIGHT)):
    """Images whose bytes differ."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng([seed, *"/".join(folder.parts[-2:]).encode()])
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        image = pixels.integers(0, 255, (*size[::-1], 3), dtype=np.uint8)
        assert cv2.imwrite(str(folder / name), image)


def coco(known, classes=CLASSES, first=1, parent=None):
    """A COCO object; ``first`` is the first id; ``parent`` is Roboflow's category 0."""
    names = [*([parent] if parent else []), *classes]
    categories = [
        {"id": first + n, "name": name, "supercategory": parent or "none"} for n, name in enumerate(names)
    ]
    if parent:
        categories[0]["supercategory"] = "none"
    ids = {category["name"]: category["id"] for category in categories}
    images, objects = [], []
    for number, (name, own) in enumerate(known.items()):
        images.append({"id": first + number, "file_name": name, "width": WIDTH, "height": HEIGHT})
        for label, box in own:
            one = {
                "id": first + len(objects),
                "image_id": first + number,
                "category_id": ids[label],
                "bbox": box,
            }
            objects.append({**one, "area": box[2] * box[3], "iscrowd": 0})
    return {"images": images, "annotations": objects, "categories": categories}


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def write_yolo(folder, known, classes=CLASSES):
    """Label files; none for an image without objects."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, own in known.items():
        lines = [yolo_line(classes.index(label), box) for label, box in own]
        if lines:
            path = folder / name
            path.with_name(path.stem + ".txt").write_text("\n".join(lines), encoding="utf-8")


def yolo_line(label, box):
    x, y, width, height = box
    numbers = [(x + width / 2) / WIDTH, (y + height / 2) / HEIGHT, width / WIDTH, height / HEIGHT]
    return f"{label} " + " ".join(f"{number:.6f}" for number in numbers)


def write_voc(folder, known, difficult=()):
    """XML files; corners count from 1, and the last pixel belongs to the box."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, own in known.items():
        root = ElementTree.Element("annotation")
        ElementTree.SubElement(root, "filename").text = name
        size = ElementTree.SubElement(root, "size")
        for side, length in (("width", WIDTH), ("height", HEIGHT)):
            ElementTree.SubElement(size, side).text = str(length)
        for number, (label, (x, y, width, height)) in enumerate(own):
            item = ElementTree.SubElement(root, "object")
            ElementTree.SubElement(item, "name").text = label
            ElementTree.SubElement(item, "difficult").text = str(int((name, number) in difficult))
            box = ElementTree.SubElement(item, "bndbox")
            corners = {"xmin": x + 1, "ymin": y + 1, "xmax": x + width, "ymax": y + height}
            for key, value in corners.items():
                ElementTree.SubElement(box, key).text = str(value)
        path = folder / name
        ElementTree.ElementTree(root).write(path.with_name(path.stem + ".xml"))


def write_yaml(file, **content):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(content), encoding="utf-8")


def imported(folder, split):
    """Objects (class, box) of each image in a file of an import, by the image's name without folders."""
    content = json.loads((folder / f"{split}.json").read_text(encoding="utf-8"))
    names = {category["id"]: category["name"] for category in content["categories"]}
    found = {image["id"]: [] for image in content["images"]}
    for item in content["annotations"]:
        found[item["image_id"]].append((names[item["category_id"]], item["bbox"]))
    return {image["file_name"].rpartition("/")[2]: found[image["id"]] for image in content["images"]}


def same_objects(found, known, within=0.0):
    """Whether both have the same objects in the same images, whatever their order."""
    return found.keys() == known.keys() and all(
        len(found[name]) == len(known[name])
        and all(
            one == other and np.allclose(a, b, atol=within, rtol=0)
            for (one, a), (other, b) in zip(sorted(found[name]), sorted(known[name]), strict=True)
        )
        for name in known
    )


def names(prefix, count, form="{}_{:02}.jpg"):
    return [form.format(prefix, number) for number in range(count)]


def roboflow_names(prefix, count):
    return names(prefix, count, "{0}{1:02}_jpg.rf.0123abcd{1:02}.jpg")


class Folder:
    """A data folder that is being made, and its import."""

    def __init__(self, place):
        self.data, self.out, self.said = place / "data", place / "out", []

    def splits(self, counts=(("train", 6), ("valid", 4), ("test", 3)), **options):
        """Objects of each split, each with its own names."""
        return {split: known_objects(roboflow_names(split, n), n, **options) for split, n in counts}

    def roboflow(self, known, json_name=ROBOFLOW, **options):
        for split, own in known.items():
            write_images(self.data / split, own)
            write_json(self.data / split / json_name, coco(own, first=0, **options))

    def imported(self, **settings):
        self.report = import_dataset({"source": str(self.data), **settings}, self.out, self.said.append)
        for name in self.report["splits"]:
            content = json.loads((self.out / f"{name}.json").read_text(encoding="utf-8"))
            assert all((self.data / image["file_name"]).is_file() for image in content["images"])
        return self

    def stopped(self, **settings):
        with pytest.raises(ImportStopped) as stopped:
            self.imported(**settings)
        assert not self.out.exists() or not list(self.out.iterdir())
        return str(stopped.value)

    def objects(self, split):
        return imported(self.out, split)

    def whole(self):
        """Objects of train and val together, of a set that was divided."""
        train, val = self.objects("train"), self.objects("val")
        assert train and val and not train.keys() & val.keys()
        return train | val

    @property
    def text(self):
        return "\n".join(self.said)

    def classes(self, split="train"):
        return list(self.report["splits"][split]["classes"])

    def check_splits(self, known, within=0.0):
        for split, own in known.items():
            assert same_objects(self.objects({"valid": "val"}.get(split, split)), own, within)


TRAIN = known_objects(names("train", 20, "{0}-{1:02}.png"), seed=1)
VAL = known_objects(names("val", 6, "{0}-{1:02}.png"), seed=2)


class Pair(Folder):
    """Two sound splits, to be spoilt by a test, with the images that they list."""

    def __init__(self, place):
        super().__init__(place)
        write_images(self.data / "train", TRAIN)
        write_images(self.data / "val", VAL)
        self.train, self.val = coco(TRAIN), coco(VAL)

    def imported(self, **settings):
        write_json(self.data / "train.json", self.train)
        write_json(self.data / "val.json", self.val)
        return super().imported(**settings)

    def content(self, split="train"):
        """With names of images as in the folder of the split."""
        content = json.loads((self.out / f"{split}.json").read_text(encoding="utf-8"))
        for image in content["images"]:
            image["file_name"] = os.path.relpath(image["file_name"], split)
        return content

    @property
    def sound(self):
        return coco(TRAIN)
