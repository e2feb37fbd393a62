"""YOLO and VOC folders as people lay them out: each kind gives the objects that its generator knows."""

import json

import data_folders as make
import pytest
from data_folders import Folder, known_objects, names, same_objects, write_images


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def write_yolo_splits(folder, known, images="images"):
    for split, own in known.items():
        write_images(folder.data / split / images, own)
        make.write_yolo(folder.data / split / "labels", own)


def test_13_yolo_with_paths_of_another_folder(folder):
    known = folder.splits()
    empty, without = list(known["train"])[:2]
    known["train"][empty] = known["train"][without] = []
    write_yolo_splits(folder, known)
    (folder.data / "train/labels" / f"{empty[:-4]}.txt").write_text("", encoding="utf-8")
    paths = {"train": "../train/images", "val": "../valid/images", "test": "../test/images"}
    make.write_yaml(folder.data / "data.yaml", **paths, names=["cell", "plate"], nc=2)
    folder.imported()
    assert f"1 images have no label file, so no objects (train/images/{without})" in folder.text
    folder.check_splits(known, within=0.01)
    assert folder.classes() == ["cell", "plate"]


def test_14_yolo_with_paths_of_another_machine(folder):
    known = folder.splits((("train", 6), ("valid", 4)))
    write_yolo_splits(folder, known)
    make.write_voc(folder.data / "Annotations", known["train"])
    text = 'train: "C:\\Users\\me\\train\\images"\nval: C:\\Users\\me\\valid\\images\nnames: [cell, plate]\n'
    (folder.data / "data.yaml").write_text(text, encoding="utf-8")
    folder.imported()
    folder.check_splits(known, within=0.01)
    assert "took the YOLO annotations; there are VOC annotations too" in folder.text


def test_15_yolo_with_dots_and_blanks_in_names_and_boxes_over_the_border(folder):
    form = "2025-04-28 12_21_{1:02} {0}_20.25.png"
    known = {split: known_objects(names(split, 4, form), n) for n, split in enumerate(("train", "val"))}
    write_yolo_splits(folder, known, images="image")
    first = next(iter(known["train"]))
    known["train"][first].append(("cell", [50, 10, 14, 10]))
    with open(folder.data / "train/labels" / f"{first[:-4]}.txt", "a", encoding="utf-8") as file:
        file.write("\n" + make.yolo_line(0, [50, 10, 15.5, 10]) + "\n")
    make.write_yaml(
        folder.data / "data.yaml", train="train/image", val="val/image", names={0: "cell", 1: "plate"}
    )
    folder.imported()
    folder.check_splits(known, within=0.01)
    assert "boxes over the border by up to 2 pixels, clipped: 1" in folder.text


def test_16_yolo_without_names(folder):
    known = folder.splits(classes=("class-0", "class-1"))
    for split, own in known.items():
        write_images(folder.data / split / "images", own)
        make.write_yolo(folder.data / split / "labels", own, ("class-0", "class-1"))
    folder.imported()
    folder.check_splits(known, within=0.01)
    assert "YOLO classes have no names (no data.yaml): called class-0, class-1" in folder.text


def test_17_voc_with_one_set_and_a_damaged_image(folder):
    known = known_objects([f"photo-{chr(97 + number)}.jpg" for number in range(24)])
    write_images(folder.data / "images", known)
    hard = next(iter(known))
    make.write_voc(folder.data / "annots", known, difficult={(hard, 0)})
    cut = list(known)[5]
    content = (folder.data / "images" / cut).read_bytes()
    (folder.data / "images" / cut).write_bytes(content[:200])
    del known[cut]
    write_images(folder.data / "images", ["nobody.jpg"], seed=7)
    folder.imported()
    assert "1 images have no XML file: not read (images/nobody.jpg)" in folder.text
    assert same_objects(folder.whole(), known)
    assert "that cannot be trained with: 1" in folder.text and "1 difficult objects" in folder.text
    everything = [
        json.loads((folder.out / f"{split}.json").read_text(encoding="utf-8")) for split in ("train", "val")
    ]
    assert sum(item["iscrowd"] for content in everything for item in content["annotations"]) == 1


def test_18_voc_with_lists(folder):
    known = {split: known_objects(names(split, 4), n) for n, split in enumerate(("train", "val"))}
    known["val"][next(iter(known["val"]))] = []
    for split, own in known.items():
        write_images(folder.data / "JPEGImages", own, seed=len(split))
        make.write_voc(folder.data / "Annotations", own)
        path = folder.data / "ImageSets/Main" / f"{split}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(name[:-4] for name in own), encoding="utf-8")
    folder.imported()
    folder.check_splits(known)


def test_yolo_without_images_stops(folder):
    make.write_yolo(folder.data / "labels", known_objects(names("a", 4)))
    text = folder.stopped()
    assert "4 of 4 images are missing" in text and "no image is there" in text


def test_yolo_settings_in_another_folder_than_the_images(folder):
    known = {split: known_objects(names(split, 4), n) for n, split in enumerate(("train", "val"))}
    place, folder.data = folder.data, folder.data.parent / "pictures"
    write_yolo_splits(folder, known)
    make.write_yaml(place / "a.yaml", path=str(folder.data), train="train/images", val="val/images")
    (place / "classes.txt").write_text("cell\nplate\n", encoding="utf-8")
    folder.data = place
    folder.imported()
    folder.check_splits(known, within=0.01)


