"""Small data sets with known objects, written in the forms that people have them in."""

import json
import random
from xml.etree import ElementTree

import cv2
import numpy as np
import yaml

WIDTH, HEIGHT = 64, 48
CLASSES = ("cell", "plate")


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


def write_yaml(path, **content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content), encoding="utf-8")


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
