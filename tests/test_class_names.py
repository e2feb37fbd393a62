"""Classes may have any name: those of our own words, of formulas, and in any script."""

import json
import warnings
from functools import partial

import cv2
import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from matplotlib import pyplot as plt
from PIL import Image

from mtpd import files, fonts, images
from mtpd.evaluation import samples
from mtpd.evaluation.analysis import analyse
from mtpd.evaluation.truth import Truth
from mtpd.report import page_figures, page_plots, pictures, plots
from mtpd.report.findings import Findings

CLASSES = ["nothing", "small objects", "$a_$b", '<b>&"']
SCORES = dict.fromkeys(("AP", "AP50", "AP75", "APs", "APm", "APl"), 30.0)


def results(folder, classes, found):
    """A split with an object of 20 pixels of each class, one image each, and a subject that finds some."""
    objects = [
        {"id": i, "image_id": i, "category_id": i, "bbox": [9, 9, 20, 20], "area": 400, "iscrowd": 0}
        for i, _ in enumerate(classes, 1)
    ]
    images = [
        {"id": row["id"], "file_name": f"{row['id']}.png", "width": 40, "height": 40} for row in objects
    ]
    categories = [{"id": i, "name": name} for i, name in enumerate(classes, 1)]
    content = {"images": images, "annotations": objects, "categories": categories}
    files.write_json(folder / "val.json", content)
    rows = [{**row, "score": 0.9} for row in objects if classes[row["id"] - 1] in found]
    files.write_json(folder / "metrics.json", {"bbox": SCORES})
    files.write_json(folder / "analysis.json", analyse(folder / "val.json", rows))
    files.write_json(folder / "predictions.json", rows)
    files.write_text(folder / "history.csv", "epoch,loss,AP\n1,2.0,1.0\n")
    for image in images:
        Image.new("RGB", (40, 40)).save(folder / image["file_name"])
    return str(folder)


@pytest.fixture
def findings(tmp_path):
    """The student alone finds nothing; the arm finds all but the first class."""
    arm = results(tmp_path / "arm", CLASSES, CLASSES[1:])
    shown = [{"arm": "arm", "student": "s", "chain": "t@1", "seed": 0, "stages": [{"folder": arm}]}]
    detectors = {"s": results(tmp_path / "s", CLASSES, [])}
    return Findings.read({"detectors": detectors, "teachers": [], "shown": shown, "experiment": "x"})


def test_missed_objects_of_a_class_called_nothing_are_missed(findings):
    counts = findings.confusion("arm, stage 1")
    assert counts.tolist() == [
        [0, 0, 0, 0, 1],
        [0, 1, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 0, 1, 0],
        [0, 0, 0, 0, 0],
    ]
    axis = page_plots.confusion(counts, findings.classes, "arm").axes[0]
    names = [label.get_text() for label in axis.get_yticklabels()]
    assert names == [*CLASSES, "nothing"]
    percent = {text.get_position(): text.get_text() for text in axis.texts}
    assert percent == {(4, 0): "100", (1, 1): "100", (2, 2): "100", (3, 3): "100"}
    assert [label.get_style() for label in axis.get_yticklabels()] == ["normal"] * 4 + ["italic"]


def test_of_many_classes_those_with_the_most_errors_are_shown():
    """Class i has i missed objects and 100 that are found."""
    many = page_plots.MOST_CLASSES + 5
    counts = np.diag([*[100] * many, 0])
    counts[:-1, -1] = range(many)
    axis = page_plots.confusion(counts, [f"class {i}" for i in range(many)], "arm").axes[0]
    names = [label.get_text() for label in axis.get_xticklabels()]
    assert names == [*(f"class {i}" for i in range(5, many)), "nothing"]
    missed = {
        y: text.get_text() for text in axis.texts for x, y in [text.get_position()] if x == len(names) - 1
    }
    assert missed[0] == f"{100 * 5 / 105:.0f}"


def test_a_class_called_like_a_size_keeps_its_ap(findings):
    figure = page_plots.changes(findings.ap_by_class(), findings.ap_by_size(), "s")
    axis = figure.axes[0]
    names = [label.get_text() for label in axis.get_xticklabels()]
    assert names == [*CLASSES, "small objects", "medium objects", "large objects"]
    assert [text.get_text() for text in axis.texts] == ["+0.0", "+100.0", "+100.0", "+100.0", *["+0.0"] * 3]


