"""Listed images: which file a name means, sizes, and images that are listed twice."""

import os
import unicodedata
from dataclasses import replace

import pytest
from data_folders import TRAIN, VAL, Pair, write_images

from mtpd.datasets import images


@pytest.fixture
def pair(tmp_path):
    return Pair(tmp_path)


NAMES = {
    "backslashes": "images\\train-00.png",
    "another folder": "./train-00.png",
    "escapes": "train%2D00.png",
    "an address": "https://host/data/upload/train-00.png?x=1",
    "prefix of an exporter": "upload/1a2b3c4d-train-00.png",
    "another machine": "C:\\Users\\me\\data\\train\\train-00.png",
    "absolute": "/home/me/data/train/train-00.png",
    "blank at the end": "train-00.png ",
    "case": "Train-00.PNG",
    "another suffix": "train-00.jpg",
}


@pytest.mark.parametrize("kind", NAMES)
def test_names_of_images(pair, kind):
    pair.train["images"][0]["file_name"] = NAMES[kind]
    pair.imported()
    assert pair.content() == pair.sound
    assert f"names of images: 1 ({NAMES[kind]!r} -> 'train/train-00.png')" in pair.text


def test_names_in_another_normal_form(pair):
    os.rename(
        pair.data / "train/train-00.png", pair.data / "train" / unicodedata.normalize("NFD", "zählen.png")
    )
    pair.train["images"][0]["file_name"] = unicodedata.normalize("NFC", "zählen.png")
    pair.imported()
    assert pair.content()["images"][0]["file_name"] == unicodedata.normalize("NFD", "zählen.png")


def test_a_name_that_fits_two_files_is_missing(pair):
    for folder in ("a", "b"):
        write_images(pair.data / folder, ["Other.png"])
    pair.train["images"][0]["file_name"] = "other.png"
    pair.imported()
    assert pair.content()["images"] == pair.sound["images"][1:]
    assert "images: missing: 1" in pair.text


def test_a_missing_image_names_the_nearest_file(pair):
    pair.train["images"][0]["file_name"] = "train-0.png"
    (pair.data / "train/train-00.png").unlink()
    pair.imported()
    assert "left out: images: missing: 1 ('train-0.png', nearest file: 'train/train-" in pair.text


@pytest.mark.parametrize("second", ["train-00.png", "./train-00.png", "link.png", "copy.png"])
def test_an_image_that_is_listed_twice(pair, second):
    (pair.data / "train/link.png").symlink_to("train-00.png")
    (pair.data / "train/copy.png").write_bytes((pair.data / "train/train-00.png").read_bytes())
    first = pair.train["images"][0]
    pair.train["images"].append({**first, "id": 99, "file_name": second})
    own = [item for item in pair.train["annotations"] if item["image_id"] == first["id"]]
    if second.endswith("train-00.png"):  # each entry has some of the objects
        own[-1]["image_id"] = 99
    else:
        pair.train["annotations"] += [{**item, "id": item["id"] + 500, "image_id": 99} for item in own]
    pair.imported()
    assert pair.content() == pair.sound


def test_an_image_that_is_listed_twice_with_other_objects_stops(pair):
    first = pair.train["images"][0]
    pair.train["images"].append({**first, "id": 99})
    item = pair.train["annotations"][0]
    x, y, width, height = item["bbox"]
    pair.train["annotations"].append({**item, "id": 500, "image_id": 99, "bbox": [x + 0.5, y, width, height]})
    assert "one image file is listed twice with different objects" in pair.stopped()


def test_missing_images_stop_if_they_are_most(pair):
    for name in list(TRAIN)[:15]:
        (pair.data / "train" / name).unlink()
    text = pair.stopped()
    assert "15 of 20 images are missing ('train-00.png'" in text and f"looked for them in {pair.data}" in text


@pytest.mark.parametrize("count", [1, 20])
def test_sizes_that_differ(pair, count):
    for image in pair.train["images"][:count]:
        image["width"], image["height"] = image["height"], image["width"]
    if count == 20:
        assert "width and height are exchanged" in pair.stopped()
    else:
        pair.imported()
        assert pair.content()["images"] == pair.sound["images"][1:]
        assert "of another size than listed: 1" in pair.text


