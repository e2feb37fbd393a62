"""Splits: which file is of which, and a validation split from one set."""

import json
from pathlib import Path

import pytest
from data_folders import (
    CLASSES,
    TRAIN,
    VAL,
    Folder,
    Pair,
    coco,
    known_objects,
    names,
    write_images,
    write_json,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from mtpd.datasets import splitting
from mtpd.datasets.changes import Changes, ImportStopped
from mtpd.datasets.importing import import_dataset
from mtpd.datasets.tree import split_of


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("train/_annotations.coco.json", "train"),
        ("training/valid/a.json", "val"),
        ("annotations/instances_val2017.json", "val"),
        ("TestImages/a.json", "test"),
        ("data/trainval.json", None),
        ("train_test_split/a.json", None),
        ("constraint/latest.json", None),
    ],
)
def test_the_split_that_a_path_names(path, split):
    assert split_of(path) == split


def lettered(count):
    """Names without numbers."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    return [f"{a}{b}{c}.jpg" for a in letters for b in letters for c in letters][:count]


def sides(listed, fraction=0.2, seed=0):
    """The names on each side."""
    known = {name: [("cell", [1, 1, 9, 9])] for name in listed}
    parts = splitting.split(coco(known), fraction, seed, Changes("data set"))
    train, val = ({image["file_name"] for image in part["images"]} for part in parts)
    assert train and val and train | val == set(listed) and not train & val
    return train, val


# Names with numbers and without.
NAMES = st.sets(st.integers(0, 2000).map(lambda n: f"frame_{n}.jpg" if n % 2 else f"{n:b}b.jpg"), min_size=20)
FRACTIONS, SEEDS = st.floats(0.05, 0.95), st.integers(0, 2**32 - 1)


@settings(max_examples=30)
@given(NAMES, FRACTIONS, SEEDS)
def test_val_is_the_fraction_of_the_images(listed, fraction, seed):
    assert abs(len(sides(listed, fraction, seed)[1]) - fraction * len(listed)) <= 1


@settings(max_examples=30)
@given(NAMES, NAMES, FRACTIONS, SEEDS)
def test_added_images_move_hardly_any_other(listed, added, fraction, seed):
    """One image moves at most one other; many move no more than they are, all of them in one direction."""
    first = min(added - listed, default="new.jpg")
    for more in ({first}, added):
        _, before = sides(listed, fraction, seed)
        after = sides(listed | more, fraction, seed)[1] & listed
        assert before <= after or after <= before
        assert len(before ^ after) <= len(more)


def test_the_seed_decides_and_the_order_of_the_list_does_not():
    listed = lettered(1000)
    assert sides(listed)[1] == sides(listed[::-1])[1] != sides(listed, seed=1)[1]


@pytest.mark.parametrize("place", ["photos/", "a/b/", "train/images/"])
def test_a_folder_may_have_another_name(place):
    listed = [*lettered(60), *names("a", 40)]
    assert sides([place + name for name in listed])[1] == {place + name for name in sides(listed)[1]}


def test_folders_count_where_names_are_not_enough():
    """Of ten videos with frames of the same names, two are whole in val, whatever is above."""
    for above in ("", "x/"):
        listed = [f"{above}{video}/{frame:04}.jpg" for video in "abcdefghij" for frame in range(20)]
        assert len({name.split("/")[-2] for name in sides(listed)[1]}) == 2


def test_only_one_block_of_numbers_is_cut():
    listed = names("frame", 130, "{0}_{1:04}.jpg")
    train, val = ({int(name[6:10]) // 20 for name in side} for side in sides(listed))
    assert len(train & val) <= 1 and len(val) == 2


def test_copies_of_one_image_stay_together():
    listed = [
        f"{letter}{letter}_jpg.rf.{number}a.jpg" for letter in "abcdefghijklmnop" for number in range(5)
    ]
    train, val = sides(listed)
    assert not {name[:2] for name in train} & {name[:2] for name in val}


def test_equal_bytes_stay_together():
    content = coco(known_objects([f"{letter}.jpg" for letter in "abcdefghijklmnopqrstuvwx"]))
    for number, image in enumerate(content["images"]):
        image["_digest"] = str(number // 2)
    parts = splitting.split(content, 0.4, 0, Changes("data set"))
    train, val = ({image["_digest"] for image in part["images"]} for part in parts)
    assert train and val and not train & val


def test_both_sides_have_every_class_that_is_in_two_images():
    known = {name: [("cell", [1, 1, 9, 9])] for name in lettered(60)}
    for name in list(known)[10:12]:
        known[name] = [("plate", [1, 1, 9, 9])]
    for seed in range(20):
        for part in splitting.split(coco(known), 0.2, seed, Changes("data set")):
            assert {item["category_id"] for item in part["annotations"]} == {1, 2}


def test_one_image_cannot_be_divided():
    changes = Changes("data set")
    splitting.split(coco(known_objects(["a.jpg"])), 0.2, 0, changes)
    assert "1 images cannot be divided" in changes.stops[0]


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def test_test_stands_in_for_val(folder):
    known = folder.splits((("train", 6), ("test", 3)))
    folder.roboflow(known)
    folder.imported()
    folder.check_splits({"train": known["train"], "val": known["test"]})
    assert "no val split: test is used as val" in folder.text and "test" not in folder.report["splits"]


def test_images_of_test_that_train_has_are_left_out(folder):
    known = folder.splits((("train", 6), ("valid", 4), ("test", 3)))
    folder.roboflow(known)
    first = next(iter(known["test"]))
    copied = (folder.data / "train" / next(iter(known["train"]))).read_bytes()
    (folder.data / "test" / first).write_bytes(copied)
    folder.imported(allowed_share=0.5)
    del known["test"][first]
    folder.check_splits(known)
    assert "test: left out: images: that are also in train, because a score on training" in folder.text


def test_a_test_split_of_crowds_is_left_out(folder):
    """On such a split there is no AP."""
    known = folder.splits((("train", 6), ("valid", 4), ("test", 3)))
    folder.roboflow(known)
    path = folder.data / "test/_annotations.coco.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    for item in content["annotations"]:
        item["iscrowd"] = 1
    write_json(path, content)
    folder.imported()
    assert "test" not in folder.report["splits"]
    assert "the test split is left out: test: has no objects that can be used" in folder.text


def test_a_whole_set_beside_its_splits_is_not_read(folder):
    known = folder.splits((("train", 6), ("val", 4)))
    folder.roboflow(known)
    write_json(folder.data / "all.json", coco(known["train"] | known["val"]))
    folder.imported()
    folder.check_splits(known)
    assert "all.json: names no split: not read" in folder.text


def test_files_that_name_no_split_stop(folder):
    for number, name in enumerate(("first", "second")):
        known = known_objects(names(name, 4), seed=number)
        write_images(folder.data / name, known)
        write_json(folder.data / f"{name}.json", coco(known))
    text = folder.stopped()
    assert "first.json" in text and "second.json" in text and "in place of dataset.source" in text


def test_splits_that_are_named(tmp_path):
    pair = Pair(tmp_path)
    named = {}
    for split, content in (("train", pair.train), ("val", pair.val)):
        write_json(pair.data / f"{split} labels.json", content)
        named[split] = {
            "annotations": f"{pair.data}/{split} labels.json",
            "images": f"{pair.data}/{split}",
        }
    report = import_dataset(named, pair.out, pair.said.append)
    pair.check_splits({"train": TRAIN, "val": VAL})
    val = json.loads((pair.out / "val.json").read_text(encoding="utf-8"))
    assert val == pair.val  # with the same names of images
    assert json.loads((pair.out / "import.json").read_text(encoding="utf-8")) == report
    assert list(report["splits"]["train"]["classes"]) == list(CLASSES)
    named["val"] = {"annotations": "nowhere.json", "images": "nothing"}
    with pytest.raises(ImportStopped) as stopped:
        import_dataset(named, pair.out)
    assert len(stopped.value.stops) == 2 and "dataset.val.annotations: nowhere.json" in stopped.value.stops[0]


def test_all_stops_come_at_once(tmp_path):
    pair = Pair(tmp_path)
    pair.train["categories"][1]["name"] = "cell"
    pair.val["images"] = []
    text = pair.stopped()
    assert "train: two classes are called 'cell'" in text and "lists no images" in text


def test_an_import_that_was_cut_off_is_none(tmp_path, monkeypatch):
    """Whoever finds the report finds all the rest."""
    pair = Pair(tmp_path)
    usual = Path.replace

    def cut_off(path, target):
        if Path(target).name == "val.json":
            raise KeyboardInterrupt
        return usual(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", cut_off)
        with pytest.raises(KeyboardInterrupt):
            pair.imported()
    assert not (pair.out / "import.json").exists()
    pair.imported()
    assert (pair.out / "val.json").exists() and (pair.out / "import.json").exists()