def test_yolo_with_polygons_keeps_them_as_masks(folder):
    known = folder.splits((("train", 6), ("valid", 4)))
    write_yolo_splits(folder, known)
    path = folder.data / "train/labels" / f"{next(iter(known['train']))[:-4]}.txt"
    path.write_text("1 0.25 0.25 0.5 0.25 0.5 0.5\n0 1 2 nonsense\n", encoding="utf-8")
    known["train"][next(iter(known["train"]))] = [("plate", [16, 12, 16, 12])]
    make.write_yaml(folder.data / "data.yaml", names=["cell", "plate"])
    folder.imported(allowed_share=0.2)
    folder.check_splits(known, within=0.01)
    content = json.loads((folder.out / "train.json").read_text(encoding="utf-8"))
    masks = [item for item in content["annotations"] if item.get("segmentation")]
    assert [item["segmentation"] for item in masks] == [[[16, 12, 32, 12, 32, 24]]]
    assert masks[0]["area"] == 96
    assert "lines that are neither a box nor a polygon: 1" in folder.text


@pytest.mark.parametrize("meaning", ["pixels", "corners"])
def test_yolo_lines_of_another_meaning_stop(folder, meaning):
    known = folder.splits((("train", 6), ("valid", 4)))
    for split, own in known.items():
        write_images(folder.data / split / "images", own)
        (folder.data / split / "labels").mkdir()
        for name, objects in own.items():
            boxes = [box for _, box in objects]
            if meaning == "pixels":
                lines = [f"0 {x + w / 2} {y + h / 2} {w} {h}" for x, y, w, h in boxes]
            else:
                lines = [f"0 {x / 64} {y / 48} {(x + w) / 64} {(y + h) / 48}" for x, y, w, h in boxes]
            (folder.data / split / "labels" / f"{name[:-4]}.txt").write_text(
                "\n".join(lines), encoding="utf-8"
            )
    expected = {
        "pixels": "cx cy width height (centres) in pixels",
        "corners": "x1 y1 x2 y2 (corners) as fractions",
    }
    assert expected[meaning] in folder.stopped()


def test_voc_boxes_that_count_from_0(folder):
    known = {split: known_objects(names(split, 6), n) for n, split in enumerate(("train", "val"))}
    for split, own in known.items():
        for objects in own.values():
            objects[0] = (objects[0][0], [0, 0, 20, 15])
        write_images(folder.data / split, own)
        shifted = {
            name: [(label, [x - 1, y - 1, w + 1, h + 1]) for label, (x, y, w, h) in all_]
            for name, all_ in own.items()
        }
        make.write_voc(folder.data / split, shifted)
    folder.imported()
    folder.check_splits(known)
    assert "VOC boxes count from 0 here" in folder.text


def test_yolo_settings_that_name_folders_in_other_words(folder):
    known = folder.splits((("train", 6), ("valid", 4)))
    write_yolo_splits(folder, known)
    paths = {"train": "../train/images", "val": "../val/images", "test": "../test/images"}
    make.write_yaml(folder.data / "data.yaml", **paths, names=["cell", "plate"])
    folder.imported()
    folder.check_splits(known, within=0.01)
    assert "data.yaml: val: ['../val/images']: taken by the names of folders" in folder.text
    assert "data.yaml: test: ../test/images is not there" in folder.text


@pytest.mark.parametrize("form", ["YOLO", "VOC"])
def test_splits_that_only_the_labels_name(folder, form):
    known = {split: known_objects(names(split, 4), n) for n, split in enumerate(("train", "val"))}
    write = {"YOLO": make.write_yolo, "VOC": make.write_voc}[form]
    for split, own in known.items():
        write_images(folder.data / "images", own, seed=len(split))
        write(folder.data / "labels" / split, own)
    (folder.data / "classes.txt").write_text("cell\nplate\n", encoding="utf-8")
    folder.imported()
    folder.check_splits(known, within=0.01)


def test_yolo_settings_with_one_folder_for_train_and_val(folder):
    known = known_objects([f"photo-{chr(97 + number)}.jpg" for number in range(24)])
    write_yolo_splits(folder, {"train": known})
    make.write_yaml(
        folder.data / "data.yaml", train="train/images", val="train/images", names=["cell", "plate"]
    )
    folder.imported()
    assert same_objects(folder.whole(), known, within=0.01)
    assert "data.yaml: train and val are the same images: taken as one set" in folder.text


def test_voc_boxes_of_one_pixel_across_have_no_area(folder):
    known = {split: known_objects(names(split, 6), n) for n, split in enumerate(("train", "val"))}
    for split, own in known.items():
        write_images(folder.data / split, own)
        make.write_voc(folder.data / split, own)
    first = next(iter(known["train"]))
    make.write_voc(folder.data / "train", {first: [*known["train"][first], ("cell", [10, 10, 1, 8])]})
    folder.imported(allowed_share=0.2)
    folder.check_splits(known)
    assert "boxes without area: 1" in folder.text


def test_a_line_that_is_no_object_loses_no_other_line(folder):
    """Like a header in the first line of a label file."""
    known = folder.splits((("train", 6), ("valid", 4)))
    write_yolo_splits(folder, known)
    make.write_yaml(
        folder.data / "data.yaml", train="train/images", val="valid/images", names=["cell", "plate"]
    )
    label = next(path for path in sorted((folder.data / "train/labels").iterdir()) if path.stat().st_size)
    text = label.read_text(encoding="utf-8")
    label.write_text(f"class x y w h\n{text}", encoding="utf-8")
    folder.imported(allowed_share=0.2)
    folder.check_splits(known, within=0.01)
    assert "lines that are neither a box nor a polygon: 1" in folder.text
    assert "no label file" not in folder.text