def test_sizes_that_are_missing_or_text(pair):
    pair.train["images"][0] |= {"width": "64", "height": 48.0}
    del pair.train["images"][1]["width"], pair.train["images"][1]["height"]
    pair.imported()
    assert pair.content()["images"] == [*pair.sound["images"]]


def test_images_in_both_splits(pair):
    for name in list(VAL)[:3]:
        (pair.data / "val" / name).write_bytes((pair.data / "train/train-00.png").read_bytes())
    text = pair.stopped()
    assert "3 of 6 images cannot be used" in text and "also in train, because a score on training" in text


def test_equal_images_with_other_objects_stay(pair):
    """People label the same photograph twice; which of both is right nobody knows."""
    (pair.data / "train/train-01.png").write_bytes((pair.data / "train/train-00.png").read_bytes())
    pair.imported(strict=True)
    assert pair.content() == pair.sound
    assert "1 images have the bytes of another one, but other objects: kept" in pair.text


def test_an_image_that_is_listed_twice_with_fewer_objects(pair):
    first, own = pair.train["images"][0], pair.train["annotations"][0]
    pair.train["annotations"][1] |= {"image_id": 1, "bbox": [own["bbox"][0] + 0.5, *own["bbox"][1:]]}
    pair.train["images"].append({**first, "id": 99})
    expected = pair.train["annotations"][:]
    pair.train["annotations"] = [*expected, {**own, "id": 500, "image_id": 99}]
    pair.imported()
    assert pair.content()["annotations"] == expected


def test_folders_that_are_links(pair):
    for split in ("train", "val"):
        os.rename(pair.data / split, pair.data.parent / split)
        (pair.data / split).symlink_to(pair.data.parent / split)
    (pair.data.parent / "train/above").symlink_to(pair.data)
    pair.imported(strict=True)
    assert pair.content() == pair.sound


def test_hidden_files_and_runs_of_a_trainer_are_not_read(pair):
    for folder in ("runs/detect/train", "__MACOSX", ".cache"):
        write_images(pair.data / folder, list(TRAIN)[:2])
    (pair.data / "train/._train-00.png").write_bytes(b"Mac")
    (pair.data / ".DS_Store").write_bytes(b"Mac")
    pair.imported(strict=True)
    assert pair.content() == pair.sound


def test_images_that_are_not_opened_have_their_listed_sizes(pair, monkeypatch):
    look = images.look

    def unopened(paths, **options):
        return {path: replace(found, size=None) for path, found in look(paths, "all", print).items()}

    monkeypatch.setattr(images, "look", unopened)
    pair.imported(decode="none")
    assert pair.content() == pair.sound


def test_folders_whose_words_do_not_mean_a_split(pair):
    os.rename(pair.data / "val", pair.data / "test")
    os.rename(pair.data / "train", pair.data / "validation images")
    pair.imported()
    content = pair.content()
    assert {os.path.dirname(image["file_name"]) for image in content["images"]} == {"../validation images"}
    assert content["annotations"] == pair.sound["annotations"]
    pair.check_splits({"val": VAL})


def test_sizes_that_nothing_tells_when_no_image_is_opened(pair):
    for image in pair.train["images"]:
        del image["width"], image["height"]
    said = pair.stopped(decode="none")
    assert "whose size is not listed, while dataset.decode (none) opens no image: 20" in said
    assert {one["file_name"] for one in pair.imported(decode="sample").content()["images"]} == set(TRAIN)


@pytest.mark.parametrize("decode", ["all", "sample", "none"])
def test_what_is_found_by_looking(pair, decode):
    """The end of a file is read for a sample, too."""
    whole = (pair.data / "train/train-00.png").read_bytes()
    (pair.data / "train/train-00.png").write_bytes(whole[:-30])
    pair.imported(decode=decode)
    assert ("train-00.png" in pair.objects("train")) == (decode == "none")
