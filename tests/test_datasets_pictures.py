"""Pictures of an imported data set."""

import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image, ImageFont

from mtpd import files, fonts
from mtpd.datasets import counts, pictures

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
    pictures.sheet(content, tmp_path, tmp_path, tmp_path / "out/sheet.png")
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
        pictures.sheet(content, tmp_path, tmp_path, tmp_path / name)
    assert (tmp_path / "a.jpg").read_bytes() == (tmp_path / "b.jpg").read_bytes()
    assert Image.open(tmp_path / "a.jpg").format == "JPEG"


def test_images_without_objects_and_strips_are_drawn(content, tmp_path):
    cv2.imwrite(str(tmp_path / "strip.png"), np.zeros((1, 4000), np.uint8))
    content["images"] = [{"id": 7, "file_name": "strip.png", "width": 4000, "height": 1}]
    content["annotations"] = []
    pictures.sheet(content, tmp_path, tmp_path, tmp_path / "sheet.png")
    assert Image.open(tmp_path / "sheet.png").height == 2 * pictures.GAP + pictures.TITLE + 1


def test_names_that_begin_alike_stay_apart_and_fit():
    font = ImageFont.truetype(fonts.best("a"), pictures.FONT_SIZE)
    names = [f"{'a_long_name_of_a_sign_' * 5}{end}" for end in ("left", "right")]
    short = [pictures._fitted(name, 160, font) for name in names]
    assert short[0] != short[1] and all(100 < font.getlength(name) <= 160 for name in short)
    assert pictures._fitted("cell", 160, font) == "cell"


def test_names_of_neighbours_do_not_hide_each_other():
    font = ImageFont.truetype(fonts.best("a"), pictures.FONT_SIZE)
    taken = []
    for _ in range(3):  # above, inside and below
        taken.append(pictures._free_place("cell", (50, 100, 90, 180), taken, 300, font))
    height = taken[0][3] - taken[0][1]
    assert [place[1] for place in taken] == [100 - height, 100, 180]
    at_the_top, at_the_bottom = (50, pictures.TITLE, 90, 60), (50, 280, 90, 299)
    assert pictures._free_place("cell", at_the_top, [], 300, font)[1] == pictures.TITLE
    assert pictures._free_place("cell", at_the_bottom, [], 300, font)[3] == 280


def test_where_two_classes_share_a_colour_each_object_is_named():
    items = [{"category_id": number} for number in (0, 0, 1, 7, *[2] * 10)]
    colours = {number: pictures.COLOURS[number % 7] for number in (0, 1, 2, 7)}
    assert pictures._named(items, colours) == [0, 1, 2, 3, 4]  # 0 and 7 are of one colour
    assert pictures._named(items[:11], colours) == list(range(11))


def test_both_pictures_of_an_import_are_written(content, tmp_path):
    for split in ("train", "val"):
        files.write_json(tmp_path / f"kept/{split}.json", content)
    pictures.of_import(tmp_path / "kept", tmp_path, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"train_samples.jpg", "counts.png"}


def test_counts(content):
    found = counts.count(content)
    assert found.objects == {NAMES[0]: 30, NAMES[1]: 10, NAMES[2]: 10, NAMES[3]: 1}
    assert found.images == {(80, 40): 30}
    assert len(found.sides) == 51 and found.sides[0] == pytest.approx(800**0.5)


def test_counts_are_plotted(content, tmp_path):
    found = counts.count(content)
    none = counts.Counts(dict.fromkeys(NAMES, 0), np.zeros(0, np.float32), {})
    for name in ("a.png", "b.png"):
        counts.plot({"train": found, "val": found, "test": none}, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert Image.open(tmp_path / "a.png").width == 1210


def plotted(found, target, monkeypatch):
    """The three axes of the plot."""
    figures = []
    monkeypatch.setattr(counts, "Figure", lambda *of, **how: figures.append(Figure(*of, **how)) or figures[0])
    counts.plot(found, target)
    return figures[0].axes


def test_the_plot_of_many_classes_has_the_frequent_ones(tmp_path, monkeypatch):
    found = counts.Counts({f"c{n}": n for n in range(100)}, np.ones(9, np.float32), {(8, 8): 4})
    axes = plotted({"train": found}, tmp_path / "x.png", monkeypatch)[0]
    assert axes.get_title() == "objects by class (the 30 most frequent of 100)"
    assert [label.get_text() for label in axes.get_yticklabels()] == [f"c{n}" for n in range(99, 69, -1)]


def test_the_plot_tells_long_names_apart_and_shows_the_largest_images(tmp_path, monkeypatch):
    names = [f"{'a_long_name_of_a_sign_' * 3}{n}" for n in range(2)]
    found = counts.Counts(dict.fromkeys(names, 3), np.ones(9, np.float32), {(640, 480): 4, (90, 999): 1})
    by_class, _, by_size = plotted({"train": found}, tmp_path / "x.png", monkeypatch)
    shown = [label.get_text() for label in by_class.get_yticklabels()]
    assert len(set(shown)) == 2 and all(len(name) <= 24 for name in shown)
    assert by_size.get_xlim()[1] > 640 * 1.05 and by_size.get_ylim()[1] > 999 * 1.05
