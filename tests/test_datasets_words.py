"""What an import says where people do not know what to do: which file, what is there, which key decides."""

import pytest
from data_folders import TRAIN, VAL, Folder, Pair, known_objects, names, write_images, write_yaml, write_yolo


@pytest.fixture
def pair(tmp_path):
    return Pair(tmp_path)


def test_classes_that_only_one_split_has_are_joined(pair):
    pair.val["categories"][0]["name"] = "Cell"
    text = pair.stopped(classes={"cell": ["cell", "Cell", "cel"], "plate": ["plate"]})
    assert text == "dataset.classes names cel; the classes are cell, plate, Cell"
    pair.imported(classes={"cell": ["cell", "Cell"], "plate": ["plate"]})
    pair.check_splits({"train": TRAIN, "val": VAL})


@pytest.fixture
def yolo(tmp_path):
    """Two splits of 20 and 6 images; the labels of training, by the names of images, in ``labels``."""
    folder = Folder(tmp_path)
    folder.known = {split: known_objects(names(split, count)) for split, count in (("train", 20), ("val", 6))}
    for split, own in folder.known.items():
        write_images(folder.data / split / "images", own)
        write_yolo(folder.data / split / "labels", own)
    write_yaml(folder.data / "data.yaml", train="train/images", val="val/images", names=["cell", "plate"])
    return folder


def test_yolo_class_numbers_without_a_name(yolo):
    with open(yolo.data / "train/labels/train_03.txt", "a", encoding="utf-8") as file:
        file.write("\n7 0.5 0.5 0.2 0.2\n-1 0.5 0.5 0.2 0.2\n0.5 0.5 0.5 0.2 0.2")
    text = yolo.stopped()
    assert "class numbers without a name (data.yaml: 2 names, for 0 to 1): 3" in text
    assert "(train/labels/train_03.txt: '7 0.5" in text
    yolo.imported(allowed_share=0.1)
    yolo.check_splits(yolo.known, within=0.01)


def test_yolo_classes_of_one_name_are_told_by_their_numbers(yolo):
    write_yaml(yolo.data / "data.yaml", names=["cell", "cell"])
    assert "two classes are called 'cell' and both have objects (ids 0, 1)" in yolo.stopped()


@pytest.mark.parametrize("text", ["names: [cell, plate\ntrain: a\n", "names:\n\t- cell\n", "a: \x00\n"])
def test_broken_yolo_settings_stop_unless_something_else_names_the_classes(yolo, text):
    (yolo.data / "data.yaml").write_text(text, encoding="utf-8")
    stopped = yolo.stopped()
    assert "data set: data.yaml is not YAML (" in stopped and "correct it" in stopped
    assert len(stopped.splitlines()) == 1 and "no data.yaml" not in stopped
    (yolo.data / "classes.txt").write_text("cell\nplate\n", encoding="utf-8")
    yolo.imported()
    yolo.check_splits(yolo.known, within=0.01)
    assert "not read" in yolo.text and "classes.txt" not in yolo.text


def test_a_broken_yaml_file_is_no_matter_for_coco(pair):
    (pair.data / "labels").mkdir(parents=True)
    (pair.data / "labels/a.txt").write_text("0 0.5 0.5 0.1 0.1", encoding="utf-8")
    (pair.data / "data.yaml").write_text("names: [", encoding="utf-8")
    pair.imported()
    assert "YAML" not in pair.text


def test_without_annotations_there_is_one_sentence(tmp_path):
    folder = Folder(tmp_path)
    write_images(folder.data, ["a.jpg"])
    assert folder.stopped() == (
        f"data set: {folder.data} has no annotations in the form of COCO (*.json), YOLO (labels/*.txt) or VOC"
        " (*.xml); found 1 .jpg"
    )


@pytest.mark.parametrize(("kept", "stops"), [(9, True), (10, False)])
def test_most_label_files_missing_stop(yolo, kept, stops):
    labels = sorted((yolo.data / "train/labels").iterdir())
    for label in labels[kept:]:
        label.unlink()
    without = {name: [] for name in sorted(yolo.known["train"])[kept:]}
    known = {**yolo.known, "train": yolo.known["train"] | without}
    if stops:
        text = yolo.stopped()
        assert f"{20 - kept} of 20 images have no label file (train/images/train_09.jpg, " in text
        assert "write empty label files" in text and "dataset.allowed_share to 0.55" in text
        yolo.imported(allowed_share=0.55)
        yolo.check_splits(known, within=0.01)
        for label in labels[kept:]:
            label.write_text("", encoding="utf-8")
    yolo.imported()
    yolo.check_splits(known, within=0.01)


def test_labels_that_fit_no_image_are_told(yolo):
    for label in sorted((yolo.data / "train/labels").iterdir())[5:]:
        label.rename(label.with_name(f"x{label.name}"))
    assert "15 of 20 images have no label file" in (text := yolo.stopped())
    assert "and 15 label files have no image" in text
