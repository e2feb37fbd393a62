"""Pictures of an imported data set."""

import cv2
import numpy as np
import pytest
from PIL import Image

from mtpd.datasets import pictures

NAMES = ("cell", "plate", "老鼠", "$x$ with a name that is much too long for any picture")


@pytest.fixture
def content(tmp_path):
    """Thirty grey images; the last class is in one of them."""
    images, objects = [], []
    for number in range(30):
        name = f"{'long' * 20}{number}.png" if number == 29 else f"{number}.png"
        cv2.imwrite(str(tmp_path / name), np.full((40, 80), 128, np.uint8))
        images.append({"id": number, "file_name": name, "width": 80, "height": 40})
        objects.append({"image_id": number, "category_id": number % 3, "bbox": [20, 10, 40, 20]})
    objects.append({"image_id": 29, "category_id": 3, "bbox": [0, 0, 10, 10]})
    objects += [{"image_id": 0, "category_id": 0, "bbox": [0.5, 0, 5, 9]}] * 20
    categories = [{"id": number, "name": name} for number, name in enumerate(NAMES)]
    return {"images": images, "annotations": objects, "categories": categories}


def test_a_sheet_has_the_rare_class_and_each_image_once(content):
    chosen = [image["id"] for image in pictures._chosen(content)]
    assert len(chosen) == len(set(chosen)) == 12
    assert 29 in chosen
    assert {number % 3 for number in chosen} == {0, 1, 2}


def test_boxes_are_drawn_around_their_objects(content, tmp_path):
    """A single image of 80 x 40 is drawn four times as large, below its name."""
    content["images"], content["annotations"] = content["images"][1:2], content["annotations"][1:2]
    pictures.sheet(content, tmp_path, tmp_path / "out/sheet.png")
    sheet = np.asarray(Image.open(tmp_path / "out/sheet.png"))
    assert sheet.shape == (pictures.GAP * 2 + pictures.TITLE + 160, pictures.GAP * 2 + 320, 3)
    image = sheet[pictures.GAP + pictures.TITLE :, pictures.GAP :][:160, :320]
    colour = tuple(int(pictures.COLOURS[1][n : n + 2], 16) for n in (1, 3, 5))
    rows, columns = np.nonzero((image == colour).all(axis=2))
    assert rows.max() == 30 * 4 and (columns.min(), columns.max()) == (20 * 4, 60 * 4)
    assert (image[100, 150] == 128).all()
    lowest = np.nonzero((image[:, 150] == colour).all(axis=1))[0]
    assert {40, 41, 119, 120} <= set(lowest)


def test_the_same_data_give_the_same_sheet(content, tmp_path):
    for name in ("a.jpg", "b.jpg"):
        pictures.sheet(content, tmp_path, tmp_path / name)
    assert (tmp_path / "a.jpg").read_bytes() == (tmp_path / "b.jpg").read_bytes()
    assert Image.open(tmp_path / "a.jpg").format == "JPEG"


def test_images_without_objects_and_strips_are_drawn(content, tmp_path):
    cv2.imwrite(str(tmp_path / "strip.png"), np.zeros((1, 4000), np.uint8))
    content["images"] = [{"id": 7, "file_name": "strip.png", "width": 4000, "height": 1}]
    content["annotations"] = []
    pictures.sheet(content, tmp_path, tmp_path / "sheet.png")
    assert Image.open(tmp_path / "sheet.png").height == 2 * pictures.GAP + pictures.TITLE + 1


def test_counts(content):
    found = pictures.count(content)
    assert found.objects == {NAMES[0]: 30, NAMES[1]: 10, NAMES[2]: 10, NAMES[3]: 1}
    assert found.images == {(80, 40): 30}
    assert len(found.sides) == 51 and found.sides[0] == pytest.approx(800**0.5)


def test_counts_are_plotted(content, tmp_path):
    counts = pictures.count(content)
    none = pictures.Counts(dict.fromkeys(NAMES, 0), np.zeros(0, np.float32), {})
    for name in ("a.png", "b.png"):
        pictures.plot({"train": counts, "val": counts, "test": none}, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert Image.open(tmp_path / "a.png").width == 1210


def test_the_plot_of_many_classes_has_the_frequent_ones(tmp_path, monkeypatch):
    counts = pictures.Counts({f"c{n}": n for n in range(100)}, np.ones(9, np.float32), {(8, 8): 4})
    shown = []
    usual = pictures._plot_classes
    monkeypatch.setattr(
        pictures,
        "_plot_classes",
        lambda axes, *of: (usual(axes, *of), shown.append((axes.get_title(), *of[1:]))),
    )
    pictures.plot({"train": counts}, tmp_path / "x.png")
    expected = [f"c{n}" for n in range(99, 69, -1)]
    assert shown == [("objects by class (without 70 rarer classes)", expected, 70)]