def test_every_figure_of_the_page_can_be_drawn(findings, tmp_path):
    page_figures.seen_by_each(findings, tmp_path / "arm/val.json", tmp_path / "arm")
    for draw, of in (
        (page_plots.changes, (findings.ap_by_class(), findings.ap_by_size(), "s")),
        (page_plots.confusion, (findings.confusion("s"), findings.classes, "$a_$b")),
        (page_plots.precision_recall, ({"$a_$b": [0.5] * 101}, [])),
    ):
        plots.write([tmp_path / "x.svg"], None, draw, *of)
        assert "<!-- $a_$b -->" in (tmp_path / "x.svg").read_text(encoding="utf-8")


def test_a_detector_called_annotated_does_not_hide_the_annotations(findings, tmp_path):
    annotations = files.read_json(tmp_path / "arm/val.json")
    path_of = partial(images.path_of, folder=tmp_path / "arm", beside=tmp_path / "arm")
    figure = pictures.draw({"1": "at random"}, annotations, path_of, {"annotated": []})
    assert [len(axis.texts) for axis in figure.axes] == [1, 0]


@pytest.fixture
def font(tmp_path, monkeypatch):
    """The only font of the system: 中 and 文 are bars of different heights; it has ASCII, too."""
    builder = FontBuilder(1000)
    names = {0x4E2D: "one", 0x6587: "two"}
    builder.setupGlyphOrder([".notdef", *names.values()])
    builder.setupCharacterMap(names | dict.fromkeys(range(32, 127), "one"))
    glyphs = {}
    for name, height in ((".notdef", 100), ("one", 400), ("two", 900)):
        pen = TTGlyphPen(None)
        pen.moveTo((0, 0))
        for corner in ((0, height), (800, height), (800, 0)):
            pen.lineTo(corner)
        pen.closePath()
        glyphs[name] = pen.glyph()
    builder.setupGlyf(glyphs)
    builder.setupHorizontalMetrics(dict.fromkeys(glyphs, (900, 0)))
    builder.setupHorizontalHeader(ascent=900, descent=-100)
    builder.setupNameTable({"familyName": "Two Characters", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    path = tmp_path / "fonts/NotoSansCJK-Regular.ttf"
    path.parent.mkdir()
    builder.save(path)
    (path.parent / "damaged.ttf").write_bytes(b"no font")
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [str(p) for p in path.parent.iterdir()])
    return path


def test_the_font_that_has_the_characters_is_found(font):
    assert fonts.best("cell") == fonts.best("") == fonts.OWN
    assert fonts.best("中文") == font
    assert fonts.families("cell") == ["DejaVu Sans"]
    assert fonts.families("cell 中") == ["DejaVu Sans", "Two Characters"]
    assert fonts.warning("cell 中文\n") == ""
    assert fonts.warning("中ไทย").startswith("no installed font has ไทย: pictures show boxes")
    assert fonts.best("ไทย") == fonts.OWN


def test_matplotlib_draws_the_characters(font, tmp_path):
    with plt.rc_context({"font.family": fonts.families("中文")}), warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns of a glyph that is missing
        found = []
        for name in ("中", "文"):
            figure = page_plots.confusion(np.eye(2, dtype=int), [name], "x")
            plots.save(figure, tmp_path / "x.png")
            found.append((tmp_path / "x.png").read_bytes())
    assert found[0] != found[1]


def test_samples_show_the_characters(font, tmp_path):
    """In names of classes and of files; without the font, both are the same box."""
    folder = tmp_path / "split"
    results(folder, ["中"], [])
    found = []
    for name in ("中", "文"):
        content = json.loads((folder / "val.json").read_text(encoding="utf-8"))
        content["categories"][0]["name"] = name
        content["images"][0]["file_name"] = f"{name}.png"
        Image.new("RGB", (40, 40)).save(folder / f"{name}.png")
        files.write_json(folder / "val.json", content)
        samples.draw(Truth(folder / "val.json"), folder, [], folder / "out.jpg")
        found.append(cv2.imread(str(folder / "out.jpg")).astype(int))
    different = abs(found[0] - found[1]) > 60
    title = different[: 4 + samples.TITLE]
    assert title.any() and different[4 + samples.TITLE :].any()
